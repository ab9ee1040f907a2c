"""Opening, making and writing of ``.onnx`` files with a card in their ``metadata_props``."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import replace
from pathlib import Path

import onnx

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import CARD_KEY, Card
from resnet_deploy.artifact.describe import describe
from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.artifact.metadata import class_names
from resnet_deploy.artifact.model_file import (
    metadata_of,
    parse_model,
    plain_model,
    read_file,
    read_model,
)
from resnet_deploy.artifact.told import as_told
from resnet_deploy.artifact.unfinished import Scratch
from resnet_deploy.canonical.floats import forget_stored, weights_type
from resnet_deploy.canonical.outputs import keep_output
from resnet_deploy.errors import ArtifactError, SpecError
from resnet_deploy.graph.answer import answer_of
from resnet_deploy.graph.releases import min_onnxruntime
from resnet_deploy.spec import (
    NOTHING_TOLD,
    Told,
)

_PROTOBUF_LIMIT = 2**31 - 1

_IN_FLOAT32 = "its convolutions are of {}, which ONNX Runtime has none of: it runs in float32"


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
        return as_told(describe(read.model, path, opset=read.opset), told)
    scratch = Scratch()
    copied = scratch.folder / path.name
    plain = plain_model(path)
    if len(read.model.graph.output) < len(plain.graph.output):
        keep_output(plain, read.model.graph.output[0].name)
    write_atomically(copied, _serialized(plain, path))
    artifact = replace(describe(read.model, path, opset=read.opset), copy=copied, scratch=scratch)
    if notice:
        artifact = replace(artifact, taken=notice, notices=(*artifact.notices, notice))
    if read.not_run:
        artifact = replace(artifact, notices=(*artifact.notices, _IN_FLOAT32.format(read.not_run)))
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


def save(model: onnx.ModelProto, path: Path, card: Card) -> Artifact:
    """Write ``model`` with ``card`` to ``path`` as one file, whole or not at all.

    The card gets the first ONNX Runtime that loads the file.

    Raises:
        ArtifactError: the file can't be written, or the model exceeds protobuf's 2 GB.
    """
    return _stamped(copy.deepcopy(model), path, card, lasting=True)


def _stamped(model: onnx.ModelProto, path: Path, card: Card, *, lasting: bool) -> Artifact:
    """Give ``model`` the ``card`` and write it; ``lasting`` is that of ``write_atomically``."""
    card = replace(card, min_onnxruntime=min_onnxruntime(model))
    forget_stored(model)
    onnx.helper.set_model_props(model, {**metadata_of(model), CARD_KEY: card.to_json()})
    write_atomically(path, _serialized(model, path), lasting=lasting)
    return replace(describe(model, path), stored=weights_type(model))


def make(model: onnx.ModelProto, card: Card, name: str) -> Artifact:
    """Return ``model`` with ``card`` as a file called ``name``, not saved yet.

    Raises:
        ArtifactError: there is no room for it, or the model exceeds protobuf's 2 GB.
    """
    return _in_scratch(copy.deepcopy(model), card, name)


def _in_scratch(model: onnx.ModelProto, card: Card, name: str) -> Artifact:
    scratch = Scratch()
    made = _stamped(model, scratch.folder / name, card, lasting=False)
    return replace(made, scratch=scratch)


def with_card(artifact: Artifact, card: Card) -> Artifact:
    """Return the same network with another card, not saved yet."""
    return _in_scratch(parse_model(artifact.plain), card, artifact.path.name)


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
