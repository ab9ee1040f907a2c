"""Runs ONNX Runtime's own converter to the ORT format; the child's side of ``ort_format.py``.

Started by path in a process of its own: the converter prints, sets up logging and changes the
module path. Arguments: the ONNX file, and an empty folder for ``model.ort`` and the operators.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

_ALIGNMENT = 64
"""A multiple of every alignment that the converter's files ask for."""


def main() -> None:
    """Convert what the command line names."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    import onnxruntime as ort
    from onnxruntime.tools.convert_onnx_models_to_ort import (
        OptimizationStyle,
        convert_onnx_models_to_ort,
    )

    ort.disable_telemetry_events()
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
    InferenceSession.InferenceSessionStart(builder)
    InferenceSession.InferenceSessionAddOrtVersion(builder, version)
    InferenceSession.InferenceSessionAddModel(builder, len(data) - model.Pos)
    InferenceSession.InferenceSessionAddKernelTypeStrResolver(builder, resolver)
    builder.Finish(InferenceSession.InferenceSessionEnd(builder), file_identifier=data[4:8])
    return bytes(builder.Output())


def _write_resolver(builder: Any, resolver: Any) -> int:
    from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs import (
        ArgTypeAndIndex,
        KernelTypeStrArgsEntry,
        KernelTypeStrResolver,
        OpIdKernelTypeStrArgsEntry,
    )

    def argument(one: Any) -> int:
        ArgTypeAndIndex.ArgTypeAndIndexStart(builder)
        ArgTypeAndIndex.ArgTypeAndIndexAddArgType(builder, one.ArgType())
        ArgTypeAndIndex.ArgTypeAndIndexAddIndex(builder, one.Index())
        return int(ArgTypeAndIndex.ArgTypeAndIndexEnd(builder))

    def entry(one: Any) -> int:
        found = [argument(one.Args(index)) for index in range(one.ArgsLength())]
        arguments = _vector(builder, found)
        name = builder.CreateString(one.KernelTypeStr())
        module = KernelTypeStrArgsEntry
        module.KernelTypeStrArgsEntryStart(builder)
        module.KernelTypeStrArgsEntryAddKernelTypeStr(builder, name)
        module.KernelTypeStrArgsEntryAddArgs(builder, arguments)
        return int(module.KernelTypeStrArgsEntryEnd(builder))

    def operator(one: Any) -> int:
        every = [one.KernelTypeStrArgs(index) for index in range(one.KernelTypeStrArgsLength())]
        # ONNX Runtime looks names up by bisection.
        every.sort(key=lambda each: bytes(each.KernelTypeStr()))
        entries = _vector(builder, [entry(each) for each in every])
        name = builder.CreateString(one.OpId())
        module = OpIdKernelTypeStrArgsEntry
        module.OpIdKernelTypeStrArgsEntryStart(builder)
        module.OpIdKernelTypeStrArgsEntryAddOpId(builder, name)
        module.OpIdKernelTypeStrArgsEntryAddKernelTypeStrArgs(builder, entries)
        return int(module.OpIdKernelTypeStrArgsEntryEnd(builder))

    every = [
        resolver.OpKernelTypeStrArgs(index) for index in range(resolver.OpKernelTypeStrArgsLength())
    ]
    every.sort(key=lambda each: bytes(each.OpId()))
    operators = _vector(builder, [operator(each) for each in every])
    KernelTypeStrResolver.KernelTypeStrResolverStart(builder)
    KernelTypeStrResolver.KernelTypeStrResolverAddOpKernelTypeStrArgs(builder, operators)
    return int(KernelTypeStrResolver.KernelTypeStrResolverEnd(builder))


def _vector(builder: Any, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def _signed(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 4], "little", signed=True)


if __name__ == "__main__":
    main()
