"""What the metadata of a file says of the pictures that its net takes.

That is ONNX's own image metadata (``Image.BitmapPixelFormat`` and the like, and the denotations of
the input's dimensions), Ultralytics' ``imgsz``, and the words of torchvision, timm and transformers
where somebody wrote them into the file, alone or as the JSON of a configuration.

Source: ONNX, docs/MetadataProps.md and docs/DimensionDenotation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

from resnet_deploy.artifact.metadata import literal, refused
from resnet_deploy.errors import SpecError, one_line
from resnet_deploy.spec import InputOptions

Said = dict[str, object]
"""Values by the names of the fields of ``InputOptions``."""

_PIXEL_FORMATS = {"gray8": "grey", "rgb8": "RGB", "bgr8": "BGR"}
_RANGES = {
    "nominalrange_0_255": (0.0, 255.0),
    "normalized_0_1": (0.0, 1.0),
    "normalized_1_1": (-1.0, 1.0),
    "nominalrange_16_235": (16.0, 235.0),
}

_ALIASES = {
    "mean": ("mean", "image_mean", "input_mean", "pixel_mean", "norm_mean"),
    "std": ("std", "image_std", "input_std", "pixel_std", "norm_std"),
    "range": ("range", "input_range", "pixel_range", "value_range"),
    "channel_order": ("channel_order", "color_order", "color_mode", "color_format", "pixel_format"),
    "layout": ("layout", "input_layout", "data_format"),
    "interpolation": ("interpolation", "resample", "resample_filter"),
    "crop": ("crop_pct", "crop_fraction", "crop_ratio"),
    "resize_mode": ("resize_mode", "crop_mode"),
    "resize": ("resize", "resize_size"),
    "image_size": ("imgsz", "input_size", "image_size", "img_size", "crop_size"),
}
"""Keys by what they say; the first that is there counts."""

_CONFIGS = (
    *("preprocessor_config", "preprocessor_config.json", "pretrained_cfg", "preprocess"),
    *("preprocessing", "data_config", "transforms"),
)
"""Keys whose value is a configuration in JSON."""

_LAYOUTS = {"channels_first": "NCHW", "channels_last": "NHWC", "nchw": "NCHW", "nhwc": "NHWC"}
_MODES = {"crop": "crop", "center": "crop", "squash": "squash", "pad": "pad"}
_PILLOW = ("nearest", "lanczos", "bilinear", "bicubic", "box")
"""By Pillow's numbers, as transformers writes them."""

_MOST_SHOWN = 60
_DIGITS = 6
_MOST_CHANNELS = 4


@dataclass(frozen=True, kw_only=True)
class PictureMetadata:
    """What metadata says, and in ``notices`` what of it can't be done or means nothing."""

    options: InputOptions
    notices: tuple[str, ...] = ()


def picture_metadata(
    metadata: Mapping[str, str], denotations: Sequence[str] = ()
) -> PictureMetadata:
    """Return what ``metadata`` and the ``denotations`` of the input's dimensions say.

    Values that nothing can be done with are named in a notice; unknown keys are no matter.
    """
    notices = list(refused(metadata))
    plain = {key.lower(): value for key, value in metadata.items()}
    said: Said = {}
    for source in (_configs(plain), _own(plain), _ultralytics(plain), _of_onnx(plain, notices)):
        said |= source
    if "DATA_CHANNEL" in denotations and len(denotations) == 4:
        place = denotations.index("DATA_CHANNEL")
        said |= {1: {"layout": "NCHW"}, 3: {"layout": "NHWC"}}.get(place, {})
    return PictureMetadata(options=_checked(said, notices), notices=tuple(notices))


def _checked(said: Said, notices: list[str]) -> InputOptions:
    """Return as options what of ``said`` is valid; the rest becomes notices."""
    good: Said = {}
    for name in (field.name for field in fields(InputOptions) if field.name in said):
        try:
            InputOptions(**{**good, name: said[name]})  # type: ignore[arg-type]
        except (SpecError, TypeError, ValueError, OverflowError) as error:
            shown = repr(said[name])[:_MOST_SHOWN]
            notices.append(f"metadata says {name} {shown}, which is ignored ({one_line(error)})")
        else:
            good[name] = said[name]
    return InputOptions(**good)  # type: ignore[arg-type]


def _of_onnx(metadata: Mapping[str, str], notices: list[str]) -> Said:
    """Return what ONNX's keys say; they and their values are written in any case."""
    said: Said = {}
    pixels = metadata.get("image.bitmappixelformat", "").strip().lower()
    if pixels in _PIXEL_FORMATS:
        said["channel_order"] = _PIXEL_FORMATS[pixels]
    elif pixels:
        notices.append(_not_done("Image.BitmapPixelFormat", pixels, "Gray8, Rgb8 and Bgr8"))
    gamma = metadata.get("image.colorspacegamma", "").strip().lower()
    if gamma not in ("", "srgb"):
        notices.append(_not_done("Image.ColorSpaceGamma", gamma, "SRGB, as pictures are stored"))
    nominal = metadata.get("image.nominalpixelrange", "").strip().lower()
    if nominal in _RANGES:
        said["range"] = _RANGES[nominal]
    elif nominal:
        notices.append(
            _not_done("Image.NominalPixelRange", nominal, "0 to 255, 16 to 235, 0 to 1, -1 to 1")
        )
    return said


