"""The bytes of an ``.onnx`` file as a model: whole and valid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError

from resnet_deploy.artifact.external_data import (
    read_external_data,
    second_files,
    tensors_of,
)
from resnet_deploy.artifact.well_formed import fault_of
from resnet_deploy.canonical import canonical
from resnet_deploy.canonical.answers import tensors_for_answers
from resnet_deploy.canonical.domain import name_default_domain
from resnet_deploy.canonical.experimental import replace_experimental
from resnet_deploy.canonical.floats import forget_stored
from resnet_deploy.canonical.inputs import allow_unlisted
from resnet_deploy.canonical.metadata import last_metadata
from resnet_deploy.canonical.order import every_node, sort_nodes
from resnet_deploy.canonical.sizes import free_sizes
from resnet_deploy.canonical.undescribed import describe_outputs
from resnet_deploy.errors import ArtifactError, UnsupportedGraphError, one_line
from resnet_deploy.graph.releases import FIRST_OPSET, opset_of
from resnet_deploy.graph.skeleton import check_model

_NOT_RUN: dict[int | None, str] = {
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.BFLOAT16: "bfloat16",
}


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """A graph input or output; None is a dynamic dimension. ``dtype`` is numpy's name."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    @property
    def is_integer(self) -> bool:
        """Whether it holds integers: the number of the best class, and no values by class."""
        return self.dtype.startswith(("int", "uint", "bool"))

    def __str__(self) -> str:
        """Return the tensor in words: ``c2 (N, 256, 56, 56) float32``."""
        unknown = ["N", *["?"] * len(self.shape)]
        sizes = [str(size or name) for size, name in zip(self.shape, unknown, strict=False)]
        return f"{self.name} ({', '.join(sizes)}) {self.dtype}"


@dataclass(frozen=True, kw_only=True)
class ReadFile:
    """A model that was read, in its canonical spelling.

    ``as_it_was``: a runtime that opens the file itself takes and gives what the model does. It is
    not where an output is not a tensor, where the batch can't be anything but 0, or where ONNX
    Runtime has no kernels for the opset, for ``spatial=0`` or for convolutions of the type
    ``not_run``, which run in float32. ``opset`` is the file's own.
    """

    model: onnx.ModelProto
    as_it_was: bool
    opset: int
    not_run: str | None = None


def read_model(path: Path) -> onnx.ModelProto:
    """Return the ONNX model at ``path``, external data included, in its canonical spelling.

    Raises:
        ArtifactError: the file is missing, truncated, no ONNX model, or points outside its folder.
    """
    return read_file(path).model


def read_file(path: Path) -> ReadFile:
    """Return what :func:`read_model` does, and whether runtimes see the same.

    Raises:
        ArtifactError: as :func:`read_model`.
    """
    model = _whole_model(path)
    try:
        check_model(model)
    except onnx.checker.ValidationError as error:
        raise ArtifactError(f"{path} is not a valid ONNX model: {one_line(error)}") from error
    before, has_kernels, opset = _interface(model.graph), _has_kernels(model), opset_of(model)
    not_run = _type_not_run(model)
    try:
        canonical(model)
    except (ArtifactError, UnsupportedGraphError) as error:
        raise type(error)(f"{path}: {error}") from error
    _check_types(model.graph, path)
    if not_run:
        forget_stored(model)  # what runs takes and gives float32
    runs = has_kernels or opset_of(model) < FIRST_OPSET
    same = runs and before == _interface(model.graph)
    return ReadFile(model=model, as_it_was=same, opset=opset, not_run=not_run)


def plain_model(path: Path) -> onnx.ModelProto:
    """Return the model at ``path`` as it is, except for outputs that are not tensors and odd sizes.

    It computes what the file does with the same operators and types, so it takes as long. Where
    ONNX Runtime has no kernels for its opset, it is the canonical model.

    Raises:
        ArtifactError, UnsupportedGraphError: as :func:`read_model`.
    """
    model = _whole_model(path)
    if not _has_kernels(model):
        return read_model(path)
    tensors_for_answers(model)
    free_sizes(model)
    return model


def _whole_model(path: Path) -> onnx.ModelProto:
    """Return the model at ``path`` with its weights, and without what only the checker refuses."""
    model = parse_model(path)
    _check_ends(model, path)
    read_external_data(model, path)
    name_default_domain(model)
    try:
        sort_nodes(model)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error
    replace_experimental(model)
    allow_unlisted(model)
    describe_outputs(model)
    last_metadata(model)
    return model


def _check_ends(model: onnx.ModelProto, path: Path) -> None:
    """Refuse a graph that may loop forever: nothing can stop ONNX Runtime in it.

    Raises:
        UnsupportedGraphError: there is a Loop. How often it runs is computed.
    """
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        for node in every_node(nodes):
            if node.op_type == "Loop":
                raise UnsupportedGraphError(
                    f"{path}: Loop node {node.name or node.output[:1]!r} may never end, and no "
                    "image network needs one: export the network without it"
                )


