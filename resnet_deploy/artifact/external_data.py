"""Weights that lie in a second file beside the model: read here, bounded, and from nowhere else.

Where they may lie is what ONNX Runtime decided (its pull request 27374): below the model's folder,
links followed, or below the folder that the model itself is linked to. So the cache of a hub loads,
whose ``snapshots/REVISION/model.onnx`` and ``model.onnx_data`` are links into one folder of blobs.

Source: ONNX, docs/ExternalData.md.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import onnx

from resnet_deploy.errors import ArtifactError
from resnet_deploy.paths import resolved

_MOST_SHOWN = 80
"""Letters of a name that a message repeats; it is a stranger's and may have thousands."""

_MOST_SHARED = 4
"""How often the bytes of second files may be read on average: few tensors share weights."""

_BITS = {
    21: 4,  # UINT4
    22: 4,  # INT4
    23: 4,  # FLOAT4E2M1
    25: 2,  # UINT2
    26: 2,  # INT2
}
"""Of types that share a byte, by their numbers in onnx.proto: older releases lack the names."""


def read_external_data(model: onnx.ModelProto, path: Path) -> None:
    """Put the weights that lie beside ``path`` into ``model``, which was read from there.

    Raises:
        ArtifactError: they point out of the model's folder, are missing, are shorter or longer
            than their shape says, or lie in a file of another checksum.
    """
    folders = (resolved(path.parent), resolved(path).parent)
    sizes: dict[Path, int] = {}
    digests: dict[Path, str] = {}
    total = 0
    for tensor in tensors_of(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        file = _file_of(tensor, entries.get("location", ""), path, folders)
        if stated := entries.get("checksum"):
            if file not in digests:
                digests[file] = _sha1_of(file, path)
            if digests[file] != stated.lower():
                raise ArtifactError(
                    f"{path}: {_shown(file.name)} is not the file whose SHA-1 the model states: "
                    "copy it again"
                )
        data = _bytes_of(tensor, entries, file, path)
        sizes[file] = file.stat().st_size
        total += len(data)
        if total > _MOST_SHARED * sum(sizes.values()):
            raise ArtifactError(
                f"{path} takes the same bytes of {_shown(file.name)} for many weights: refused"
            )
        tensor.raw_data = data
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT


def second_files(model: onnx.ModelProto, path: Path) -> set[Path]:
    """Return the files in which weights of ``model``, read from ``path`` alone, lie.

    Raises:
        ArtifactError: as :func:`read_external_data`.
    """
    folders = (resolved(path.parent), resolved(path).parent)
    locations = {
        entry.value: tensor
        for tensor in tensors_of(model.graph)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return {_file_of(tensor, name, path, folders) for name, tensor in locations.items()}


def tensors_of(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor of ``graph``: initializers, attributes, and those of subgraphs."""
    yield from graph.initializer
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for subgraph in (attribute.g, *attribute.graphs):
            yield from tensors_of(subgraph)


def _file_of(
    tensor: onnx.TensorProto, location: str, path: Path, folders: tuple[Path, ...]
) -> Path:
    """Return the file that ``location`` names, links followed.

    Raises:
        ArtifactError: it is in none of ``folders``, or not there.
    """
    relative = PurePosixPath(location)
    odd = not location or not location.isprintable() or "\\" in location
    refused = ArtifactError(
        f"{path}: tensor {_shown(tensor.name)} points outside the model's folder "
        f"({_shown(location)}): refused"
    )
    if odd or relative.is_absolute() or ".." in relative.parts:
        raise refused
    try:
        found = resolved(path.parent / relative)
        inside = any(found.is_relative_to(folder) for folder in folders)
        there = inside and found.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # too long a name, a ring of links
        raise ArtifactError(_unreadable(path, location, "no such file")) from error
    if not inside:
        raise refused
    if not there:
        raise ArtifactError(_unreadable(path, location, "no such file"))
    return found


def _bytes_of(tensor: onnx.TensorProto, entries: dict[str, str], file: Path, path: Path) -> bytes:
    """Return the bytes of ``tensor`` in ``file``, as many as its shape needs.

    Raises:
        ArtifactError: they are not there.
    """
    needed = _size_of(tensor)
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", str(needed)))
    except ValueError:
        offset, length = -1, -1
    if needed is None or offset < 0 or length != needed:
        raise ArtifactError(
            f"{path}: tensor {_shown(tensor.name)} has another size than its weights in "
            f"{_shown(file.name)}: export it again"
        )
    try:
        with file.open("rb") as stream:
            if offset + needed > file.stat().st_size:
                raise ArtifactError(
                    f"{path}: {_shown(file.name)} ends before the weights of tensor "
                    f"{_shown(tensor.name)}: copy it again"
                )
            stream.seek(offset)
            return stream.read(needed)
    except OSError as error:
        raise ArtifactError(_unreadable(path, file.name, str(error.strerror))) from error


def _sha1_of(file: Path, path: Path) -> str:
    try:
        with file.open("rb") as stream:
            # The format's choice: it tells a damaged copy, and protects from nobody.
            return hashlib.file_digest(
                stream, lambda: hashlib.sha1(usedforsecurity=False)
            ).hexdigest()
    except OSError as error:
        raise ArtifactError(_unreadable(path, file.name, str(error.strerror))) from error


def _size_of(tensor: onnx.TensorProto) -> int | None:
    """Return the bytes that ``tensor`` needs; None where its type or shape is none of a weight."""
    if min(tensor.dims, default=0) < 0 or tensor.data_type == onnx.TensorProto.STRING:
        return None
    try:
        bits = _BITS.get(tensor.data_type) or (
            8 * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        )
    except (KeyError, ValueError):
        return None
    return -(-math.prod(tensor.dims) * bits // 8)


def _unreadable(path: Path, location: str, why: str) -> str:
    return (
        f"{path} keeps weights in a second file that can't be read ({_shown(location)}: {why}): "
        "copy it beside the model"
    )


def _shown(name: str) -> str:
    """Return ``name`` as a message may repeat it: short, and in one line."""
    return repr(name if len(name) <= _MOST_SHOWN else f"{name[:_MOST_SHOWN]}…")
