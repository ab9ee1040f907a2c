"""From a model that was read to an :class:`Artifact`: its card, or what the file itself tells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import onnx

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import CARD_KEY, Card
from resnet_deploy.artifact.card_fit import misfit
from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.artifact.metadata import class_names, refused
from resnet_deploy.artifact.model_file import TensorSpec, metadata_of, tensor_spec
from resnet_deploy.artifact.output_kind import PROBABILITIES, assumed_output, is_guess, kind_of
from resnet_deploy.canonical.floats import stored_types
from resnet_deploy.errors import ArtifactError
from resnet_deploy.graph.meaning import Meaning, meaning_of
from resnet_deploy.graph.releases import opset_of
from resnet_deploy.spec import OutputKind
from resnet_deploy.spec.bounds import MOST_INPUT_VALUES

_WITH_BACKGROUND = 1001
"""Outputs of TensorFlow's ImageNet nets: the background is in front of the 1000 classes."""

_LARGEST_SIZE = 1 << 16
"""Of an axis of the input."""

_MOST_SHOWN = 4
"""Inputs that a message lists."""


def describe(model: onnx.ModelProto, path: Path, *, opset: int | None = None) -> Artifact:
    """Return the artifact that ``model``, read from ``path``, is.

    ``opset`` is that of the file, where ``model`` was raised to another one.
    """
    initializers = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initializers]
    if len(inputs) != 1 or not model.graph.output:
        raise ArtifactError(_not_one_input(path, inputs, len(model.graph.output)))
    stored = stored_types(model)
    spec = _as_stored(tensor_spec(inputs[0]), stored)
    if len(spec.shape) != 4:
        raise ArtifactError(
            f"{path} takes an input of shape {list(spec.shape)}: an image classifier takes "
            "(N, C, H, W)"
        )
    if max((size for size in spec.shape if size is not None), default=0) > _LARGEST_SIZE:
        raise ArtifactError(f"{path} takes an input {spec}: no picture is as large")
    metadata = metadata_of(model)
    text = metadata.get(CARD_KEY)
    card = None if text is None else _card(text, path)
    if card is None:
        # Reading a stranger's graph takes modules that our own files need not wait for.
        from resnet_deploy.artifact.foreign_contract import foreign_contract
        from resnet_deploy.graph.answer_shape import sized_output

        contract, notices = foreign_contract(model.graph, spec, metadata)
        usual = zip(spec.shape[1:], contract.shape, strict=True)
        output = sized_output(model, [size or likely for size, likely in usual])
        meaning = meaning_of(model.graph, output)
    else:
        contract, notices = card.preprocess, tuple(refused(metadata))
        meaning = meaning_of(model.graph)
    _check_values(path, spec, contract.shape)
    names = _fitting(class_names(metadata), meaning.values)
    kind = kind_of(meaning, card, len(names))
    outputs = tuple(_as_stored(tensor_spec(value), stored) for value in model.graph.output)
    if card is not None:
        problem = misfit(card, model.graph, spec, outputs, meaning, kind)
        if problem is not None:
            raise ArtifactError(f"{path}: its card says {problem}: export again")
    return Artifact(
        path=path,
        sha256=sha256_of(path),
        opset=opset_of(model) if opset is None else opset,
        input=spec,
        outputs=outputs,
        output_kind=kind or meaning.usual,
        assumed_kind=_is_assumed(meaning, card, kind, integers=outputs[0].is_integer),
        gives_probabilities=meaning.probabilities or kind in PROBABILITIES,
        values=meaning.values,
        stored=stored.get("", "float32"),
        names=names,
        preprocess=contract,
        notices=notices,
        quantized=any(map(_is_int8, model.graph.node)),
        card=card,
    )


def _check_values(path: Path, spec: TensorSpec, likely: Sequence[int]) -> None:
    """Refuse an input that takes gigabytes, whatever the file is: its batch, or its card, says so.

    Raises:
        ArtifactError: it does.
    """
    sides = (size or usual for size, usual in zip(spec.shape[1:], likely, strict=True))
    values = math.prod(sides) * (spec.shape[0] or 1)
    if values > MOST_INPUT_VALUES:
        raise ArtifactError(
            f"{path} takes an input {spec}, {values:,} values at once where "
            f"{MOST_INPUT_VALUES:,} are the most: export it for a free or smaller batch, or "
            "smaller pictures"
        )


def _card(text: str, path: Path) -> Card:
    """Return the card in the file at ``path``.

    Raises:
        ArtifactError: it is none that this version reads.
    """
    try:
        return Card.from_json(text)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error


def _not_one_input(path: Path, inputs: Sequence[onnx.ValueInfoProto], outputs: int) -> str:
    """Return why a file that does not take one picture is refused."""
    if len(inputs) < 2 or not outputs:
        return (
            f"{path} has {len(inputs)} inputs and {outputs} outputs: an image classifier has one "
            "input and at least one output"
        )
    shown = ", ".join(str(tensor_spec(value)) for value in inputs[:_MOST_SHOWN])
    return (
        f"{path} has {len(inputs)} inputs and {outputs} outputs: {shown}; an image classifier "
        "takes the picture alone: export it with the others as constants"
    )


def _is_int8(node: onnx.NodeProto) -> bool:
    """Whether ``node`` makes 8 bits of its values, or takes them; stored weights alone may be."""
    kinds = ("QuantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QGemm")
    return node.op_type in kinds or node.op_type.startswith(("QLinear", "DynamicQuantize"))


def _as_stored(spec: TensorSpec, stored: Mapping[str, str]) -> TensorSpec:
    """Return ``spec`` of a canonical graph with the type that the file itself takes or gives."""
    return replace(spec, dtype=stored.get(spec.name, spec.dtype))


def _is_assumed(
    meaning: Meaning, card: Card | None, kind: OutputKind | None, *, integers: bool
) -> bool:
    if integers:
        return False  # numbers of classes, which are taken for no values
    if card is None or kind is None:
        return kind is None or is_guess(meaning)
    return assumed_output(kind) in card.assumed


def _fitting(names: tuple[str, ...], values: int | None) -> tuple[str, ...]:
    """Return ``names`` where they can be those of ``values``: one value has two classes."""
    if values == _WITH_BACKGROUND and len(names) == values - 1:
        return ("background", *names)
    fits = values is None or len(names) == values or (values == 1 and len(names) == 2)
    return names if fits else ()
