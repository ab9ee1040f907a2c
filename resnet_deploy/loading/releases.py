"""torchvision's published files, by what their names end in: the first digits of their SHA-256.

Every one was trained on ImageNet; what differs is the resize in front of the crop of 224 pixels.
Source: ``torchvision/models/resnet.py`` and ``vgg.py`` of https://github.com/pytorch/vision.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from resnet_deploy.spec import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ChannelOrder,
    InputOptions,
    ResizeMode,
)

SIZE = 224
_V1, _V2 = 256, 232

_RESIZES = {
    # IMAGENET1K_V1, and the same nets in the files of older versions.
    **dict.fromkeys(
        (
            *("resnet18-f37072fd", "resnet34-b627a593", "resnet50-0676ba61"),
            *("resnet101-63fe2227", "resnet152-394f9c45"),
            *("resnet18-5c106cde", "resnet34-333f7ec4", "resnet50-19c8e357"),
            *("resnet101-5d3b4d8f", "resnet152-b121ed2d"),
            *("resnext50_32x4d-7cdf4587", "resnext101_32x8d-8ba56ff5"),
            *("wide_resnet50_2-95faca4d", "wide_resnet101_2-32ee1156"),
            *("vgg19-dcbb9e9d", "vgg19_bn-c79401a0"),
        ),
        _V1,
    ),
    # IMAGENET1K_V2; of resnext101_64x4d the only one.
    **dict.fromkeys(
        (
            *("resnet50-11ad3fa6", "resnet101-cd907fc2", "resnet152-f82ba261"),
            *("resnext50_32x4d-1a0047aa", "resnext101_32x8d-110c445d", "resnext101_64x4d-173b62eb"),
            *("wide_resnet50_2-9ba9bcbe", "wide_resnet101_2-d733dc28"),
        ),
        _V2,
    ),
}
_BY_DIGITS = {name.rpartition("-")[2]: name for name in _RESIZES}
_DIGITS = 8


@dataclass(frozen=True)
class Release:
    """A published file: its name without ``.pth``, and the resize of its recipe in pixels.

    ``proved``: the file is it, byte for byte. Otherwise only its name says so.
    """

    name: str
    resize: int
    proved: bool

    def options(self, wanted: int | None) -> InputOptions:
        """Return its recipe; for the size that the user ``wanted``, the same share is cropped."""
        other = wanted not in (None, SIZE)
        return InputOptions(
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            range=(0.0, 1.0),
            channel_order=ChannelOrder.RGB,
            resize=None if other else self.resize,
            crop=SIZE / self.resize if other else None,
            resize_mode=ResizeMode.CROP,
            interpolation="bilinear",
            image_size=SIZE if wanted is None else None,
        )


def published(path: Path) -> Release:
    """Return the file that ``--weights imagenet`` stands for, which was checked as it came."""
    return Release(path.stem, _V1, proved=True)


def release_of(file_name: str, sha256: str) -> Release | None:
    """Return the published file of this content, or else of this name; None: of neither.

    Args:
        file_name: without a folder.
        sha256: of the content, in hexadecimal digits.
    """
    if (name := _BY_DIGITS.get(sha256[:_DIGITS])) is not None:
        return Release(name, _RESIZES[name], proved=True)
    # Browsers write "resnet50-11ad3fa6 (1).pth", people append what they like.
    claimed = next((name for name in _RESIZES if file_name.startswith(name)), None)
    return None if claimed is None else Release(claimed, _RESIZES[claimed], proved=False)
