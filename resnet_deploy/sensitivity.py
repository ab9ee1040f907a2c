"""Measures what each layer of a network loses in int8, and what it would cost in float.

Everything runs as it will be deployed: on ONNX Runtime's fused int8 kernels, all optimisations on.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from resnet_deploy.data.calibration import CalibrationImages, synthetic_calibration
from resnet_deploy.data.sampling import spread_sample
from resnet_deploy.fp32_baseline import Fp32Baseline, quiet_session
from resnet_deploy.graph.module_names import module_of
from resnet_deploy.measure.stopwatch import Stopwatch, take_turns
from resnet_deploy.passes.zero_pad_shortcut import COPIES_KEY
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantization.quantized import excluding
from resnet_deploy.quantization.static import QuantizedNet
from resnet_deploy.results import LayerSensitivity, MixedTrial, PairedTimes, SensitivityReport
from resnet_deploy.runners.base import Runner
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.runners.registry import open_runner
from resnet_deploy.spec import Runtime

PROBE_IMAGES = 512
"""Images on which layers are ranked."""

_UNSEEN_IMAGES = 2048
"""Images taken from the calibration data where there are no others."""

_SYNTHETIC_IMAGES = 64
_BATCH_SIZE = 32
_ROUNDS = 20
_TIMED_SECONDS = 0.5
"""For all rounds of one comparison together, the untimed run of each round not counted."""

_MOST_RUNS = 100

_INT8, _MIXED = "all.onnx", "mixed.onnx"


def unseen_images(calibration: CalibrationImages, *, seed: int) -> CalibrationImages:
    """Return other images of the calibration data: ranges always fit those they are taken from."""
    if calibration.synthetic:
        return synthetic_calibration(
            calibration.preprocess, samples=_SYNTHETIC_IMAGES, seed=seed + 1
        )
    indices = spread_sample(calibration.dataset, _UNSEEN_IMAGES, seed + 1)
    return replace(calibration, indices=indices, batch_size=_BATCH_SIZE)


class MixedPrecision(AbstractContextManager["MixedPrecision"]):
    """Writes ``net`` with some layers in float and measures it; a context manager.

    Layers that match the globs ``exclude`` stay float in every file. The files go to ``folder``,
    which exists and which the caller empties; they run on ``runtime``.
    """

    def __init__(
        self,
        net: QuantizedNet,
        exclude: tuple[str, ...],
        folder: Path,
        *,
        threads: int = 0,
        runtime: Runtime = Runtime.ORT,
    ) -> None:
        self.threads = threads or default_threads()
        self.layers = int8_layers(net, exclude)
        self._net = net
        self._exclude = exclude
        self._folder = folder
        self._runtime = runtime
        self._session = quiet_session(self.threads)
        self._int8 = self._open(_INT8, ())
        self.batch_size = self._int8.input.shape[0] or 1

    def __exit__(self, *exception: object) -> None:
        self._int8.close()

    def measure(
        self,
        layers: tuple[str, ...],
        baseline: Fp32Baseline,
        *,
        stream: QuantizedNet | None = None,
    ) -> MixedTrial:
        """Return how close to ``baseline`` and how fast the file with ``layers`` in float is.

        They are some of :attr:`layers`; their residual sums stay in float with them. ``stream`` is
        the net with its residual stream in float, where it is to be.

        Raises:
            RunnerError: ONNX Runtime refuses the file.
        """
        if not layers and stream is None:
            fidelity = baseline.fidelity(self._int8, self._path(_INT8), self._session)
            return MixedTrial(float_layers=(), fidelity=fidelity)
        modules = tuple(dict.fromkeys(name for layer in layers for name in self.layers[layer]))
        with closing(self._open(_MIXED, modules, stream)) as mixed:
            fidelity = baseline.fidelity(mixed, self._path(_MIXED), self._session)
            images = baseline.first(self.batch_size)
            watches = [Stopwatch(runner, images, self.batch_size) for runner in (self._int8, mixed)]
            int8_ns, mixed_ns = take_turns(
                watches, rounds=_ROUNDS, seconds=_TIMED_SECONDS, most_runs=_MOST_RUNS
            )
        times = PairedTimes(int8_ns=int8_ns, mixed_ns=mixed_ns)
        return MixedTrial(
            float_layers=modules,
            fidelity=fidelity,
            times=times,
            float_stream=stream is not None,
        )

    def _open(
        self, name: str, float_layers: tuple[str, ...], stream: QuantizedNet | None = None
    ) -> Runner:
        path = self._path(name)
        graph = (stream or self._net).write(excluding(self._exclude, float_layers))
        path.write_bytes(graph.SerializeToString())
        return open_runner(self._runtime.value, path, self._session)

    def _path(self, name: str) -> Path:
        return self._folder / name


def rank_layers(
    files: MixedPrecision, baseline: Fp32Baseline, *, model: str, progress: Progress = silent
) -> SensitivityReport:
    """Return what each int8 layer would gain and cost in float, all others staying as they are.

    ``model`` is the name of the fp32 file, for the report.
    """
    start = time.perf_counter()
    layers = []
    # The last int8 layer must stay: without it there would be nothing to compare.
    candidates = tuple(files.layers) if len(files.layers) > 1 else ()
    int8 = files.measure((), baseline).fidelity
    for number, name in enumerate(candidates):
        trial = files.measure((name,), baseline)
        assert trial.times is not None, "a layer in float is timed"
        layers.append(
            LayerSensitivity(
                name=name,
                modules=trial.float_layers,
                int8=int8,
                mixed=trial.fidelity,
                times=trial.times,
            )
        )
        progress("measuring layers", number + 1, len(candidates))
    return SensitivityReport(
        model=model,
        layers=tuple(sorted(layers, key=lambda layer: -layer.gain_per_ms)),
        batch_size=files.batch_size,
        threads=files.threads,
        seconds=time.perf_counter() - start,
    )


def int8_layers(net: QuantizedNet, exclude: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the layers with weights that run in int8, in graph order, and what goes with each.

    Names are torch modules. With a convolution goes the residual sum that its result is added to:
    an int8 sum would round the result again, so the convolution in float alone gains little.
    A convolution that only copies, as a shortcut without weights becomes, loses nothing in int8.
    """
    nodes = net.prepared.graph.node
    sums = {name: node for node in nodes if node.op_type == "Add" for name in node.input}
    layers: dict[str, tuple[str, ...]] = {}
    for node in nodes:
        name = module_of(node)
        copies = any(entry.key == COPIES_KEY for entry in node.metadata_props)
        if node.name not in net.weights or copies:
            continue
        if not any(fnmatchcase(name, glob) for glob in exclude):
            added = [module_of(sums[output]) for output in node.output if output in sums]
            # A module that is called twice is two nodes.
            layers[name] = tuple(dict.fromkeys((*layers.get(name, (name,)), *added)))
    return layers
