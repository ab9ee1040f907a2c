"""What code around a network must do: from an image to the input, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.runners.classes import check_has_classes
from resnet_deploy.spec import ChannelOrder, InputContract, OutputKind

_ARRAYS = (OutputKind.EMBEDDING, OutputKind.FEATURES)
"""Kinds whose values belong to no class."""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The input and output of one network, as the code in a bundle needs them.

    ``input_shape`` is that of one image, without the batch; empty where the graph resizes, and so
    takes ``(H, W, C)`` of any size. ``batch`` is None where the file takes any number of images.
    ``num_classes`` is 0, and ``labels`` empty, where it gives arrays: features or an embedding.
    ``k`` is how many classes a top-K net names, else 0. ``labels`` has one line per class.
    """

    name: str
    precision: str
    preprocess: InputContract
    input_name: str
    input_dtype: str
    input_shape: tuple[int, ...]
    batch: int | None
    output_names: tuple[str, ...]
    output_kind: OutputKind
    num_classes: int
    k: int
    labels: tuple[str, ...]

    @property
    def has_classes(self) -> bool:
        """Whether the answer names a class; else it is an array, or several."""
        return self.num_classes > 0

    @property
    def gives_probabilities(self) -> bool:
        """Whether the scores are probabilities already, not logits."""
        return self.output_kind in (OutputKind.SOFTMAX, OutputKind.TOP_K)


def contract_of(artifact: Artifact) -> Contract:
    """Return the contract of ``artifact``.

    Raises:
        UnsupportedGraphError: it does not take images as its input contract says, gives labels or
            other values than float32, or does not say how many classes there are.
    """
    gives_arrays = artifact.output_kind in _ARRAYS
    if not gives_arrays:
        check_has_classes(artifact)
    if artifact.output_kind is OutputKind.BINARY:
        raise UnsupportedGraphError(
            f"{artifact.path} gives one value for two classes, and the code of a bundle takes one "
            "for each: export it with two outputs"
        )
    preprocess = input_preprocess(artifact)
    if preprocess.channel_order in (ChannelOrder.RGBA, ChannelOrder.BANDS):
        kind = preprocess.channel_order.value
        raise UnsupportedGraphError(
            f"{artifact.path} takes {preprocess.channels} channels ({kind}), and the code of "
            "bundles reads RGB and grey ones: run it with resnet-deploy evaluate"
        )
    k, classes = (0, 0) if gives_arrays else _counts(artifact)
    if artifact.input.dtype not in ("float32", "uint8"):
        raise UnsupportedGraphError(
            f"{artifact.path} takes {artifact.input.dtype}, and the code of bundles feeds float32: "
            f"bundle the int8 file that resnet-deploy quantize {artifact.path.name} writes, or "
            "convert it again with its inputs and outputs kept in float32 (keep_io_types)"
        )
    for output in artifact.outputs if gives_arrays else artifact.outputs[:1]:
        if output.dtype != "float32":
            raise UnsupportedGraphError(
                f"{artifact.path} gives {output.dtype}, and bundles read float32: export it with "
                "float32 outputs"
            )
    labels = () if gives_arrays else artifact.labels
    if labels and len(labels) != classes:
        raise UnsupportedGraphError(
            f"{artifact.path} has {len(labels)} labels for {classes} classes: export it again"
        )
    sigmoid = artifact.output_kind is OutputKind.SIGMOID
    return Contract(
        name=one_line(artifact.path.stem),
        precision=artifact.precision,
        preprocess=preprocess,
        input_name=artifact.input.name,
        input_dtype=artifact.input.dtype,
        input_shape=() if preprocess.resize_in_graph else artifact.image_shape,
        batch=artifact.input.shape[0],
        output_names=tuple(tensor.name for tensor in artifact.outputs),
        # A sigmoid's values are probabilities like those of a softmax: the code takes them as such.
        output_kind=OutputKind.SOFTMAX if sigmoid else artifact.output_kind,
        num_classes=classes,
        k=k,
        labels=tuple(
            one_line(label) or f"class {index}"
            for index, label in enumerate(labels or [""] * classes)
        ),
    )


def _counts(artifact: Artifact) -> tuple[int, int]:
    """Return how many classes a top-K file names, else 0; and how many there are."""
    if artifact.output_kind is OutputKind.TOP_K:
        k = artifact.output.shape[-1]
        classes = artifact.card.model.num_classes if artifact.card is not None else 0
    else:
        # Some models keep the 1x1 of their last pooling behind the classes.
        shape = artifact.output.shape
        k, classes = 0, (shape[1] if len(shape) > 1 else None) or artifact.values or 0
    if not classes or k is None:
        raise UnsupportedGraphError(
            f"{artifact.path} does not say how many classes it has: bundle a file exported by "
            "resnet-deploy"
        )
    return k, classes


def one_line(label: str) -> str:
    """Return ``label`` without what ends a line or a string, or steers a terminal.

    A label file has one label per line, and a name stands in headings.
    """
    return " ".join("".join(c if c.isprintable() else " " for c in label).split())
