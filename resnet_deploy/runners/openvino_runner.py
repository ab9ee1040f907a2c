"""OpenVINO's own runtime, reading the ONNX file."""

from __future__ import annotations

import importlib
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.model_file import TensorSpec
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.errors import MissingDependencyError, RunnerError, SpecError, last_line
from resnet_deploy.runners.base import Runner, as_float32, as_taken, refused_batch
from resnet_deploy.runners.cpu import default_threads, has_bfloat16, isa
from resnet_deploy.runners.session_options import is_openvino_property
from resnet_deploy.spec import Optimization, SessionSpec

if TYPE_CHECKING:
    import openvino

_TELEMETRY = "openvino_telemetry"

PRECISION = "INFERENCE_PRECISION_HINT"
"""The property that says in what type float parts are computed, if the CPU has it."""


def properties(spec: SessionSpec) -> dict[str, str]:
    """Return the properties of OpenVINO's CPU device for ``spec``.

    One stream for the lowest latency, and float parts in float32: CPUs with bfloat16 would
    otherwise use that, and the answers would not compare. Threads are not tied to cores: other
    processes and runners use them, too. ``spec.options`` in capitals win. ``spin`` and
    ``optimization`` have no counterpart.

    Raises:
        SpecError: ``spec`` asks for no optimisations, which OpenVINO can't do.
    """
    if spec.optimization is not Optimization.ALL:
        raise SpecError("OpenVINO always optimises: use the runner ort without optimisations")
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(spec.threads or default_threads()),
        PRECISION: "f32",
        "ENABLE_CPU_PINNING": "NO",
        **{key: value for key, value in spec.options if is_openvino_property(key)},
    }


class OpenVinoRunner(Runner):
    """Runs an ONNX file with OpenVINO on this CPU.

    OpenVINO's CPU kernels are chosen for a shape, so the model is compiled for one: when it is
    opened, with one image where the batch size is free, and again for a batch of another shape.
    The last one alone is kept. In an int8 file OpenVINO leaves out the quantization in front of
    an Add, so its answers are not ONNX Runtime's bit for bit.

    Nothing is sent anywhere, see :func:`import_openvino`.

    Raises:
        ArtifactError: the file is missing or no ONNX image classifier.
        MissingDependencyError: openvino is not installed.
        RunnerError: OpenVINO refuses the model, or a property.
        SpecError: ``spec`` has an option of ONNX Runtime.
    """

    name = "openvino"

    def __init__(self, path: Path, spec: SessionSpec | None = None) -> None:
        spec = spec or SessionSpec()
        foreign = [key for key, _ in spec.options if not is_openvino_property(key)]
        if foreign:
            raise SpecError(
                f"the openvino runner has no session option {foreign[0]!r}: its properties are in "
                "capitals, such as INFERENCE_PRECISION_HINT=bf16"
            )
        self._openvino = import_openvino()
        self._path = path
        self._properties = properties(spec)
        start = time.perf_counter_ns()
        self._core = self._openvino.Core()
        model = self._read()
        if len(model.inputs) != 1:
            load(path)  # raises, and says so
        self.input = _spec_of(model.inputs[0])
        self.outputs = tuple(map(_spec_of, model.outputs))
        self._compile(model, (self.input.shape[0] or 1, *self.input.shape[1:]))
        self.load_ns = time.perf_counter_ns() - start

    def infer_all(self, batch: Array) -> tuple[Array, ...]:
        """See :meth:`Runner.infer_all`."""
        batch = as_taken(batch, self.input.dtype)
        if batch.shape != self._shape or batch.dtype != self.input.dtype:
            self._check(batch)  # OpenVINO would convert a dtype, within the measured time
            self._compile(self._read(), batch.shape)
        try:
            results = self._request.infer([batch], share_inputs=True)
        except RuntimeError as error:
            raise refused_batch("OpenVINO", self._path, batch, reason(error)) from error
        return tuple(map(as_float32, results.to_tuple()))

    def close(self) -> None:
        """Free the model."""
        del self._request, self._core

    def _read(self) -> openvino.Model:
        try:
            return self._core.read_model(str(self._path))
        except RuntimeError as error:
            load(self._path)  # says what is wrong with the file, if it is the file
            raise self._refused(error) from error

    def _compile(self, model: openvino.Model, shape: tuple[int | None, ...]) -> None:
        """Compile ``model`` for ``shape``; a dimension that is None stays free."""
        try:
            model.reshape([-1 if size is None else size for size in shape])
            compiled = self._core.compile_model(model, "CPU", self._properties)
        except RuntimeError as error:
            raise self._refused(error) from error
        self._request = compiled.create_infer_request()
        self._shape = shape

    def _check(self, batch: Array) -> None:
        """Refuse a batch whose dtype, rank or a fixed dimension is not what the file takes."""
        wanted = self.input
        fits = len(batch.shape) == len(wanted.shape) and all(
            size in (None, found) for size, found in zip(wanted.shape, batch.shape, strict=True)
        )
        if not fits or batch.dtype != wanted.dtype:
            takes = f"it takes {list(wanted.shape)} {wanted.dtype}"
            raise refused_batch("OpenVINO", self._path, batch, takes)

    def _refused(self, error: RuntimeError) -> RunnerError:
        version = self._openvino.__version__.partition("-")[0]
        return RunnerError(f"OpenVINO {version} refuses {self._path}: {reason(error)}")


