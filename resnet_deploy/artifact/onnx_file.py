"""What flows: an ``.onnx`` file that describes itself by a card in its ``metadata_props``."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx

from resnet_deploy.artifact.card import CARD_KEY, Card
from resnet_deploy.artifact.files import Scratch, sha256_of, write_atomically
from resnet_deploy.artifact.metadata import class_names
from resnet_deploy.artifact.model_file import (
    TensorSpec,
    metadata_of,
    parse_model,
    plain_model,
    read_file,
    read_model,
    tensor_spec,
)
from resnet_deploy.artifact.output_kind import PROBABILITIES, assumed_output, is_guess, kind_of
from resnet_deploy.artifact.told import as_told
from resnet_deploy.canonical.floats import forget_stored, stored_types
from resnet_deploy.canonical.outputs import keep_output
from resnet_deploy.errors import ArtifactError, SpecError
from resnet_deploy.graph.answer import answer_of
from resnet_deploy.graph.meaning import Meaning, meaning_of
from resnet_deploy.graph.releases import min_onnxruntime, opset_of
from resnet_deploy.spec import (
    NOTHING_TOLD,
    InputContract,
    OutputKind,
    Told,
)

_PROTOBUF_LIMIT = 2**31 - 1

_PRECISIONS = {"float16": "fp16", "bfloat16": "bf16", "float64": "fp64"}

_WITH_BACKGROUND = 1001
"""Outputs of TensorFlow's ImageNet nets: the background is in front of the 1000 classes."""

_MOST_SHOWN = 4
"""Inputs that a message lists."""


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
    ``copy`` is what is read and run where the file itself is no plain classifier, see
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

        A copy is made where an output is no tensor, where one of several outputs is taken, and
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


def load(path: Path, told: Told = NOTHING_TOLD) -> Artifact:
    """Open an ONNX image network without running it; ``told`` is what its user says of it.

    Of several outputs the one that counts classes is taken, or the one that is told.

    Raises:
        ArtifactError: the file is missing, truncated, no ONNX model, or does not take one image.
        UnsupportedGraphError: none of its outputs is made of numbers.
        SpecError: it can't answer that, or be fed like that.
    """
    read = read_file(path)
    notice = _take_output(read.model, path, told.output_name)
    if notice is None and read.as_it_was:
        return as_told(describe(read.model, path), told)
    scratch = Scratch()
    copied = scratch.folder / path.name
    plain = plain_model(path)
    if len(read.model.graph.output) < len(plain.graph.output):
        keep_output(plain, read.model.graph.output[0].name)
    write_atomically(copied, _serialized(plain, path))
    artifact = replace(describe(read.model, path), copy=copied, scratch=scratch)
    if notice:
        artifact = replace(artifact, taken=notice, notices=(*artifact.notices, notice))
    return as_told(artifact, told)


def load_beside(path: Path, other: Artifact, told: Told = NOTHING_TOLD) -> Artifact:
    """Open the file at ``path``, which is compared with ``other``: the same output is taken."""
    own = {value.name for value in read_model(path).graph.output}
    same = other.output.name if len(other.outputs) == 1 and other.output.name in own else None
    return load(path, replace(told, output_name=same))


def opened_file(given: Path | Artifact, told: Told = NOTHING_TOLD) -> Artifact:
    """Return the file ``given``, opened as :func:`load` does where it is not."""
    return load(given, told) if isinstance(given, Path) else given


def _take_output(model: onnx.ModelProto, path: Path, told: str | None) -> str | None:
    """Leave ``model`` the output that is told or meant; return what to say of it.

    None where the outputs stay as they are, empty where there is nothing to say.

    Raises:
        SpecError: there is no output of that name.
    """
    outputs = [value.name for value in model.graph.output]
    if told is not None and told not in outputs:
        raise SpecError(f"{path} has no output {told!r}: --output-name takes {', '.join(outputs)}")
    if len(outputs) < 2:
        return None
    if told is not None:
        keep_output(model, told)
        return ""
    metadata = metadata_of(model)
    answer = None if CARD_KEY in metadata else answer_of(model.graph, len(class_names(metadata)))
    if answer is None:
        return None
    keep_output(model, answer.name)
    listed = f"of its outputs {', '.join(outputs)}"
    if not answer.assumed:
        return f"{listed} it is {answer.name} that counts classes; --output-name takes another"
    rivals = " or ".join(answer.rivals)
    return (
        f"{listed} it is {answer.name} that is taken for the values by class (assumed; else say "
        f"--output-name {rivals})"
    )


def _serialized(model: onnx.ModelProto, path: Path) -> bytes:
    if model.ByteSize() > _PROTOBUF_LIMIT:
        raise ArtifactError(f"{path} would exceed 2 GB, the limit of one ONNX file")
    return model.SerializeToString(deterministic=True)


