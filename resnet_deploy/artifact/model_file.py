"""The bytes of an ``.onnx`` file as a model: whole, valid, and nothing from outside its folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import onnx
from google.protobuf.message import DecodeError

from resnet_deploy.canonical import canonical
from resnet_deploy.canonical.order import sort_nodes
from resnet_deploy.errors import ArtifactError, one_line
from resnet_deploy.graph.releases import opset_of


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """A graph input or output; None is a dynamic dimension. ``dtype`` is numpy's name."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        """Return the tensor in words: ``c2 (N, 256, 56, 56) float32``."""
        unknown = ["N", *["?"] * len(self.shape)]
        sizes = [str(size or name) for size, name in zip(self.shape, unknown, strict=False)]
        return f"{self.name} ({', '.join(sizes)}) {self.dtype}"


def read_model(path: Path) -> onnx.ModelProto:
    """Return the ONNX model at ``path``, external data included, in its canonical spelling.

    Raises:
        ArtifactError: the file is missing, truncated, no ONNX model, or points outside its folder.
    """
    model = parse_model(path)
    _check_external_data(model, path)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ArtifactError(
            f"{path} keeps weights in a second file that can't be read ({one_line(error)}): "
            "copy it beside the model"
        ) from error
    sort_nodes(model)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ArtifactError(f"{path} is not a valid ONNX model: {one_line(error)}") from error
    canonical(model)
    return model


def tensor_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    """Return name, dtype and shape of a graph input or output."""
    tensor = value.type.tensor_type
    dims = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return TensorSpec(name=value.name, dtype=dtype, shape=dims)


def metadata_of(model: onnx.ModelProto) -> dict[str, str]:
    """Return the metadata of ``model``, by key."""
    return {entry.key: entry.value for entry in model.metadata_props}


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
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ArtifactError(
            f"{path} is no ONNX file, or it was cut short: export or copy it again"
        ) from error
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
    # Protobuf parses many files that are not its own, even an empty one.
    if not model.graph.node or not model.ir_version or not opset_of(model):
        raise ArtifactError(f"{path} holds no ONNX graph: is it the right file?")
    return model


def _check_external_data(model: onnx.ModelProto, path: Path) -> None:
    folder = path.parent.resolve()
    for tensor in tensors_of(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((e.value for e in tensor.external_data if e.key == "location"), "")
        relative = PurePosixPath(location)
        odd = not location or "\\" in location or relative.is_absolute() or ".." in relative.parts
        if odd or not (folder / relative).resolve().is_relative_to(folder):
            raise ArtifactError(
                f"{path}: tensor {tensor.name!r} points outside the model's folder "
                f"({location!r}): refused"
            )


def tensors_of(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor of ``graph``: initializers, attributes, and those of subgraphs."""
    yield from graph.initializer
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for subgraph in (attribute.g, *attribute.graphs):
            yield from tensors_of(subgraph)