def _has_kernels(model: onnx.ModelProto) -> bool:
    """Whether ONNX Runtime runs ``model`` also where it optimises nothing.

    A BatchNormalization with ``spatial=0`` and arrays of channels (MXNet's exporter) only runs
    where it is folded into a convolution. No convolution takes float64 or bfloat16.
    """
    if _type_not_run(model):
        return False
    norms = (node for node in model.graph.node if node.op_type == "BatchNormalization")
    attributes = (given for node in norms for given in node.attribute)
    odd = any(given.name == "spatial" and not given.i for given in attributes)
    return opset_of(model) >= FIRST_OPSET and not odd


def _check_types(graph: onnx.GraphProto, path: Path) -> None:
    """Refuse inputs and outputs of which neither the file nor inference says what they hold."""
    for value in (*graph.input, *graph.output):
        if not value.type.tensor_type.elem_type:
            raise ArtifactError(
                f"{path} does not say what type of values {value.name!r} holds: export it again"
            )


def _type_not_run(model: onnx.ModelProto) -> str | None:
    """Return the type of weights for which ONNX Runtime has no convolution."""
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    convolutions = (node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose"))
    weights = (kinds.get(name) for node in convolutions for name in node.input)
    return next((_NOT_RUN[kind] for kind in weights if kind in _NOT_RUN), None)


def _interface(graph: onnx.GraphProto) -> list[tuple[str, str | None, bool]]:
    """Return names and kinds of what ``graph`` takes and gives, and whether it takes nothing.

    Floats of another width are told to who feeds the file.
    """
    stored = {tensor.name for tensor in graph.initializer}
    found: list[tuple[str, str | None, bool]] = []
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        none = any(dim.HasField("dim_value") and dim.dim_value == 0 for dim in dims)
        if value.name not in stored:
            found.append((value.name, value.type.WhichOneof("value"), none))
    found += [(value.name, value.type.WhichOneof("value"), False) for value in graph.output]
    return found


def bytes_of(path: Path) -> int:
    """Return the size of the file at ``path``, with that of its weights in second files.

    Raises:
        ArtifactError: as :func:`read_model`.
    """
    files = second_files(parse_model(path), path)
    return path.stat().st_size + sum(file.stat().st_size for file in files)


def bytes_with_weights(path: Path) -> bytes:
    """Return the file at ``path``, with the weights in it that lie beside it.

    Raises:
        ArtifactError: they can't be read, or make it larger than one file can be.
    """
    model = parse_model(path)
    if all(each.data_location != onnx.TensorProto.EXTERNAL for each in tensors_of(model.graph)):
        return path.read_bytes()
    read_external_data(model, path)
    try:
        whole: bytes = model.SerializeToString()
    except (ValueError, EncodeError) as error:
        raise ArtifactError(f"{path} with its weights is more than one file can hold") from error
    return whole


def tensor_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    """Return name, dtype and shape of a graph input or output."""
    tensor = value.type.tensor_type
    dims = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return TensorSpec(name=value.name, dtype=dtype, shape=dims)


def metadata_of(model: onnx.ModelProto) -> dict[str, str]:
    """Return the metadata of ``model``, by key."""
    return {entry.key: entry.value for entry in model.metadata_props}


_CUT = "not an ONNX file, or it was cut short: export or copy it again"
_CHECKPOINT = "a checkpoint, not an ONNX file: resnet-deploy export --weights makes one of it"
_PICTURE = "a picture, not an ONNX file: the ONNX file comes first"
_NO_ONNX = (
    (b"PK\3\4", _CHECKPOINT),
    (b"\x80\2", _CHECKPOINT),
    (b"\xff\xd8\xff", _PICTURE),
    (b"\x89PNG", _PICTURE),
)
"""How files begin that are named by mistake where an ONNX file is meant, and what to say."""


def parse_model(path: Path) -> onnx.ModelProto:
    """Return the ONNX model at ``path``; its external data stays where it is.

    Raises:
        ArtifactError: the file is missing, truncated or no ONNX model.
    """
    if not path.exists():
        raise ArtifactError(f"{path} does not exist: check the path")
    if not path.is_file():
        raise ArtifactError(f"{path} is not a file: name an .onnx file")
    model = onnx.ModelProto()
    try:
        data = path.read_bytes()
        model.ParseFromString(data)
    except DecodeError as error:
        told = next((kind for magic, kind in _NO_ONNX if data.startswith(magic)), _CUT)
        raise ArtifactError(f"{path} is {told}") from error
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
    # Protobuf parses many files that are not its own, even an empty one.
    if not model.graph.node or not model.ir_version or not opset_of(model):
        raise ArtifactError(f"{path} holds no ONNX graph: is it the right file?")
    if opset_of(model) > (newest := onnx.defs.onnx_opset_version()):
        raise ArtifactError(
            f"{path} is of ONNX operator set {opset_of(model)}, and this version reads up to "
            f"{newest}: export it for an older one"
        )
    if (fault := fault_of(model)) is not None:
        raise ArtifactError(f"{path} is damaged, or no ONNX file: it has {fault}")
    return model
