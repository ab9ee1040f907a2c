"""What is not a net of the family is named, with the next command; what is one passes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from resnet_deploy.errors import CheckpointError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.loading.strangers import recognised
from resnet_deploy.models.layouts import State
from resnet_deploy.spec import vgg19_spec
from resnet_deploy.spec.model_request import ModelRequest
from tests.support.layouts import canonical, preactivated
from tests.support.states import shapes_of


def of(shapes: Mapping[str, tuple[int, ...]]) -> State:
    zero = torch.zeros(())
    return {key: zero.expand(shape) for key, shape in shapes.items()}


def vgg(*widths: int, norm: bool) -> State:
    """The layers of torchvision's VGG; 0 is a max-pool."""
    state: dict[str, tuple[int, ...]] = {"classifier.6.weight": (1000, 4096)}
    place, inputs = 0, 3
    for width in widths:
        if not width:
            place += 1
            continue
        state[f"features.{place}.weight"] = (width, inputs, 3, 3)
        if norm:
            state[f"features.{place + 1}.running_mean"] = (width,)
        place, inputs = place + (3 if norm else 2), width
    return of(state)


BLOCKS = {
    f"layer{stage}.{block}.bn3.running_mean": (1,)
    for stage, count in enumerate((3, 4, 6, 3), start=1)
    for block in range(count)
}
CONV = (8, 8, 3, 3)


@pytest.mark.parametrize(
    ("state", "name", "model"),
    [
        (of({"layer1.0.convs.0.weight": (26, 26, 3, 3), "layer1.0.convs.2.weight": (26, 26, 3, 3),
             "layer1.0.convs.1.weight": (26, 26, 3, 3), "layer1.0.bns.0.weight": (26,),
             "layer1.0.conv1.weight": (104, 64, 1, 1), **BLOCKS}),
         "a Res2Net-50 26w 4s", "timm:res2net50_26w_4s"),
        (of({"layer1.0.conv2.paths.0.conv.weight": CONV, **BLOCKS}),
         "an SK-ResNet-50", "timm:skresnet50"),
        (of({"layer1.0.conv2.bn0.weight": (8,), **BLOCKS}), "a ResNeSt-50", "timm:resnest50d"),
        (of({"layer1.0.bn1.weight": (8,), "layer1.0.conv1.weight": CONV}),
         "without BatchNorm statistics", "package.module:factory"),
        (of({"layer1.0.cbam.ChannelGate.mlp.1.weight": (8, 8)}), "CBAM", ""),
        (of({"layer2.0.conv2.0.filt": (8, 1, 4, 4)}), "antialiased-cnns", ""),
        (of({"backbone.layer1.0.conv1.weight": CONV, "classifier.0.convs.0.0.weight": CONV}),
         "DeepLab", ""),
        (of({"backbone.body.layer1.0.conv1.weight": CONV, "roi_heads.box_head.fc6.weight": (8, 8)}),
         "Mask R-CNN", ""),
        (of({"encoder.layer1.0.conv1.weight": CONV, "decoder.blocks.0.conv1.0.weight": CONV}),
         "U-Net", ""),
        (of({"visual.layer1.0.conv1.weight": CONV, "visual.attnpool.q_proj.weight": (8, 8)}),
         "CLIP", ""),
        (vgg(64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, norm=False),
         "a VGG-16", "torchvision:vgg16"),
        (vgg(64, 64, 0, 128, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, norm=True),
         "a VGG-13 with BatchNorm", "torchvision:vgg13_bn"),
        (of({"features.0.weight": (64, 3, 11, 11), "features.10.weight": CONV,
             "classifier.6.weight": (8, 8)}), "an AlexNet", "torchvision:alexnet"),
        (of({f"features.denseblock{n}.denselayer{i}.conv1.weight": CONV
             for n, count in enumerate((6, 12, 24, 16), 1) for i in range(1, count + 1)}),
         "a DenseNet-121", "torchvision:densenet121"),
        (of({"features.1.0.block.0.0.weight": CONV, "features.1.0.block.1.fc1.weight": CONV,
             "features.8.0.weight": (1280, 320, 1, 1)}),
         "an EfficientNet-B0", "torchvision:efficientnet_b0"),
        (of({"blocks.0.0.conv_dw.weight": CONV, "blocks.0.0.se.conv_reduce.weight": CONV,
             "conv_head.weight": (1408, 352, 1, 1)}), "an EfficientNet-B2", "timm:efficientnet_b2"),
        (of({"features.1.conv.0.0.weight": CONV}), "a MobileNetV2", "torchvision:mobilenet_v2"),
        (of({"features.1.block.0.0.weight": CONV, "features.16.0.weight": CONV}),
         "a MobileNetV3", "torchvision:mobilenet_v3_large"),
        (of({"cls_token": (1, 1, 384), "patch_embed.proj.weight": (384, 3, 16, 16),
             **{f"blocks.{n}.norm1.weight": (384,) for n in range(12)}}),
         "a ViT-Small of 12 layers and patches of 16", "timm:vit_small_patch16_224"),
        (of({"layers.0.blocks.0.attn.relative_position_bias_table": (8, 8)}), "a Swin", ""),
        (of({"stages.0.blocks.0.conv_dw.weight": CONV, "stages.3.blocks.0.conv_dw.weight":
             (768, 1, 7, 7)}), "a ConvNeXt-Tiny", "timm:convnext_tiny"),
        (of({"stages.0.0.conv1_1x1.conv.weight": CONV}), "timm's byobnet.py", ""),
        (of({"model.0.conv.weight": CONV, "model.2.cv1.conv.weight": CONV}), "a YOLO", ""),
        (of({"base_model.model.lora_A.weight": (8, 8)}), "a LoRA", ""),
        (of({"model.embed_tokens.weight": (8, 8)}), "a language model", ""),
        (of({"bn.running_mean": (8,), "layer1.0.bn1.weight": (8,),
             "layer2.0.downsample.0.weight": CONV, "layer1.0.bn1.running_mean": (8,)}),
         "bearpaw's", ""),
    ],
    ids=range(26),
)  # fmt: skip
def test_strangers_are_named_with_the_next_command(state: State, name: str, model: str) -> None:
    said = recognised(state)
    assert said is not None
    assert name in said
    assert f"--model {model or 'package.module:factory'}" in said


