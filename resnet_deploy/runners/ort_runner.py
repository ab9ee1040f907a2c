"""ONNX Runtime's CPUExecutionProvider."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.model_file import TensorSpec, read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.errors import ResnetDeployError, RunnerError, SpecError, runtime_reason
from resnet_deploy.runners.base import Runner, as_float32, as_taken, refused_batch
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.runners.session_options import (
    ATTRIBUTES,
    attribute_value,
    check_option,
    is_openvino_property,
)
from resnet_deploy.spec import Optimization, SessionSpec

if TYPE_CHECKING:
    import onnxruntime

_NUMPY_NAMES = {"float": "float32", "double": "float64"}


class OrtRunner(Runner):
    """Runs an ONNX file with ONNX Runtime on this CPU.

    ``spec.options`` are session options, see :mod:`resnet_deploy.runners.session_options`. A file
    in half precision may be fed float32, and gives it.

    The session is opened before anything else reads the file: a copy of the model in Python
    would count in the process's peak memory.

    Raises:
        ArtifactError: the file is missing or no ONNX image classifier.
        RunnerError: ONNX Runtime refuses the model.
        SpecError: there is no such session option.
    """

    name = "ort"

    def __init__(self, path: Path, spec: SessionSpec | None = None) -> None:
        import onnxruntime  # noqa: F401 - importing the library is not loading the model

        self._path = path
        self._spec = spec or SessionSpec()
        start = time.perf_counter_ns()
        try:
            self._session = self._open(path, self._spec)
        except RunnerError:
            load(path)  # says what is wrong with the file, if it is the file
            raise
        self.load_ns = time.perf_counter_ns() - start
        inputs = self._session.get_inputs()
        self.input = _spec_of(inputs[0]) if len(inputs) == 1 else load(path).input  # raises
        self.outputs = tuple(map(_spec_of, self._session.get_outputs()))
        self._traced: tuple[tuple[str, ...], onnxruntime.InferenceSession] | None = None

    def infer_all(self, batch: Array) -> tuple[Array, ...]:
        """See :meth:`Runner.infer_all`."""
        return tuple(self._run(self._session, None, as_taken(batch, self.input.dtype)))

    def trace(self, batch: Array, tensors: Sequence[str]) -> dict[str, Array]:
        """Return the values of ``tensors``, by their names in the ONNX file.

        They become outputs of a copy of the graph, which is opened with this runner's options.
        With all optimisations on, an operator whose result is asked for is not fused with the
        next one; what is computed before it stays as it is.

        Raises:
            RunnerError: the graph has no such tensor.
        """
        names = tuple(dict.fromkeys(tensors))
        if self._traced is None or self._traced[0] != names:
            model = read_model(self._path)
            add_outputs(model, names, self._path)
            self._traced = (names, self._open(model.SerializeToString(), self._spec))
        # The graph as it is read here is float32, whatever the file's own precision.
        values = self._run(self._traced[1], names, batch)
        return dict(zip(names, values, strict=True))

    def _open(self, model: Path | bytes, spec: SessionSpec) -> onnxruntime.InferenceSession:
        return open_session(model, spec)

    def _run(
        self, session: onnxruntime.InferenceSession, names: Sequence[str] | None, batch: Array
    ) -> list[Array]:
        try:
            values: list[Array] = session.run(names, {self.input.name: batch})
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise refused_batch("ONNX Runtime", self._path, batch, runtime_reason(error)) from error
        return [as_float32(value) for value in values]

    def close(self) -> None:
        """Free the model."""
        del self._session
        self._traced = None


def add_outputs(model: onnx.ModelProto, names: Sequence[str], path: Path | str) -> None:
    """Make the tensors ``names`` graph outputs of ``model`` (read from ``path``), in place.

    Raises:
        RunnerError: no operator of the graph computes one of them.
    """
    computed = {name for node in model.graph.node for name in node.output if name}
    present = {output.name for output in model.graph.output}
    for name in names:
        if name not in computed:
            raise RunnerError(f"{path} has no tensor {name!r}: name an output of one of its nodes")
        if name not in present:
            # ONNX Runtime infers the type; the operator's own output may be any.
            model.graph.output.append(onnx.ValueInfoProto(name=name))


def serialized_with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> bytes:
    """Return ``model``, serialised, with the tensors ``names`` among its outputs.

    Raises:
        RunnerError: no operator of the graph computes one of them.
    """
    present = len(model.graph.output)
    try:
        add_outputs(model, names, "the model")
        return model.SerializeToString(deterministic=True)
    finally:
        # In place and back, because a copy of the weights would count in the peak memory.
        del model.graph.output[present:]


def execution_providers() -> tuple[str, ...]:
    """Return the execution providers that the installed ONNX Runtime was built with."""
    import onnxruntime as ort

    return tuple(ort.get_available_providers())


def session_options(spec: SessionSpec) -> onnxruntime.SessionOptions:
    """Return ONNX Runtime's options for ``spec``: sequential, and without a log of its own.

    Raises:
        SpecError: ``spec`` has an option that does not exist, or that can't have its value.
    """
    import onnxruntime as ort

    # For a program that imported it first: the environment variable then came too late.
    ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.intra_op_num_threads = spec.threads or default_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = (
        ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        if spec.optimization is Optimization.ALL
        else ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    )
    entries = {"session.intra_op.allow_spinning": "1" if spec.spin else "0"}
    for key, value in spec.options:
        check_option(key, value)
        if is_openvino_property(key):
            raise SpecError(
                f"{key} is a property of OpenVINO: give it to the runner openvino or ort-openvino"
            )
        if key in ATTRIBUTES:
            _set_attribute(options, key, value)
        else:
            entries[key] = value
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    return options


def _set_attribute(options: onnxruntime.SessionOptions, key: str, value: str) -> None:
    import onnxruntime as ort

    found = attribute_value(key, value)
    try:
        kind = type(getattr(options, key))  # an enumeration, where the value is a number of one
        setattr(options, key, kind(found))
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise SpecError(
            f"ONNX Runtime {ort.__version__} refuses the session option {key}={value}: "
            f"{runtime_reason(error)}"
        ) from error


def source_of(model: Path | bytes) -> str | bytes:
    """Return what ONNX Runtime opens ``model`` by: it takes no paths that are not Unicode.

    Raises:
        OSError: the file can't be read.
    """
    if isinstance(model, bytes):
        return model
    try:
        str(model).encode()
    except UnicodeEncodeError:
        return model.read_bytes()
    return str(model)


def open_session(model: Path | bytes, spec: SessionSpec) -> onnxruntime.InferenceSession:
    """Open ``model`` (a file, or a serialised ModelProto) on the CPU.

    Raises:
        RunnerError: ONNX Runtime refuses the model.
        SpecError: as :func:`session_options`.
    """
    import onnxruntime as ort

    options = session_options(spec)
    try:
        return ort.InferenceSession(source_of(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class
        where = model if isinstance(model, Path) else "the model"
        if isinstance(model, Path) and (reason := _why_it_is_old(model)):
            raise RunnerError(f"ONNX Runtime does not run {where}: {reason}") from error
        raise RunnerError(
            f"ONNX Runtime {ort.__version__} refuses {where}: {runtime_reason(error)}"
        ) from error


def _why_it_is_old(path: Path) -> str:
    """Return why the file is in an opset that ONNX Runtime does not run; empty where it is not."""
    from resnet_deploy.canonical.raising import reason_to_stay
    from resnet_deploy.graph.releases import FIRST_OPSET, opset_of

    with contextlib.suppress(ResnetDeployError):
        model = read_model(path)
        if opset_of(model) < FIRST_OPSET and (reason := reason_to_stay(model)):
            return f"it is in opset {opset_of(model)} and can't be read as a later one: {reason}"
    return ""


def _spec_of(tensor: onnxruntime.NodeArg) -> TensorSpec:
    kind = tensor.type.removeprefix("tensor(").removesuffix(")")
    dims = tuple(dim if isinstance(dim, int) else None for dim in tensor.shape)
    return TensorSpec(name=tensor.name, dtype=_NUMPY_NAMES.get(kind, kind), shape=dims)