def describe(model: onnx.ModelProto, path: Path) -> Artifact:
    """Return the artifact that ``model``, read from ``path``, is."""
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
    metadata = metadata_of(model)
    text = metadata.get(CARD_KEY)
    card = None if text is None else Card.from_json(text)
    if card is None:
        # Reading a stranger's graph takes modules that our own files need not wait for.
        from resnet_deploy.artifact.foreign_contract import foreign_contract
        from resnet_deploy.graph.answer_shape import sized_output

        contract, notices = foreign_contract(model.graph, spec, metadata)
        usual = zip(spec.shape[1:], contract.shape, strict=True)
        output = sized_output(model, [size or likely for size, likely in usual])
        meaning = meaning_of(model.graph, output)
    else:
        contract, notices = card.preprocess, ()
        meaning = meaning_of(model.graph)
    names = _fitting(class_names(metadata), meaning.values)
    kind = kind_of(meaning, card, len(names))
    return Artifact(
        path=path,
        sha256=sha256_of(path),
        opset=opset_of(model if card is not None else parse_model(path)),
        input=spec,
        outputs=tuple(_as_stored(tensor_spec(value), stored) for value in model.graph.output),
        output_kind=kind or meaning.usual,
        assumed_kind=_is_assumed(meaning, card, kind),
        gives_probabilities=meaning.probabilities or kind in PROBABILITIES,
        values=meaning.values,
        stored=stored.get("", "float32"),
        names=names,
        preprocess=contract,
        notices=notices,
        quantized=any(map(_is_int8, model.graph.node)),
        card=card,
    )


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


def save(model: onnx.ModelProto, path: Path, card: Card) -> Artifact:
    """Write ``model`` with ``card`` to ``path`` as one file, whole or not at all.

    The card gets the first ONNX Runtime that loads the file.

    Raises:
        ArtifactError: the file can't be written, or the model exceeds protobuf's 2 GB.
    """
    card = replace(card, min_onnxruntime=min_onnxruntime(model))
    stamped = copy.deepcopy(model)
    forget_stored(stamped)
    onnx.helper.set_model_props(stamped, {**metadata_of(stamped), CARD_KEY: card.to_json()})
    write_atomically(path, _serialized(stamped, path))
    return describe(stamped, path)


def make(model: onnx.ModelProto, card: Card, name: str) -> Artifact:
    """Return ``model`` with ``card`` as a file called ``name``, not saved yet.

    Raises:
        ArtifactError: there is no room for it, or the model exceeds protobuf's 2 GB.
    """
    scratch = Scratch()
    return replace(save(model, scratch.folder / name, card), scratch=scratch)


def with_card(artifact: Artifact, card: Card) -> Artifact:
    """Return the same network with another card, not saved yet."""
    return make(parse_model(artifact.plain), card, artifact.path.name)


def write(artifact: Artifact, path: Path, *, force: bool = False) -> Artifact:
    """Write the file of ``artifact`` to ``path``, whole or not at all; return it as it is there.

    Raises:
        ArtifactError: ``path`` can't be written, or holds another tool's file and not ``force``.
    """
    check_replaceable(path, force=force)
    write_atomically(path, artifact.path.read_bytes())
    return replace(artifact, path=path, scratch=None if artifact.copy is None else artifact.scratch)


def check_replaceable(path: Path, *, force: bool) -> None:
    """Refuse to replace a file that this tool did not write, unless ``force``.

    Raises:
        ArtifactError: ``path`` is a folder, or another tool's file.
    """
    if path.is_dir():
        raise ArtifactError(f"{path} is a folder: name a file, or another folder with -o")
    with contextlib.suppress(ArtifactError):
        if force or not path.exists() or CARD_KEY in metadata_of(parse_model(path)):
            return
    raise ArtifactError(
        f"{path} exists and was not written by resnet-deploy: use --force to replace it"
    )


def _is_int8(node: onnx.NodeProto) -> bool:
    """Whether ``node`` makes 8 bits of its values, or takes them; stored weights alone may be."""
    kinds = ("QuantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QGemm")
    return node.op_type in kinds or node.op_type.startswith(("QLinear", "DynamicQuantize"))


def _as_stored(spec: TensorSpec, stored: Mapping[str, str]) -> TensorSpec:
    """Return ``spec`` of a canonical graph with the type that the file itself takes or gives."""
    return replace(spec, dtype=stored.get(spec.name, spec.dtype))


def _is_assumed(meaning: Meaning, card: Card | None, kind: OutputKind | None) -> bool:
    if card is None or kind is None:
        return kind is None or is_guess(meaning)
    return assumed_output(kind) in card.assumed


def _fitting(names: tuple[str, ...], values: int | None) -> tuple[str, ...]:
    """Return ``names`` where they can be those of ``values``: one value has two classes."""
    if values == _WITH_BACKGROUND and len(names) == values - 1:
        return ("background", *names)
    fits = values is None or len(names) == values or (values == 1 and len(names) == 2)
    return names if fits else ()