@pytest.mark.parametrize(
    "state",
    [
        canonical(se=True),
        canonical(deep=True, bottleneck=True, avg_down=True),
        preactivated(),
        {**canonical(), "classifier.0.weight": torch.ones(4, 4), "fpn_loss.weight": torch.ones(4)},
        shapes_of(vgg19_spec()),
    ],
    ids=range(5),
)
def test_the_family_is_no_stranger(state: State) -> None:
    assert recognised(state) is None
    backbone = {f"backbone.{key}": tensor for key, tensor in state.items()}
    assert recognised({**backbone, "classification_head.weight": torch.ones(4, 4)}) is None


def test_the_zoo_is_told_apart(shared_data: Path) -> None:
    zoo = shared_data / "zoo"
    if not zoo.is_dir():
        pytest.skip("the nets of timm and torchvision are not there")
    strangers = set()
    for file in sorted(zoo.glob("*.json")):
        shapes = json.loads(file.read_text())["keys"]
        if (said := recognised(of(shapes))) is not None:
            strangers.add(file.stem)
            assert f"--model {file.stem.replace('-', ':', 1)}" in said
    assert strangers == {
        "timm-res2net50_26w_4s",
        "timm-resnest14d",
        "timm-resnet50_gn",
        "timm-resnext26ts",
        "timm-skresnet18",
    }


def test_the_refusal_of_a_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"state_dict": of({"features.1.conv.0.0.weight": (2, 2, 1, 1)})}, path)
    with pytest.raises(CheckpointError) as caught:
        resolve(ModelRequest(), str(path))
    assert str(caught.value) == (
        "net.pth is a MobileNetV2, which is not built from its weights alone: load it with "
        "--model torchvision:mobilenet_v2"
    )
