"""What a checkpoint outside the family is, told from its keys and shapes, and what runs it.

A stranger is a row of :data:`STRANGERS`: what it is called, patterns that all have to match some
key, and ``--model`` for it, if timm or torchvision have it. Some have every key of a residual net,
or nearly, and compute something else; so they are looked for first.

Long because every kind of net has its row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from resnet_deploy.loading.known_nets import known_nets, others_alike
from resnet_deploy.spec import BlockKind
from resnet_deploy.spec.model_request import OWN_CODE
from resnet_deploy.spec.names import usual_depth

State = Mapping[str, Tensor]
Namer = Callable[[State], "tuple[str, str] | None"]
"""From tensors to a name and what ``--model`` takes (empty: only a factory of the user's); None:
it is not that."""


@dataclass(frozen=True)
class Stranger:
    """A kind of net.

    Args:
        patterns: each has to be found in some key.
        name: what it is, or how it is told from the tensors.
        model: what ``--model`` takes, where one name fits all.
        absent: must not be found in any key.
    """

    patterns: tuple[str, ...]
    name: str | Namer
    model: str = ""
    absent: str = r"(?!)"


def recognised(state: State) -> str | None:
    """Return what ``state`` is, and what loads it, if it is a net that is not built here."""
    keys, known = "\n".join(state), known_nets(state)
    for stranger in STRANGERS:
        if all(re.search(pattern, keys, re.MULTILINE) for pattern in stranger.patterns) and (
            not re.search(stranger.absent, keys, re.MULTILINE)
        ):
            named = stranger.name
            found = (named, stranger.model) if isinstance(named, str) else named(state)
            if found is None:
                continue
            return _refusal(*found, known)
    if said := _volumes(state) or _without_statistics(state):
        return said
    return _refusal(_owned(known[0]), known[0], known) if known else _other_vgg(state)


def _refusal(name: str, model: str, known: Sequence[str]) -> str:
    """Return the words of a refusal; ``known`` nets have exactly these tensors."""
    if known and model not in known:
        # A rule that took it for another net was wrong about its name, too.
        name = _owned(known[0]) if model else f"{name} ({_owned(known[0])})"
        model = known[0]
    way = f"load it with --model {model}" if model else OWN_CODE
    alike = others_alike((model, *(other for other in known if other != model)))
    return f"is {name}, which is not built from its weights alone: {way}{alike}"


def _owned(model: str) -> str:
    """Return ``timm's vgg16`` for ``timm:vgg16``."""
    package, _, name = model.partition(":")
    return f"{package}'s {name}"


def strange_keys(state: State) -> str:
    """Return the first keys that are not a residual net's, for a refusal."""
    known = ("bn1.", "layer", "fc.", "conv1.weight")
    strange = [key for key in state if not key.startswith(known)] or list(state)
    return ", ".join(repr(key) for key in strange[:3])


def _volumes(state: State) -> str | None:
    dims = {tensor.ndim for key, tensor in state.items() if key.endswith("conv1.weight")}
    stems = {tensor.ndim for key, tensor in state.items() if key.endswith("stem.0.weight")}
    if 5 in dims | stems:
        return f"is a net of 3-D convolutions (videos, volumes), not of pictures: {OWN_CODE}"
    return None


def _without_statistics(state: State) -> str | None:
    """Tell nets whose normalisation is not BatchNorm: GroupNorm keeps no running mean."""
    norms = [key for key in state if re.search(r"layer1\.0\.(?:bn|norm)1\.weight$", key)]
    norms = [key for key in norms if state[key].ndim == 1]
    if not norms or any(key[: -len("weight")] + "running_mean" in state for key in norms):
        return None
    kind, model = "ResNet", ""
    depth = _depth(state)
    if depth == 50 and norms[0] == "layer1.0.bn1.weight":
        model = "timm:resnet50_gn"
    way = f"--model {model}, if it is timm's; else " if model else ""
    name = f"a {kind}-{depth}" if depth else f"a {kind}"
    return f"is {name} without BatchNorm statistics (GroupNorm, or another): {way}{OWN_CODE}"


def _depth(state: State) -> int | None:
    """Return the depth by which a net of four stages is called."""
    blocks = {m.groups() for m in (re.search(r"layer(\d)\.(\d+)\.", key) for key in state) if m}
    counts = tuple(sum(stage == str(n) for stage, _ in blocks) for n in range(1, 5))
    deep = any(re.search(r"layer1\.0\.(?:bn3|conv3|norm3)\.", key) for key in state)
    return usual_depth(BlockKind.BOTTLENECK if deep else BlockKind.BASIC, counts)


def _shape(state: State, pattern: str) -> tuple[int, ...]:
    """Return the shape of the first tensor whose key has ``pattern``; empty: none."""
    for key, tensor in state.items():
        if re.search(pattern, key):
            return tuple(tensor.shape)
    return ()


def _count(state: State, pattern: str) -> int:
    """Return how many different first groups ``pattern`` has."""
    return len({match[1] for match in (re.search(pattern, key) for key in state) if match})


def _called(base: str, depth: int | None) -> str:
    return f"a {base}-{depth}" if depth else f"a {base}"


def _res2net(state: State) -> tuple[str, str]:
    depth = _depth(state)
    width = _shape(state, r"layer1\.0\.convs\.0\.weight$")
    scale = _count(state, r"layer1\.0\.convs\.(\d+)\.weight$") + 1
    first = _shape(state, r"layer1\.0\.conv1\.weight$")
    if not width or not first or not depth:
        return "a Res2Net", ""
    grouped = width[1] != width[0]
    per = f"{width[0]}w" if not grouped else f"{width[0] // width[1]}g {width[0]}w"
    kind, model = "Res2Net", f"res2net{depth}_{width[0]}w_{scale}s"
    if grouped:
        kind, model = "Res2NeXt", f"res2next{depth}"
    elif any("conv1.6.weight" in key for key in state):
        kind, model = "Res2Net v1d", f"res2net{depth}d"
    return f"a {kind}-{depth} {per} {scale}s", f"timm:{model}"


def _sknet(state: State) -> tuple[str, str]:
    depth = _depth(state)
    first = _shape(state, r"layer1\.0\.conv1\.conv\.weight$")
    if depth == 50 and first and first[0] == 128:
        return "an SK-ResNeXt-50", "timm:skresnext50_32x4d"
    timm = depth in (18, 34, 50) and any(".paths.0." in key for key in state)
    name = f"an SK-ResNet-{depth}" if depth else "an SK-ResNet"
    return name, f"timm:skresnet{depth}" if timm else ""


def _resnest(state: State) -> tuple[str, str]:
    depth = _depth(state)
    small = {14: "resnest14d", 26: "resnest26d", 50: "resnest50d"}
    large = {101: "resnest101e", 200: "resnest200e", 269: "resnest269e"}
    model = {**small, **large}.get(depth or 0, "")
    return _called("ResNeSt", depth), f"timm:{model}" if model else ""


def _vgg(state: State) -> tuple[str, str]:
    convs = sum(1 for key, tensor in state.items() if "features." in key and tensor.ndim == 4)
    norm = any("features.1.running_mean" in key for key in state)
    depth = convs + 3
    if depth not in (11, 13, 16, 19):
        return "a VGG-like net", ""
    return f"a VGG-{depth}" + (" with BatchNorm" if norm else ""), (
        f"torchvision:vgg{depth}{'_bn' if norm else ''}"
    )


def _densenet(state: State) -> tuple[str, str]:
    layers = tuple(_count(state, rf"denseblock{n}\.denselayer(\d+)\.") for n in (1, 2, 3, 4))
    known: dict[tuple[int, ...], str] = {
        (6, 12, 24, 16): "densenet121",
        (6, 12, 36, 24): "densenet161",
        (6, 12, 32, 32): "densenet169",
        (6, 12, 48, 32): "densenet201",
    }
    model = known.get(layers)
    return (f"a DenseNet-{model[8:]}", f"torchvision:{model}") if model else ("a DenseNet", "")


def _efficientnet(state: State) -> tuple[str, str]:
    torchvision = any(re.search(r"features\.1\.0\.block\.", key) for key in state)
    last = _shape(state, r"(?:features\.8\.0|conv_head|_conv_head)\.weight$")
    widths = {1280: "b0", 1408: "b2", 1536: "b3", 1792: "b4", 2048: "b5", 2304: "b6", 2560: "b7"}
    size = widths.get(last[0] if last else 0, "")
    blocks = len(
        {
            match.groups()
            for match in (
                re.search(r"(?:features|blocks|_blocks)\.(\d+)(?:\.(\d+))?\.\w*", key)
                for key in state
            )
            if match
        }
    )
    if size == "b0" and blocks > 20:
        size = "b1"
    name = f"an EfficientNet-{size.upper()}" if size else "an EfficientNet"
    package = "torchvision" if torchvision else "timm"
    return name, f"{package}:efficientnet_{size}" if size else ""


def _vit(state: State) -> tuple[str, str]:
    patches = _shape(
        state, r"patch_embed(?:ding)?s?\.(?:proj|projection)\.weight$|conv_proj\.weight$"
    )
    depth = _count(state, r"(?:blocks|layers?|encoder_layer_?)\.?(\d+)\.")
    sizes = {192: "tiny", 384: "small", 768: "base", 1024: "large"}
    if len(patches) != 4 or patches[0] not in sizes:
        return "a vision transformer", ""
    size = sizes[patches[0]]
    distilled = any("dist_token" in key for key in state)
    kind = "DeiT" if distilled else "ViT"
    name = f"a {kind}-{size.capitalize()} of {depth} layers and patches of {patches[2]}"
    if any(re.search(r"encoder_layer_0|encoder\.layers\.encoder", key) for key in state):
        return name, f"torchvision:vit_{size[0]}_{patches[2]}"
    stem = "deit" if distilled else "vit"
    tail = "_distilled_patch16_224" if distilled else f"_patch{patches[2]}_224"
    return name, f"timm:{stem}_{size}{tail}"


def _convnext(state: State) -> tuple[str, str]:
    last = _shape(state, r"(?:stages\.3\.blocks\.0\.conv_dw|features\.7\.0\.block\.0)\.weight$")
    deep = _count(state, r"(?:stages\.2\.blocks|features\.5)\.(\d+)\.") > 9
    sizes = {768: "small" if deep else "tiny", 1024: "base", 1536: "large"}
    size = sizes.get(last[0] if last else 0, "")
    package = "torchvision" if any("features." in key for key in state) else "timm"
    return f"a ConvNeXt{f'-{size.capitalize()}' if size else ''}", (
        f"{package}:convnext_{size}" if size else ""
    )


def _mobilenet(state: State) -> tuple[str, str]:
    large = any("features.16.0.weight" in key for key in state)
    if any(re.search(r"features\.\d+\.block\.", key) for key in state):
        return "a MobileNetV3", f"torchvision:mobilenet_v3_{'large' if large else 'small'}"
    return "a MobileNetV2", "torchvision:mobilenet_v2"


def _byob(state: State) -> tuple[str, str]:
    """Name timm's nets of blocks with a 1x1, a kxk and a 1x1, most of them with SiLU."""
    blocks = tuple(_count(state, rf"stages\.{n}\.(\d+)\.conv1_1x1\.") for n in range(4))
    grouped = _shape(state, r"stages\.0\.0\.conv2_kxk\.conv\.weight$")
    pairs = (
        (r"\.attn\.conv_attn\.", "gc"),
        (r"\.attn\.fc1\.", "se"),
        (r"\.attn\.conv\.", "eca_"),
    )
    attention = next((word for part, word in pairs if any(re.search(part, k) for k in state)), "")
    if blocks == (2, 2, 2, 2) and grouped and grouped[1] < grouped[0]:
        model = f"{attention}resnext26ts"
    elif blocks == (2, 3, 3, 2):
        model = f"{attention.rstrip('_')}resnet33ts"
    else:
        return "a net of timm's byobnet.py", ""
    return f"a net of timm's byobnet.py ({model} by its shapes)", f"timm:{model}"


def _fcn(state: State) -> tuple[str, str] | None:
    convolution = len(_shape(state, r"classifier\.0\.weight$")) == 4
    return ("a segmentation net (FCN)", "") if convolution else None


STRANGERS = (
    Stranger(
        (
            r"(?:^|\.)(?:weight_fake_quant|activation_post_process\w*|fake_quant\w*)\."
            r"|\.fake_quant_enabled$",
        ),
        "a net in training for int8 (fake quantization)",
    ),
    # Residual nets with other blocks; each would pass for a plain one, or nearly.
    Stranger((r"layer1\.0\.convs\.0\.weight$", r"layer1\.0\.bns\.0\.weight$"), _res2net),
    Stranger((r"layer1\.0\.conv\d\.paths\.0\.",), _sknet),
    Stranger((r"layer1\.0\.conv2\.(?:bn0|fc1)\.",), _resnest),
    Stranger(
        (r"\.(?:filt|filter)$", r"layer\d\.\d+\."),
        "a net of antialiased-cnns (buffers filt: blurs behind a 2x2 max-pool)",
    ),
    Stranger(
        (r"layer\d+\.\d+\.(?:cbam|ca|sa|channel_attention|spatial_attention|ChannelGate)\.",),
        "a ResNet with CBAM attention",
    ),
    Stranger((r"layer\d+\.\d+\.(?:bam\w*)\.|^(?:.*\.)?bam\d\.",), "a ResNet with BAM attention"),
    Stranger(
        (r"layer\d+\.\d+\.(?:gc|gc_block|context_block|se\.channel_add\w*)\.",),
        "a ResNet with global-context attention",
    ),
    Stranger(
        (r"(?:layer\d+|stages\.\d+)\.\d+\.(?:\w+\.)*(?:mhsa|attn\.qkv|self_attn|rel_\w+)",),
        "a BoTNet (a ResNet with self-attention)",
        absent=r"patch_embed|relative_position|transition_layers",
    ),
    Stranger(
        (r"layer\d+\.\d+\.conv\d\.(?:gain|weight_gain)$|\.skipinit_gain$|\.gain$",),
        "an NF-ResNet (scaled weight standardisation)",
    ),
    Stranger(
        (r"layer\d+\.\d+\.residual_gain|bias1a$",),
        "a Fixup ResNet",
    ),
    Stranger(
        (r"(?:^|\.)pre\.0\.", r"stage1\.0\.residual\.\d\."),
        "one of weiaicunzai's CIFAR nets with another order (SENet, PreActResNet)",
    ),
    Stranger(
        (
            r"(?:^|\.)bn\.running_mean$",
            r"layer1\.0\.bn1\.",
            r"layer2\.0\.downsample\.0\.weight$",
        ),
        "a pre-activation net with shortcuts that read what no BatchNorm has seen (bearpaw's)",
        absent=r"layer2\.0\.downsample\.1\.",
    ),
    Stranger((r"stages\.0\.(?:conv_transition_b|conv_exp|blocks\.0\.conv1\.conv)\.",), "a CSP net"),
    Stranger(
        (r"stages\.0\.0\.(?:conv1_1x1|conv2_kxk|shortcut)\.",),
        _byob,
    ),
    Stranger(
        (r"root\.conv\.weight", r"block1\.unit01\.conv1\.weight|root\.(?:unit|gn)"),
        "a BiT ResNet-v2 (GroupNorm, standardised weights)",
    ),
    Stranger(
        (r"stages\.0\.blocks\.0\.conv3\.weight", r"stages\.0\.blocks\.0\.norm1\.weight"),
        "a BiT or another ResNet-v2 without BatchNorm (GroupNorm)",
        absent=r"stages\.0\.blocks\.0\.norm1\.running_mean",
    ),
    # Detectors, segmenters and others around a residual net.
    Stranger(
        (
            r"^visual\.(?:layer1|transformer|conv1)\b",
            r"text_projection|token_embedding|visual\.attnpool|visual\.proj|logit_scale",
        ),
        "CLIP (its image tower ends in attention)",
    ),
    Stranger(
        (r"attnpool\.(?:q_proj|positional_embedding)",),
        "CLIP's image tower (its pool is attention)",
    ),
    Stranger(
        (r"roi_heads?\.|rpn(?:_head)?\.|proposal_generator\.",), "a detector (Faster or Mask R-CNN)"
    ),
    Stranger(
        (r"class_embed|bbox_embed|transformer\.(?:en|de)coder",), "DETR or another transformer"
    ),
    Stranger((r"(?:^|\.)(?:fpn|bbox_head|regressionModel|regression_head)\.",), "a detector"),
    Stranger(
        (r"(?:^|\.)(?:classifier|aspp)\.\w*\.?(?:convs|aspp|project|bottleneck)\b",),
        "a segmentation net (DeepLab)",
    ),
    Stranger(
        (r"backbone\.layer1\.", r"classifier\.0\.weight$", r"classifier\.1\.running_mean$"),
        _fcn,
    ),
    Stranger((r"decode_head\.|auxiliary_head\.|seg_head|ppm\.|psp\.",), "a segmentation net"),
    Stranger(
        (r"decoder\.(?:blocks|center|layer|up|conv)|segmentation_head\.",),
        "a U-Net or another encoder with a decoder",
    ),
    Stranger((r"(?:^|\.)(?:up\d|inc|downs?\.?\d|ups\.\d)\.\w+", r"outc|up1|ups\.0"), "a U-Net"),
    Stranger((r"model\.\d+\.(?:cv\d|m\.\d)\.",), "a YOLO"),
    Stranger((r"stage2\.0\.branches\.", r"transition1\."), "an HRNet"),
    Stranger((r"level\d\.(?:tree\d|root)\.|level2\.project",), "a DLA"),
    # Other classifiers.
    Stranger(
        (r"stages?\.?\d.*\.rbr_dense|stages\.0\.0\.conv_kxk\.",), "a RepVGG or another byobnet"
    ),
    Stranger((r"body\.layer1\.0\.",), "a TResNet"),
    Stranger((r"stages\.0\.blocks\.0\.conv_mid\.",), "a VoVNet"),
    Stranger((r"block12\.(?:rep|conv\d|skip)", r"bn4\.|conv4\."), "an Xception"),
    Stranger((r"(?:from_seq|selecsls|features\.0\.conv6\.)",), "a SelecSLS"),
    Stranger((r"shared_image_embedding|mask_decoder\.",), "a segmenter (SAM)"),
    Stranger((r"features\.denseblock1\.",), _densenet),
    Stranger(
        (
            r"features\.1\.0\.block\.0|(?:^|\.)_?blocks\.\d.*\.(?:conv_dw|_depthwise_conv|conv_pw)\.",
            r"se\.conv_reduce|_se_reduce|block\.\d\.fc1",
        ),
        _efficientnet,
    ),
    Stranger((r"features\.1\.(?:conv|block)\.0\.0\.weight$",), _mobilenet),
    Stranger(
        (r"features\.\d+\.squeeze\.weight",),
        "a SqueezeNet",
        "torchvision:squeezenet1_1 or squeezenet1_0",
    ),
    Stranger(
        (r"stage2\.0\.branch2\.0\.", r"conv5\.0\.weight"),
        "a ShuffleNetV2",
        "torchvision:shufflenet_v2_x1_0",
    ),
    Stranger(
        (r"inception4a\.branch1|inception3a\.branch1\.",), "a GoogLeNet", "torchvision:googlenet"
    ),
    Stranger((r"Mixed_5b\.|Mixed_7c\.",), "an Inception-v3", "torchvision:inception_v3"),
    Stranger((r"mixed_\da?\.|conv2d_1a\.conv", r"repeat"), "an Inception-ResNet"),
    Stranger((r"trunk_output\.block1|s1\.b1\.conv1\.",), "a RegNet"),
    Stranger(
        (r"stages\.0\.blocks\.0\.(?:conv_dw|gamma)|\.layer_scale|downsample_layers\.0\.",),
        _convnext,
    ),
    Stranger((r"relative_position_(?:bias_table|index)|logit_scale.*attn",), "a Swin transformer"),
    Stranger(
        (
            r"class_embedding|cls_token|encoder\.layers\.encoder_layer_0|vit\.embeddings",
            r"patch_embed|conv_proj|pos_embed",
        ),
        _vit,
    ),
    Stranger((r"lora_[AB]\b|lora_(?:up|down)\.",), "a LoRA: weights that change another net's"),
    Stranger((r"(?:embed_tokens|word_embeddings|wte|tok_embeddings)\.weight",), "a language model"),
    Stranger(
        (r"(?:^|\.)features\.10\.weight$", r"classifier\.6\.weight$"),
        "an AlexNet",
        "torchvision:alexnet",
        absent=r"features\.14\.",
    ),
)
"""Searched in this order; specific ones first."""


def _other_vgg(state: State) -> str | None:
    """Return what a net of ``features`` is that is not VGG-19."""
    if not any(key.endswith("features.0.weight") for key in state):
        return None
    name, model = _vgg(state)
    if model in ("", "torchvision:vgg19"):
        return None
    return (
        f"is {name}, and of these only VGG-19 is built from its weights alone: load it with "
        f"--model {model}"
    )
