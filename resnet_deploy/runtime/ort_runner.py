"""ONNX Runtime's CPUExecutionProvider."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from resnet_deploy.artifact import TensorSpec, load
from resnet_deploy.errors import RunnerError
from resnet_deploy.runtime.base import Array
from resnet_deploy.runtime.cpu import default_threads
from resnet_deploy.spec import Optimization, SessionSpec

if TYPE_CHECKING:
    import onnxruntime


class OrtRunner:
    """Runs an ONNX file with ONNX Runtime on this CPU.

    Raises:
        ArtifactError: the file is no ONNX model.
        RunnerError: ONNX Runtime refuses the model.
    """

    name = "ort"

    def __init__(self, path: Path, spec: SessionSpec | None = None) -> None:
        self.input: TensorSpec = load(path).input
        self._session = open_session(path, spec or SessionSpec())

    def infer(self, batch: Array) -> Array:
        """Return the logits ``(N, classes)`` of ``batch``."""
        outputs = self._session.run(None, {self.input.name: batch})
        logits: Array = outputs[0]
        return logits

    def __enter__(self) -> OrtRunner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del self._session


def session_options(spec: SessionSpec) -> onnxruntime.SessionOptions:
    """Return ONNX Runtime's options for ``spec``: sequential, spinning, errors only."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = spec.threads or default_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = (
        ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        if spec.optimization is Optimization.ALL
        else ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    )
    return options


def open_session(model: Path | bytes, spec: SessionSpec) -> onnxruntime.InferenceSession:
    """Open ``model`` (a file, or a serialised ModelProto) on the CPU.

    Raises:
        RunnerError: ONNX Runtime refuses the model.
    """
    import onnxruntime as ort

    source = str(model) if isinstance(model, Path) else model
    try:
        return ort.InferenceSession(
            source, session_options(spec), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's exceptions share no base class
        where = model if isinstance(model, Path) else "the model"
        reason = " ".join(str(error).split())[:300]
        raise RunnerError(f"ONNX Runtime {ort.__version__} refuses {where}: {reason}") from error
