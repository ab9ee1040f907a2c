"""What flows between the verbs: one ONNX file, and all that is known of it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path

from resnet_deploy.artifact.card import Card
from resnet_deploy.artifact.model_file import TensorSpec
from resnet_deploy.artifact.unfinished import Scratch
from resnet_deploy.spec import InputContract, OutputKind

_PRECISIONS = {"float16": "fp16", "bfloat16": "bf16", "float64": "fp64"}


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One ONNX file: opened where it lies, or made and not yet saved.

    ``card`` is None when another tool wrote it. ``preprocess`` is how images become the input: what
    the card says, or the file itself, or what is assumed. ``output_kind`` is what the end of the
    graph looks like, what the card says, or what the user does; ``assumed_kind``: none of these
    tells, so the usual is assumed. ``gives_probabilities``: the values by class are probabilities
    already, not logits; there are ``values`` of them in the first output, None where the file does
    not say. ``stored`` is the type of the weights in the file. ``names`` of classes are what
    another exporter left in the file; ``notices`` are about what it says of its pictures and can't
    be done, or contradicts its graph. ``taken`` tells which of several outputs was taken unasked.
    ``copy`` is what is read and run where the file itself is not a plain classifier, see
    :attr:`plain`. ``scratch`` keeps the temporary folder of a copy, or of a file that was not saved
    yet; it goes with the last artifact that refers to it.
    """

    path: Path
    sha256: str
    opset: int
    input: TensorSpec
    outputs: tuple[TensorSpec, ...]
    output_kind: OutputKind
    quantized: bool
    card: Card | None
    preprocess: InputContract
    assumed_kind: bool = False
    gives_probabilities: bool = False
    values: int | None = None
    stored: str = "float32"
    names: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    taken: str = ""
    copy: Path | None = field(default=None, repr=False, compare=False)
    scratch: Scratch | None = field(default=None, repr=False, compare=False)

    @property
    def plain(self) -> Path:
        """What is read and run: the file, or a copy of it as a plain classifier.

        A copy is made where an output is not a tensor, where one of several outputs is taken, and
        where the file as it is can't be fed; messages and results name ``path`` all the same.
        """
        return self.copy or self.path

    @property
    def is_saved(self) -> bool:
        """Whether ``path`` stays when nobody refers to this any more."""
        return self.scratch is None or self.copy is not None

    @property
    def made_sha256(self) -> str:
        """SHA-256 of the file as it was made, whatever was recorded in its card since then."""
        return (self.card.made_sha256 if self.card is not None else None) or self.sha256

    @property
    def precision(self) -> str:
        """``int8`` when values become 8 bits in any form, else what its weights are: ``fp32``."""
        return "int8" if self.quantized else _PRECISIONS.get(self.stored, "fp32")

    @property
    def untrained(self) -> bool:
        """Whether the card says that the weights are random: nothing can be expected of them."""
        return self.card is not None and self.card.weights.kind == "random"

    @property
    def output(self) -> TensorSpec:
        """The first output; most files have no other."""
        return self.outputs[0]

    @property
    def assumption(self) -> str:
        """What is assumed of the output, and how to say what it is, in one line."""
        taken, other = {
            OutputKind.SIGMOID: ("the probabilities of classes, one a picture", "multi-label"),
            OutputKind.BINARY: ("the logit of one of two classes", "embedding"),
            OutputKind.EMBEDDING: ("an embedding", "logits, multi-label, …"),
        }.get(self.output_kind, ("logits of classes", "embedding, multi-label, …"))
        return (
            f"{self.path.name}: nothing tells what {self.output} is; taken for {taken} (assumed; "
            f"else say --output-kind {other})"
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the values by class: the card's, else another exporter's."""
        return (self.card.labels if self.card is not None else ()) or self.names

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of all classes; two for one value, empty where nobody named any."""
        if self.output_kind is not OutputKind.BINARY or len(self.labels) == 2:
            return self.labels
        positive = self.labels[0] if len(self.labels) == 1 else ""
        return (f"not {positive}", positive) if positive else ("no", "yes")

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image's input; what is dynamic is taken from the input contract."""
        likely = self.preprocess.shape
        return tuple(n or usual for n, usual in zip(self.input.shape[1:], likely, strict=True))

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        # The reports are a layer above this one, which must not import them.
        html: str = importlib.import_module("resnet_deploy.report").notebook(self)
        return html
