"""What ``config.json`` says of the weights beside it, as timm and transformers write it.

timm names an ``architecture`` and how pictures are prepared (``pretrained_cfg``; older files hold
its fields beside the name), and perhaps the classes. transformers describes the layers of its
``resnet`` and names the classes (``id2label``); pictures have a file of their own. Sources:
``timm/models/_hub.py`` and ``timm/data/transforms_factory.py`` of
https://github.com/huggingface/pytorch-image-models, ``models/resnet/configuration_resnet.py`` of
https://github.com/huggingface/transformers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from resnet_deploy.data.labels import imagenet_labels
from resnet_deploy.errors import CheckpointError, SpecError
from resnet_deploy.loading.config_file import Fields, is_side
from resnet_deploy.loading.preprocessor_config import Pictures
from resnet_deploy.models.architectures import Architecture, timm_architecture
from resnet_deploy.spec import (
    CHANNEL_COUNTS,
    BlockKind,
    ChannelOrder,
    Design,
    InputOptions,
    ResizeMode,
    Stage,
    Variant,
)
from resnet_deploy.spec.input_words import INTERPOLATIONS
from resnet_deploy.spec.names import design_name

_PACKAGED_NAME = re.compile(r"[\w\-]{1,100}", re.ASCII)
_PLACEHOLDER_LABEL = re.compile(r"LABEL_\d+")
_WNID = re.compile(r"n\d{8}")

_HARMLESS = frozenset(
    {
        *("in_chans", "num_classes", "global_pool", "drop_rate", "drop_path_rate"),
        *("drop_block_rate", "zero_init_last", "pretrained", "pretrained_cfg"),
    }
)
"""What timm may build a net with and leave its function as it is."""

_HARMLESS_VALUES = {"output_stride": 32, "act_layer": "relu", "norm_layer": "batchnorm2d"}
"""And what it does without being told so."""

_MOST_STAGES = 100
"""Of a net; each may have a thousand blocks."""

_MODES = {
    "center": ResizeMode.CROP,
    "squash": ResizeMode.SQUASH,
    "border": ResizeMode.PAD,
}
_BORDER = "crop_mode border fills with the mean of the training's pictures, and here with black"


@dataclass(frozen=True, kw_only=True)
class HubConfig:
    """What a ``config.json`` says; empty and None: it does not."""

    architecture: Architecture | None = None
    pictures: Pictures = field(default_factory=lambda: Pictures(InputOptions()))
    labels: tuple[str, ...] = ()


def read_hub_config(
    fields: Fields, *, hugging_face: bool, model: str | None, wanted: int | None
) -> HubConfig | None:
    """Return what ``fields`` say; None: they are not of a net.

    Args:
        fields: of ``config.json``.
        hugging_face: whether the tensors have the names of transformers' ResNets.
        model: the factory or the package's net that is asked for; None: it is built here. Of a
            factory's net the architecture is no concern of ours.
        wanted: the size of pictures that the user asked for.

    Raises:
        CheckpointError: a field is of another kind than it should be, or the net is none of ours.
    """
    named = isinstance(fields.value("architecture"), str)
    if named or isinstance(fields.value("pretrained_cfg"), dict):
        return _timm(fields, model, wanted)
    if hugging_face or isinstance(fields.value("model_type"), str):
        return _transformers(fields, own_net=model is not None)
    return None


def timm_pictures(fields: Fields, wanted: int | None) -> Pictures:
    """Return what timm's ``pretrained_cfg`` says of pictures.

    timm resizes to ``floor(size / crop_pct)`` and scales RGB to [0, 1]. Asked for the size of its
    tests, it takes their crop.
    """
    size = _input_side(fields, "input_size", wanted)
    crop = fields.number("crop_pct", most=1)
    if wanted is not None and wanted == _input_side(fields, "test_input_size", wanted):
        crop = fields.number("test_crop_pct", most=1) or crop
    side = wanted or size
    if crop is not None and side is not None:
        fields.checked_side("crop_pct", side / crop)
    mode = fields.text("crop_mode")
    if mode is not None and mode not in _MODES:
        raise fields.wrong("crop_mode", f"none of {', '.join(_MODES)}")
    interpolation = fields.text("interpolation")
    mean, std = fields.per_channel("mean"), fields.deviations("std")
    # timm knows more names of filters; "random" is one of training.
    known = interpolation if interpolation in INTERPOLATIONS else None
    options = InputOptions(
        range=None if mean is None or std is None else (0.0, 1.0),
        mean=mean,
        std=std,
        channel_order=ChannelOrder.RGB,
        crop=crop,
        # Without a mode timm crops.
        resize_mode=_MODES[mode or "center"],
        interpolation=known,
        image_size=size if wanted is None else None,
    )
    return Pictures(options, size, (_BORDER,) if mode == "border" else ())


def module_pictures(module: nn.Module, size: int) -> Pictures | None:
    """Return what a net that timm built says of its pictures of ``size``; None: it says nothing."""
    trained = getattr(module, "pretrained_cfg", None)
    if not isinstance(trained, dict):
        return None
    lists = {key: list(v) if isinstance(v, tuple) else v for key, v in trained.items()}
    try:
        pictures = timm_pictures(Fields(lists, "pretrained_cfg"), size)
    except CheckpointError:  # somebody else's attribute of that name
        return None
    own = size if pictures.size == size else None
    return replace(pictures, options=replace(pictures.options, image_size=own))


def _timm(fields: Fields, model: str | None, wanted: int | None) -> HubConfig:
    name = fields.text("architecture") or ""
    built = None
    if name and model is None:
        built = timm_architecture(name)
        if built is None:
            raise CheckpointError(f"{fields.where}: the architecture is {name!r}, {_other(name)}")
        _check_arguments(fields, _other(""))
    elif name and (model or "").startswith("timm:"):
        _check_same(fields, name, str(model))
        _check_arguments(fields, f"which --model {model} does not say, so it would build another")
    trained = fields.below("pretrained_cfg") or fields
    return HubConfig(
        architecture=built,
        pictures=timm_pictures(trained, wanted),
        labels=_timm_labels(fields, trained),
    )


def _other(name: str, prefix: str = "timm") -> str:
    """Return what to do with a net that is not built here; a ``name`` is a package's."""
    bare = name.partition(".")[0] if prefix == "timm" else name
    known = prefix != "timm" or _PACKAGED_NAME.fullmatch(bare)
    model = f"{prefix}:{bare}" if name and known else "package.module:factory"
    return (
        f"which is not built here: load it with --model {model}, or move other weights away from "
        "this file"
    )


