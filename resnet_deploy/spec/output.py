"""What a network answers."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from resnet_deploy.errors import SpecError


class OutputKind(str, enum.Enum):
    """``logits`` and ``softmax`` by class; ``top-k``: the best classes and their probabilities.

    ``embedding``: the pooled features in front of the classifier, for retrieval; ``features``: the
    maps C2 to C5 of the four stages, for detection and segmentation heads.
    """

    LOGITS = "logits"
    SOFTMAX = "softmax"
    TOP_K = "top-k"
    EMBEDDING = "embedding"
    FEATURES = "features"


@dataclass(frozen=True, kw_only=True)
class OutputSpec:
    """What the graph's outputs are.

    ``k`` is of ``top-k`` alone, and 0 otherwise. ``stride`` is how many pixels of the image one
    pixel of the last stage stands for: 32 in the paper; with 16 or 8 the last one or two stages
    dilate their 3x3 convolutions instead of striding.

    Raises:
        SpecError: ``k`` does not fit ``kind``, or there is no such stride.
    """

    kind: OutputKind = OutputKind.LOGITS
    k: int = 0
    stride: int = 32

    def __post_init__(self) -> None:
        if (self.k > 0) != (self.kind is OutputKind.TOP_K):
            raise SpecError(f"{self.kind.value} with k = {self.k}: top-k, and only it, needs a k")
        if self.stride not in (8, 16, 32):
            raise SpecError(f"there is no output stride {self.stride}: use 8, 16 or 32")
