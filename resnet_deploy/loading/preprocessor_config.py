"""How transformers prepares pictures: ``preprocessor_config.json`` as an input contract.

Source: ``image_processing_*.py`` of https://github.com/huggingface/transformers. What a field means
depends on the class of the processor: ``ConvNextImageProcessor``, which its ResNets use, crops what
was resized to ``size / crop_pct`` below 384 pixels, and squashes from there on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from resnet_deploy.errors import CheckpointError
from resnet_deploy.loading.config_file import Fields, is_side, read_config
from resnet_deploy.spec import ChannelOrder, InputOptions, ResizeMode

_PILLOW = ("nearest", "lanczos", "bilinear", "bicubic", "box")
"""By the numbers of ``PIL.Image.Resampling``."""

_CLASS = re.compile(r"(\w+?)(?:ImageProcessor(?:Fast|Pil)?|FeatureExtractor)")

_BY_SHORTER_SIDE = frozenset(
    {
        *("Bit", "ChineseCLIP", "CLIP", "ConvNext", "EfficientFormer", "Levit", "MobileNetV1"),
        *("MobileNetV2", "MobileViT", "PoolFormer", "VideoMAE"),
    }
)
"""Processors for which a ``size`` that is one number is that of the shorter side."""

_FLIPPING = frozenset({"MobileViT"})
"""Processors that give BGR unless told otherwise."""

_SQUASHED_FROM = 384
_USUAL_CROP = 224 / 256
_LARGEST_FACTOR = 255.0

Pair = tuple[int, int]


@dataclass(frozen=True)
class Pictures:
    """What a file says of pictures, the size of the net's input (None: not said), and remarks."""

    options: InputOptions
    size: int | None = None
    notices: tuple[str, ...] = ()


def preprocessor_beside(folder: Path, wanted: int | None) -> Pictures | None:
    """Return what ``preprocessor_config.json`` in ``folder`` says; None where there is none.

    ``wanted`` is the size that the user asked for, which goes before the file's.

    Raises:
        CheckpointError: it is damaged, or asks for what no contract can say.
    """
    fields = read_config(folder / "preprocessor_config.json")
    if fields is None and (whole := read_config(folder / "processor_config.json")) is not None:
        fields = whole.below("image_processor")
    return None if fields is None else _pictures(fields, wanted)


def _pictures(fields: Fields, wanted: int | None) -> Pictures:
    found = _CLASS.fullmatch(
        fields.text("image_processor_type") or fields.text("feature_extractor_type") or ""
    )
    kind = found[1] if found else ""
    geometry, values = _geometry(fields, kind, wanted), _values(fields)
    size, area, crop = geometry.size, geometry.area, None
    if size is not None and area is not None and wanted not in (None, size):
        crop, area = size / min(area), None  # another size of the same recipe keeps its share
    return Pictures(
        InputOptions(
            range=values.range,
            mean=values.mean,
            std=values.std,
            channel_order=_order(fields, kind),
            resize=area,
            resize_mode=geometry.mode,
            interpolation=_interpolation(fields),
            crop=crop,
            image_size=size if wanted is None else None,
        ),
        size,
    )


def _values(fields: Fields) -> InputOptions:
    """Return range, mean and std."""
    mean, std = fields.per_channel("image_mean"), fields.deviations("image_std")
    factor = fields.number("rescale_factor", most=_LARGEST_FACTOR)
    rescaled, offset = fields.flag("do_rescale"), fields.flag("rescale_offset")
    if fields.flag("do_normalize") is False:
        mean, std = (0.0,), (1.0,)
    if mean is None or std is None:
        # A range alone would say that nothing is subtracted.
        return InputOptions(mean=mean, std=std)
    low, high = 0.0, 255.0
    if rescaled is not False:
        high = round(255 * (1 / 255 if factor is None else factor), 6)
        low, high = (-1.0, high - 1) if offset else (low, high)
    if high <= low:
        raise fields.wrong("rescale_factor", "too small")
    return InputOptions(range=(low, high), mean=mean, std=std)