def _check_same(fields: Fields, name: str, model: str) -> None:
    """Refuse another net of timm's than the weights' own: its keys may be the same."""
    bare = name.partition(".")[0]
    if model.removeprefix("timm:").partition(".")[0] != bare:
        raise CheckpointError(
            f"{fields.where}: the architecture is {name!r}, not that of --model {model}: use "
            f"--model timm:{bare}, or move other weights away from this file"
        )


def _check_arguments(fields: Fields, way: str) -> None:
    """Refuse what a net was built with and its tensors don't show; ``way`` is what to do then."""
    arguments = fields.below("model_args")
    for part in filter(None, (fields, arguments)):
        pool = part.text("global_pool")
        if pool not in (None, "", "avg", "fast", "fastavg"):
            raise CheckpointError(f"{part.where}: global_pool is {pool!r}, {way}")
    for key in arguments or ():
        assert arguments is not None, "it has keys"
        usual = _HARMLESS_VALUES.get(key)
        if key not in _HARMLESS and (usual is None or arguments.value(key) != usual):
            raise CheckpointError(f"{arguments.where}: {key} changes the net, {way}")


def _input_side(fields: Fields, key: str, wanted: int | None) -> int | None:
    """Return the side of the input, in pixels; its channels are the net's to tell."""
    value = fields.value(key)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 3 or not all(map(is_side, value)):
        raise fields.wrong(key, "not channels, height and width in pixels")
    channels, height, width = value
    if channels not in CHANNEL_COUNTS:
        raise fields.wrong(key, "and pictures have 1, 3 or 4 channels")
    if height != width and wanted is None:
        raise CheckpointError(
            f"{fields.where}: {key} is {height}x{width} pixels, and the networks here take "
            "squares: say which with --image-size"
        )
    return int(min(height, width))


