"""PyTorch eager, the network rebuilt from the ONNX file alone: the usual baseline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.describe import describe
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.dependencies import INSTALL
from resnet_deploy.errors import MissingDependencyError, RunnerError, SpecError, one_line
from resnet_deploy.models.tracing import ONE_AT_A_TIME
from resnet_deploy.runners.base import Runner, refused_batch
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.spec import SessionSpec

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from resnet_deploy.interpreter.module import OnnxModule


class TorchRunner(Runner):
    """Runs an ONNX file as eager float32 PyTorch; an int8 file is emulated in float32.

    ``spec.optimization`` has no meaning here: eager PyTorch runs one operator after the other.
    The thread count is PyTorch's own, hence the whole process's.

    Raises:
        ArtifactError: the file is not an ONNX image classifier.
        MissingDependencyError: torch is not installed.
        SpecError: ``spec`` has session options, which are ONNX Runtime's.
        UnsupportedGraphError: an operator can't be rebuilt.
    """

    name = "torch"

    def __init__(self, path: Path, spec: SessionSpec | None = None) -> None:
        spec = spec or SessionSpec()
        if spec.options:
            raise SpecError(
                f"the {self.name} runner has no session option {spec.options[0][0]!r}: "
                "give it to ort, ort-openvino or openvino"
            )
        try:
            import torch
        except ImportError as error:
            raise MissingDependencyError(
                f"the {self.name} runner needs PyTorch: {INSTALL}"
            ) from error

        self._path = path
        torch.set_num_threads(spec.threads or default_threads())
        start = time.perf_counter_ns()
        model = read_model(path)
        self._module = self._rebuild(model, inplace=True)
        self.load_ns = time.perf_counter_ns() - start
        artifact = describe(model, path)
        self.input, self.outputs = artifact.input, artifact.outputs
        self._traced: OnnxModule | None = None

    def infer_all(self, batch: Array) -> tuple[Array, ...]:
        """See :meth:`Runner.infer_all`."""
        import torch

        try:
            with ONE_AT_A_TIME, torch.inference_mode():
                results = self._run(self._tensor(batch))
                return tuple(result.contiguous().numpy() for result in results)
        except RuntimeError as error:
            raise refused_batch("PyTorch", self._path, batch, one_line(error)) from error

    def trace(self, batch: Array, tensors: Sequence[str]) -> dict[str, Array]:
        """Return the values of ``tensors``, by their names in the ONNX file.

        Quantized tensors come as float32 that holds integers.

        Raises:
            RunnerError: no operator of the graph computes one of them.
        """
        import torch

        if self._traced is None:
            self._traced = self._rebuild(read_model(self._path), inplace=False)
        try:
            with ONE_AT_A_TIME, torch.inference_mode():
                values = self._traced.trace(self._tensor(batch), tensors)
        except KeyError as error:
            raise RunnerError(
                f"{self._path} has no tensor {error}: name an output of one of its nodes"
            ) from error
        except RuntimeError as error:
            raise refused_batch("PyTorch", self._path, batch, one_line(error)) from error
        return {name: value.contiguous().numpy() for name, value in values.items()}

    def close(self) -> None:
        """Free the model."""
        del self._module
        self._traced = None

    def _rebuild(self, model: onnx.ModelProto, *, inplace: bool) -> OnnxModule:
        from resnet_deploy.interpreter.module import module_from_onnx

        return module_from_onnx(model, inplace=inplace)

    def _tensor(self, batch: Array) -> Tensor:
        import torch

        batch = np.ascontiguousarray(batch)  # torch has no negative strides
        tensor = torch.from_numpy(batch)
        return tensor.float() if tensor.is_floating_point() else tensor

    def _run(self, batch: Tensor) -> tuple[Tensor, ...]:
        results: tuple[Tensor, ...] = self._module(batch)
        return results


class TorchChannelsLastRunner(TorchRunner):
    """Eager PyTorch with module and input in ``torch.channels_last``.

    Tensors keep their shape and lie in memory as NHWC, the order that oneDNN's convolutions work
    in. Bringing a float batch into that order is part of each run; bytes are left to the graph.
    """

    name = "torch-channels-last"

    def _rebuild(self, model: onnx.ModelProto, *, inplace: bool) -> OnnxModule:
        import torch

        return super()._rebuild(model, inplace=inplace).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _tensor(self, batch: Array) -> Tensor:
        import torch

        tensor = super()._tensor(batch)
        if not tensor.is_floating_point() or tensor.ndim != 4:
            return tensor
        return tensor.contiguous(memory_format=torch.channels_last)