class OpenVinoBfloat16Runner(OpenVinoRunner):
    """The same, with float parts computed in bfloat16.

    That is what OpenVINO does unasked on a CPU with bfloat16; on another it would silently compute
    in float32, so there this is refused. Weights are rounded when the file is opened.

    Raises:
        ArtifactError, MissingDependencyError: as :class:`OpenVinoRunner`.
        RunnerError: likewise, or this CPU has no bfloat16.
        SpecError: likewise, or ``spec`` asks for another precision.
    """

    name = "openvino-bf16"

    def __init__(self, path: Path, spec: SessionSpec | None = None) -> None:
        spec = spec or SessionSpec()
        if PRECISION in dict(spec.options):
            raise SpecError(f"the runner {self.name} sets {PRECISION}: give it to openvino")
        if not has_bfloat16(isa()):
            raise RunnerError(f"the runner {self.name} can't run here: {NO_BFLOAT16}")
        super().__init__(path, replace(spec, options=(*spec.options, IN_BFLOAT16)))


IN_BFLOAT16 = (PRECISION, "bf16")
"""The session option of :class:`OpenVinoBfloat16Runner`."""

NO_BFLOAT16 = "this CPU has no bfloat16 (avx512_bf16 or amx_bf16)"
"""Why nothing runs in it."""


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, and return it.

    The package ``openvino_telemetry`` is what OpenVINO's model converter reports through. Without
    it OpenVINO has a stand-in that does nothing, and that is what it finds here.

    Raises:
        MissingDependencyError: openvino is not installed.
    """
    hidden = _TELEMETRY not in sys.modules
    if hidden:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment] # an import of it fails
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise MissingDependencyError(
            "the openvino runner needs OpenVINO: pip install 'resnet-deploy[openvino]'"
        ) from error
    finally:
        if hidden:
            del sys.modules[_TELEMETRY]


def _spec_of(port: openvino.Output) -> TensorSpec:
    dims = tuple(dim.get_length() if dim.is_static else None for dim in port.partial_shape)
    dtype = port.element_type.to_dtype().name
    return TensorSpec(name=port.any_name, dtype=dtype, shape=dims)


def reason(error: BaseException) -> str:
    """Return the last line of OpenVINO's ``error``; those before say where in its sources."""
    return last_line(str(error), otherwise=type(error).__name__)