def _timm_labels(fields: Fields, trained: Fields) -> tuple[str, ...]:
    """Return the names of classes: ``label_names``, those of synsets with their descriptions."""
    own = next((part for part in (fields, trained) if "label_names" in part), fields)
    names = own.labels("label_names") or fields.labels("labels")
    descriptions = own.value("label_descriptions")
    if names and isinstance(descriptions, dict):
        known = own.below("label_descriptions") or own
        return tuple(
            f"{name} {text}" if _WNID.fullmatch(name) and (text := known.text(name)) else name
            for name in names
        )
    if names:
        return names
    # Tags end in the data that the head was trained on.
    classes = fields.count("num_classes") or trained.count("num_classes")
    tag = trained.text("tag") or ""
    return imagenet_labels() if classes == 1000 and tag.endswith("in1k") else ()


def _transformers(fields: Fields, *, own_net: bool) -> HubConfig:
    labels = fields.labels("id2label")
    fields.check_numbers("label2id", labels, "id2label")
    if any(_PLACEHOLDER_LABEL.fullmatch(label) for label in labels):
        labels = ()
    if own_net:
        return HubConfig(labels=labels)
    for key, value, wanted in (
        ("model_type", fields.text("model_type"), "resnet"),
        ("hidden_act", fields.text("hidden_act"), "relu"),
        ("downsample_in_first_stage", fields.flag("downsample_in_first_stage"), False),
    ):
        if value not in (None, wanted):
            folder = str(Path(fields.where).parent)
            raise CheckpointError(f"{fields.where}: {key} is {value!r}, {_other(folder, 'hf')}")
    strides_first = fields.flag("downsample_in_bottleneck")
    design = _design(fields)
    return HubConfig(
        architecture=Architecture(
            name="ResNet" if design is None else design_name(design),
            depth=_depth(fields) if design is None else design.depth,
            design=design,
            variant=Variant.V1 if strides_first else Variant.V1_5,
        ),
        labels=labels,
    )


def _design(fields: Fields) -> Design | None:
    """Return what its numbers make; None: they are not said, or make no net."""
    kind = fields.text("layer_type") or ""
    depths, sizes = (_whole(fields.value(key)) for key in ("depths", "hidden_sizes"))
    stem = fields.count("embedding_size")
    if kind not in list(BlockKind) or not depths or len(depths) != len(sizes) or stem is None:
        return None
    if len(depths) > _MOST_STAGES or max(depths) > 1000 or min(depths) < 1:
        return None
    block = BlockKind(kind)
    inner = 2 if block is BlockKind.BOTTLENECK else 1
    try:
        return Design(
            block=block,
            stages=tuple(
                Stage(channels=size, widths=((size // block.expansion,) * inner,) * depth)
                for depth, size in zip(depths, sizes, strict=True)
            ),
            stem=(stem,),
        )
    except SpecError as error:
        raise CheckpointError(f"{fields.where}: {error}") from error


def _depth(fields: Fields) -> int | None:
    """Return the layers that the blocks of each stage make; None: they are not said."""
    layers = {"basic": 2, "bottleneck": 3}.get(fields.text("layer_type") or "")
    depths = _whole(fields.value("depths"))
    return layers * sum(depths) + 2 if layers and depths else None


def _whole(values: object) -> tuple[int, ...]:
    """Return ``values`` if they are whole numbers; else nothing."""
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        return ()
    return tuple(values)