def _not_done(key: str, value: str, known: str) -> str:
    return f"metadata says {key} {value[:_MOST_SHOWN]!r}: pictures are fed as {known} only"


def _ultralytics(metadata: Mapping[str, str]) -> Said:
    """Return how Ultralytics prepares pictures for its classifiers.

    Source: ``classify_transforms`` in ultralytics/data/augment.py.
    """
    origin = " ".join(metadata.get(key, "") for key in ("author", "description", "docs"))
    task = metadata.get("task", "").strip().lower()
    if task != "classify" or "ultralytics" not in origin.lower()[:4096]:
        return {}
    said: Said = {"range": (0.0, 1.0), "interpolation": "bilinear", "crop": 1.0}
    said["channel_order"] = "grey" if metadata.get("channels", "").strip() == "1" else "RGB"
    size = _size(literal(metadata.get("imgsz", "")))
    square = isinstance(size, int) or (size is not None and size[0] == size[1])
    if size is not None:
        said["resize_mode"] = "crop" if square else "squash"
    return said


def _own(metadata: Mapping[str, str]) -> Said:
    """Return what single keys say."""
    known = {key for keys in _ALIASES.values() for key in keys}
    return _by_alias({key: _value(text) for key, text in metadata.items() if key in known})


def _value(text: str) -> object:
    """Return a literal; several numbers may stand there without brackets."""
    found = literal(text)
    if found is None and len(text) < 200:
        parts = text.replace(",", " ").split()
        try:
            return [float(part) for part in parts] if len(parts) > 1 else text.strip()
        except ValueError:
            return text.strip()
    return found


def _configs(metadata: Mapping[str, str]) -> Said:
    """Return what configurations of timm and transformers say that are whole in one value."""
    said: Said = {}
    for key in _CONFIGS:
        found = literal(metadata.get(key, ""))
        if isinstance(found, dict):
            inner = found.get("pretrained_cfg")
            config = inner if isinstance(inner, dict) else found
            said |= _by_alias({str(name).lower(): value for name, value in config.items()})
            said |= _of_transformers(config)
    return said


def _of_transformers(config: Mapping[object, object]) -> Said:
    """Return what a ``preprocessor_config.json`` means beyond its single keys."""
    said: Said = {}
    if config.get("do_normalize") is False:
        rescaled = config.get("do_rescale", True)
        said["range"] = (0.0, 1.0) if rescaled else (0.0, 255.0)
    size, crop = _size(config.get("size")), _size(config.get("crop_size"))
    if config.get("do_center_crop") and crop is not None and size is not None:
        said |= {"image_size": crop, "resize": size}
    elif size is not None and isinstance(config.get("size"), dict):
        said["image_size"] = size
        exact = "height" in config["size"]  # type: ignore[operator]
        said["resize_mode"] = "squash" if exact else "crop"
    return said


def _by_alias(values: Mapping[str, object]) -> Said:
    said: Said = {}
    for name, keys in _ALIASES.items():
        found = next((values[key] for key in keys if values.get(key) not in (None, "")), None)
        known = None if found is None else _READ[name](found)
        if known is not None:
            said[name] = known
    if "crop" in said and "resize" in said:
        del said["crop"]
    return said


def _word(value: object) -> str:
    return value.strip().lower() if isinstance(value, str) else ""


def _few_numbers(value: object) -> object | None:
    single = isinstance(value, int | float) and not isinstance(value, bool)
    return value if single or isinstance(value, list | tuple) else None


def _share(value: object) -> object | None:
    return value if isinstance(value, float) or value == 1 else None


def _filter(value: object) -> str | None:
    if isinstance(value, int) and 0 <= value < len(_PILLOW):
        return _PILLOW[value]
    return next((known for known in _PILLOW if _word(value).endswith(known)), None)


def _order(value: object) -> str | None:
    word = _word(value)
    if word.startswith(("gray", "grey")):
        return "grey"
    return {"rgb": "RGB", "bgr": "BGR", "l": "grey"}.get(word)


def _size(value: object) -> int | tuple[int, int] | None:
    """Return a side, or height and width, of any of the forms that these are written in."""
    if isinstance(value, dict):
        pair = [value.get("height"), value.get("width")]
        edge = value.get("shortest_edge")
        return _size(edge) if None in pair else _size(pair)
    if isinstance(value, str):
        parts = value.replace("x", " ").replace(",", " ").split()
        short = all(part.isdecimal() and len(part) < _DIGITS for part in parts)
        value = [int(part) for part in parts] if short else None
    several = list(value) if isinstance(value, list | tuple) else [value]
    numbers = [number for number in several if type(number) is int]
    if len(numbers) < len(several):
        return None
    if len(numbers) == 3:  # (channels, height, width), as timm, or channels last
        numbers = numbers[1:] if numbers[0] <= _MOST_CHANNELS else numbers[:2]
    if len(numbers) == 1:
        return numbers[0]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


_READ: Mapping[str, Callable[[object], object | None]] = {
    "mean": _few_numbers,
    "std": _few_numbers,
    "range": lambda value: value if isinstance(value, list | tuple | str) else None,
    "channel_order": _order,
    "layout": lambda value: _LAYOUTS.get(_word(value)),
    "interpolation": _filter,
    "crop": _share,
    "resize_mode": lambda value: _MODES.get(_word(value)),
    "resize": _size,
    "image_size": _size,
}
"""How a value becomes that of the field; None where it is about something else."""
