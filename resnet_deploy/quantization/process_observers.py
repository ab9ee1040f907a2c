"""Who runs the calibration images: several processes that share them."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from resnet_deploy.arrays import Array
from resnet_deploy.processes.engine import Engine, WorkerPool, at_once
from resnet_deploy.processes.messages import of_array
from resnet_deploy.processes.parent import ChildProcess
from resnet_deploy.quantization.histogram import ActivationHistograms

CHILD = (sys.executable, "-m", "resnet_deploy.quantization.observer_child")


class _ProcessObserver:
    """Implements ``Worker`` by asking a process, which has ``ThreadObservers``."""

    def __init__(self, child: ChildProcess) -> None:
        self._child = child
        self.kill = child.kill

    def work(self, task: Array) -> None:
        self._child.ask("submit", *of_array(task))

    def take(self) -> ActivationHistograms:
        return ActivationHistograms.from_bytes(bytes(self._child.ask("collect").data))


@contextmanager
def process_observers(
    model: bytes,
    tensors: Sequence[str],
    threads: int,
    workers: int,
    command: Sequence[str] = CHILD,
) -> Iterator[Engine[Array, ActivationHistograms]]:
    """Give an engine of ``workers`` processes, each with observers of its own.

    Args:
        model: fp32 graph, serialised, that has ``tensors`` among its outputs.
        tensors: what is observed, the input among them if wanted.
        threads: of all processes together; each has at least one.
        workers: how many processes.
        command: what to start; tests put misbehaving children here.

    Raises:
        RunnerError: ONNX Runtime refuses the model, or a process died.
    """
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(model)
        advice = "; use fewer --workers if memory is short"
        children = [
            stack.enter_context(
                ChildProcess(command, folder, "a calibration worker", dead_advice=advice)
            )
            for _ in range(workers)
        ]
        request = {
            "model": str(folder / "model.onnx"),
            "tensors": list(tensors),
            "threads": max(1, threads // workers),
        }
        at_once(lambda child: child.ask("load", request), children)
        yield stack.enter_context(WorkerPool([_ProcessObserver(child) for child in children]))
