"""ONNX Runtime's profiler: the time of each operator that it runs, by torch module.

ONNX Runtime runs another graph than the file's. So the graph that it made is saved beside the
profile, and each of its operators is traced back (:mod:`resnet_deploy.graph.optimized`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import onnx

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.errors import RunnerError, runtime_reason
from resnet_deploy.graph.optimized import OptimizedGraph
from resnet_deploy.results.benchmark import OperatorKind, OperatorTime
from resnet_deploy.runners.ort_runner import session_options
from resnet_deploy.spec import SessionSpec

_EVENT_SUFFIX = "_kernel_time"
_CONVERTS = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "ReorderInput", "ReorderOutput", "Transpose", "Cast"}
)
_INT8_TYPES = frozenset({"int8", "uint8"})
_WARMUP_RUNS = 3
_FEWEST_RUNS = 5
_MOST_RUNS = 200


def profile_operators(
    path: Path, batch: Array, spec: SessionSpec, seconds: float = 1.0
) -> tuple[OperatorTime, ...]:
    """Run the file at ``path`` for about ``seconds`` and return what each operator took.

    Args:
        path: any ONNX file with one input.
        batch: what it takes.
        spec: how to open it.
        seconds: there are 5 runs at least, and 200 at most, whatever this says.

    Raises:
        RunnerError: ONNX Runtime refuses the file or the batch.
    """
    import onnxruntime as ort

    with scratch_folder() as folder:
        optimised = folder / "optimised.onnx"
        options = session_options(spec)
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        options.optimized_model_filepath = str(optimised)
        try:
            session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            feed = {session.get_inputs()[0].name: batch}
            end = perf_counter() + seconds
            runs = 0
            while runs < _WARMUP_RUNS + _FEWEST_RUNS or (
                runs < _MOST_RUNS and perf_counter() < end
            ):
                session.run(None, feed)
                runs += 1
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise RunnerError(
                f"ONNX Runtime can't profile {path}: {runtime_reason(error)}"
            ) from error
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        graph = onnx.load(str(optimised), load_external_data=False).graph
    source = onnx.load(str(path), load_external_data=False).graph
    return tuple(_operators(events, OptimizedGraph(source, graph)))


def _operators(events: list[dict[str, Any]], optimised: OptimizedGraph) -> Iterable[OperatorTime]:
    taken: dict[str, list[int]] = {}
    first: dict[str, dict[str, Any]] = {}
    for event in sorted(events, key=lambda event: int(event.get("ts", 0))):
        if event.get("cat") == "Node" and event["name"].endswith(_EVENT_SUFFIX):
            node = event["name"].removesuffix(_EVENT_SUFFIX)
            taken.setdefault(node, []).append(int(event["dur"]) * 1000)
            first.setdefault(node, event["args"])
    for node, times in taken.items():
        kernel = first[node]["op_name"]
        yield OperatorTime(
            node=node,
            module=optimised.module_by_name(node),
            kernel=kernel,
            kind=_kind(kernel, first[node]),
            runs_ns=tuple(times[_WARMUP_RUNS:]),
        )


def _kind(kernel: str, event: dict[str, Any]) -> OperatorKind:
    if kernel in _CONVERTS:
        return OperatorKind.CONVERSION
    shapes_by_type = [*event.get("input_type_shape", ()), {}][0]  # of the first input
    return OperatorKind.FLOAT if _INT8_TYPES.isdisjoint(shapes_by_type) else OperatorKind.INT8
