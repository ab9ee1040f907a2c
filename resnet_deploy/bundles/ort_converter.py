"""Runs ONNX Runtime's own converter to the ORT format; the child's side of ``ort_format.py``.

Started by path in a process of its own: the converter prints, sets up logging and changes the
module path. Arguments: the ONNX file, and an empty folder for ``model.ort`` and the operators.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ALIGNMENT = 64
"""A multiple of every alignment that the converter's files ask for."""


def main() -> None:
    """Convert what the command line names."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    from onnxruntime.tools.convert_onnx_models_to_ort import (
        OptimizationStyle,
        convert_onnx_models_to_ort,
    )

    convert_onnx_models_to_ort(
        source, folder, [OptimizationStyle.Runtime], enable_type_reduction=True
    )
    [made] = folder.glob("*.ort")
    [config] = folder.glob("*.config")
    data = made.read_bytes()
    lines = config.read_text(encoding="utf-8").splitlines(keepends=True)
    made.unlink()
    config.unlink()
    (folder / "model.ort").write_bytes(with_sorted_kernel_types(data))
    # The comments name files in a temporary folder.
    (folder / "operators.config").write_text(
        "".join(line for line in lines if not line.startswith("#")), encoding="utf-8"
    )


def with_sorted_kernel_types(data: bytes) -> bytes:
    """Return an ORT format file whose bytes depend on the model alone.

    ONNX Runtime writes its table of kernel types in the order of a hash map, which differs from
    process to process. A FlatBuffer is written from its end to its start, and that table comes
    last: all behind it is kept, the table is written again in the order of the operators' names.
    """
    import flatbuffers
    from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs import InferenceSession

    session = InferenceSession.InferenceSession.GetRootAs(data, 0)
    model = session.Model()._tab
    # A table's description is before it, or shared with a table that was written earlier.
    start = min(model.Pos, model.Pos - _signed(data, model.Pos))
    kept = data[start:]
    builder = flatbuffers.Builder(len(kept) + 2 * start + _ALIGNMENT)
    builder.head = len(builder.Bytes) - len(kept)
    builder.Bytes[builder.head :] = kept
    builder.minalign = _ALIGNMENT
    version = builder.CreateString(session.OrtVersion())
    resolver = _write_resolver(builder, session.KernelTypeStrResolver())
    root = _table(
        builder,
        InferenceSession,
        {
            "OrtVersion": version,
            "Model": len(data) - model.Pos,
            "KernelTypeStrResolver": resolver,
        },
    )
    builder.Finish(root, file_identifier=data[4:8])
    return bytes(builder.Output())


def _write_resolver(builder: Any, resolver: Any) -> int:
    from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs import (
        ArgTypeAndIndex,
        KernelTypeStrArgsEntry,
        KernelTypeStrResolver,
        OpIdKernelTypeStrArgsEntry,
    )

    def argument(stored: Any) -> int:
        fields = {"ArgType": stored.ArgType(), "Index": stored.Index()}
        return _table(builder, ArgTypeAndIndex, fields)

    def entry(stored: Any) -> int:
        found = [argument(stored.Args(index)) for index in range(stored.ArgsLength())]
        arguments = _vector(builder, found)
        name = builder.CreateString(stored.KernelTypeStr())
        return _table(builder, KernelTypeStrArgsEntry, {"KernelTypeStr": name, "Args": arguments})

    def operator(stored: Any) -> int:
        kinds = map(stored.KernelTypeStrArgs, range(stored.KernelTypeStrArgsLength()))
        # ONNX Runtime looks names up by bisection.
        ordered = sorted(kinds, key=lambda kind: bytes(kind.KernelTypeStr()))
        entries = _vector(builder, [entry(kind) for kind in ordered])
        fields = {"OpId": builder.CreateString(stored.OpId()), "KernelTypeStrArgs": entries}
        return _table(builder, OpIdKernelTypeStrArgsEntry, fields)

    known = map(resolver.OpKernelTypeStrArgs, range(resolver.OpKernelTypeStrArgsLength()))
    ordered = sorted(known, key=lambda stored: bytes(stored.OpId()))
    operators = _vector(builder, [operator(stored) for stored in ordered])
    return _table(builder, KernelTypeStrResolver, {"OpKernelTypeStrArgs": operators})


def _table(builder: Any, module: Any, fields: Mapping[str, int]) -> int:
    """Write a table by the functions that the FlatBuffers compiler made in ``module``."""
    name = module.__name__.rpartition(".")[2]
    getattr(module, f"{name}Start")(builder)
    for field, value in fields.items():
        getattr(module, f"{name}Add{field}")(builder, value)
    return int(getattr(module, f"{name}End")(builder))


def _vector(builder: Any, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def _signed(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 4], "little", signed=True)


if __name__ == "__main__":
    main()