def _order(fields: Fields, kind: str) -> ChannelOrder | None:
    flipped = fields.flag("do_flip_channel_order")
    if flipped is None and kind in _FLIPPING:
        flipped = True
    return ChannelOrder.BGR if flipped else ChannelOrder.RGB


def _interpolation(fields: Fields) -> str | None:
    """Return Pillow's name of the filter; Hamming's is none of ours, and says nothing."""
    value = fields.value("resample")
    if isinstance(value, str):
        name = value.lower()
        return name if name in _PILLOW else None
    if value is None:
        return None
    number = fields.count("resample")
    if number is None or number > len(_PILLOW):
        raise fields.wrong("resample", "not a filter of Pillow's")
    return _PILLOW[number] if number < len(_PILLOW) else None


@dataclass(frozen=True)
class _Geometry:
    """The size of the input, the area it is resized to before, and how; None: not said."""

    size: int | None = None
    area: Pair | None = None
    mode: ResizeMode | None = None


def _geometry(fields: Fields, kind: str, wanted: int | None) -> _Geometry:
    if fields.flag("do_resize") is False:
        return _Geometry()
    edge, area = _size(fields, kind)
    crop = None if fields.flag("do_center_crop") is False else _square(fields, "crop_size", wanted)
    if edge is not None:
        return _by_shorter_side(fields, kind, edge, crop, wanted)
    if area is None:
        return _Geometry(crop)
    if crop is not None:
        return _Geometry(crop, area, ResizeMode.SQUASH) if crop <= min(area) else _Geometry(crop)
    if area[0] != area[1] and wanted is None:
        raise _no_square(fields, "size", area)
    return _Geometry(min(area), area, ResizeMode.SQUASH)


def _by_shorter_side(
    fields: Fields, kind: str, edge: int, crop: int | None, wanted: int | None
) -> _Geometry:
    crop_pct = fields.number("crop_pct", most=1)
    if kind == "ConvNext":
        if (wanted or edge) >= _SQUASHED_FROM:
            return _Geometry(edge, (edge, edge), ResizeMode.SQUASH)
        crop, crop_pct = edge, crop_pct or _USUAL_CROP
    elif kind == "Levit":
        crop_pct = _USUAL_CROP
    if crop_pct is not None:
        edge = fields.checked_side("crop_pct", edge / crop_pct)
    if crop is None or crop > edge:  # what is left has no fixed shape, or a border
        return _Geometry(crop)
    return _Geometry(crop, (edge, edge), ResizeMode.CROP)


def _size(fields: Fields, kind: str) -> tuple[int | None, Pair | None]:
    """Return the shorter side that ``size`` names, or the height and width."""
    value = fields.value("size")
    if isinstance(value, dict):
        below = fields.below("size")
        assert below is not None, "it is an object"
        height, width = below.side("height"), below.side("width")
        if height is not None and width is not None:
            return None, (height, width)
        return (None if "longest_edge" in below else below.side("shortest_edge")), None
    if isinstance(value, list):
        if len(value) != 2 or not all(map(is_side, value)):
            raise fields.wrong("size", "not a height and a width in pixels")
        return None, (int(value[0]), int(value[1]))
    side = fields.side("size")
    if side is None:
        return None, None
    cropped = kind == "" and fields.flag("do_center_crop") is True
    if kind in _BY_SHORTER_SIDE or cropped or "crop_pct" in fields:
        return side, None
    return None, (side, side)


def _square(fields: Fields, key: str, wanted: int | None) -> int | None:
    """Return the side of the square that field ``key`` names."""
    value = fields.value(key)
    if not isinstance(value, dict):
        return fields.side(key)
    below = fields.below(key)
    assert below is not None, "it is an object"
    height, width = below.side("height"), below.side("width")
    if height is None or width is None:
        return below.side("shortest_edge")
    if height != width and wanted is None:
        raise _no_square(fields, key, (height, width))
    return min(height, width)


def _no_square(fields: Fields, key: str, size: Pair) -> CheckpointError:
    return CheckpointError(
        f"{fields.where}: {key} is {size[0]}x{size[1]} pixels, and the networks here take squares: "
        "say which with --image-size"
    )
