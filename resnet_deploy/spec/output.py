"""What a network answers."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from resnet_deploy.errors import SpecError

LABEL_THRESHOLD = 0.5
"""A picture has a label from this probability on, which is a logit of 0."""


class OutputKind(str, enum.Enum):
    """``logits`` and ``softmax`` by class; ``top-k``: the best classes and their probabilities.

    ``sigmoid``: a probability for each class, of which a picture is one; ``binary``: one logit or
    probability of two classes; ``multi-label``: a logit or probability for each label, of which a
    picture has any number. ``embedding``: the pooled features in front of the classifier, for
    retrieval; ``features``: the maps C2 to C5 of the four stages, for detection and segmentation
    heads. Cards say ``softmax``; ``probabilities`` is another word for it.
    """

    LOGITS = "logits"
    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    BINARY = "binary"
    MULTI_LABEL = "multi-label"
    TOP_K = "top-k"
    EMBEDDING = "embedding"
    FEATURES = "features"

    @classmethod
    def _missing_(cls, value: object) -> OutputKind | None:
        return cls.SOFTMAX if value == "probabilities" else None

    @property
    def word(self) -> str:
        """What it is called in sentences and on the command line."""
        return "probabilities" if self is OutputKind.SOFTMAX else self.value

    @property
    def has_classes(self) -> bool:
        """Whether the answer says which class an image is of."""
        return self not in (OutputKind.MULTI_LABEL, OutputKind.EMBEDDING, OutputKind.FEATURES)

    @property
    def has_names(self) -> bool:
        """Whether a value, or two of one, belongs to a name."""
        return self.has_classes or self is OutputKind.MULTI_LABEL


_EXPORTED = (OutputKind.LOGITS, OutputKind.SOFTMAX, OutputKind.EMBEDDING, OutputKind.FEATURES)
"""What ``export`` makes, except for top-K."""


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

    @classmethod
    def parse(cls, text: str, *, stride: int = 32) -> OutputSpec:
        """Return the spec that ``text`` names: ``logits``, ``softmax``, ``top-5``, ….

        Raises:
            SpecError: it names none.
        """
        top = re.fullmatch(r"top-?([1-9]\d*)", text.lower())
        if top is not None:
            return cls(kind=OutputKind.TOP_K, k=int(top[1]), stride=stride)
        plain = {kind.value: kind for kind in _EXPORTED}
        if text.lower() not in plain:
            raise SpecError(
                f"there is no output {text!r}: use logits, softmax, top-K with a number such as "
                "top-5, embedding or features"
            )
        return cls(kind=plain[text.lower()], stride=stride)

    @property
    def name(self) -> str:
        """What :meth:`parse` takes, such as ``top-5``."""
        return f"top-{self.k}" if self.kind is OutputKind.TOP_K else self.kind.value

    def tensor_names(self, stages: int = 4) -> tuple[str, ...]:
        """Return the names of the graph's outputs, in order; ``stages`` counts feature maps.

        ``logits`` and ``probabilities`` ``(N, classes)``; for top-K ``probabilities`` ``(N, K)``
        and ``classes`` ``(N, K)`` int64, most likely first; ``embedding`` ``(N, C)``; ``c2`` to
        ``c5`` ``(N, C, H, W)``, the paper's conv2_x to conv5_x (CIFAR nets end with ``c4``).
        """
        return {
            OutputKind.LOGITS: ("logits",),
            OutputKind.SOFTMAX: ("probabilities",),
            OutputKind.TOP_K: ("probabilities", "classes"),
            OutputKind.EMBEDDING: ("embedding",),
            OutputKind.FEATURES: tuple(f"c{stage + 2}" for stage in range(stages)),
        }[self.kind]
