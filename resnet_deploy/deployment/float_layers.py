"""Which layers of an int8 file are ranked, and which stay in float to keep an accuracy budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.data.datasets import Data
from resnet_deploy.errors import DatasetError, SpecError
from resnet_deploy.fp32_baseline import Fp32Baseline, all_images
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantization.quantized import Calibrated
from resnet_deploy.quantization.static import QuantizedNet
from resnet_deploy.results import BudgetReport, LayerSensitivity, MixedTrial, SensitivityReport
from resnet_deploy.results.sensitivity import gain_per_ms
from resnet_deploy.sensitivity import PROBE_IMAGES, MixedPrecision, rank_layers, unseen_images
from resnet_deploy.spec import Budget
from resnet_deploy.spec.deploy import DeploySpec


class FloatLayers:
    """Ranks the layers of ``fp32`` and finds those that a budget needs in float.

    Args:
        fp32: the fp32 file.
        calibration: the images that set the int8 ranges.
        spec: what is asked for: a ranking, a budget.
        data: images on which accuracy is measured; None means other calibration images.
        progress: told about every stage.

    Raises:
        SpecError: no images tell what was asked for, or ``data`` is given for nothing.
        DatasetError: the images can't be read, lack labels that are needed, or do not fit.
    """

    def __init__(
        self,
        fp32: Artifact,
        calibration: CalibrationImages,
        spec: DeploySpec,
        *,
        data: Data | None = None,
        progress: Progress = silent,
    ) -> None:
        self._fp32 = fp32
        self._spec = spec
        self._progress = progress
        self._whole: Fp32Baseline | None = None
        if not spec.sensitivity and spec.budget is None:
            if data is not None:
                raise SpecError(
                    "--data is what --sensitivity, --max-drop and --min-agreement are measured on: "
                    "add one of them"
                )
            return
        seed = spec.quant.seed
        if data is None:
            self._images = unseen_images(calibration, seed=seed)
        else:
            self._images = all_images(data, calibration.preprocess, seed=seed)
        self._labelled = data is not None and self._images.dataset.labelled
        if spec.budget is not None:
            _check(spec.budget, self._images, labelled=self._labelled)
            # Now: images and classes that don't fit are refused before the work.
            self._whole = self._baseline(len(self._images))

    def find(
        self, calibrated: Calibrated, keep: Callable[[BudgetReport], None]
    ) -> tuple[SensitivityReport | None, BudgetReport | None]:
        """Return the ranking and the search, as far as they were asked for or needed.

        Args:
            calibrated: the quantized network.
            keep: called with the search so far whenever its best file has changed.
        """
        spec, exclude = self._spec, self._spec.quant.exclude
        if not spec.sensitivity and spec.budget is None:
            return None, None
        found: list[SensitivityReport] = []
        with (
            scratch_folder() as folder,
            MixedPrecision(
                calibrated.net,
                exclude,
                folder,
                threads=spec.threads,
                runtime=spec.quant.runtime,
            ) as files,
        ):

            def rank() -> SensitivityReport:
                if not found:
                    found.append(self._rank(files))
                return found[0]

            if spec.sensitivity:
                rank()
            kept = None
            if (budget := spec.budget) is not None and (whole := self._whole) is not None:
                kept = keep_budget(
                    budget,
                    files,
                    whole,
                    rank,
                    keep,
                    float_stream=lambda: _net(calibrated.float_stream),
                    progress=self._progress,
                )
        return (found[0] if found else None), kept

    def _rank(self, files: MixedPrecision) -> SensitivityReport:
        probe = self._whole
        if probe is None or probe.samples > PROBE_IMAGES:
            probe = self._baseline(PROBE_IMAGES)
        return rank_layers(files, probe, model=self._fp32.path.name, progress=self._progress)

    def _baseline(self, samples: int) -> Fp32Baseline:
        images = replace(self._images, indices=self._images.indices[:samples])
        return Fp32Baseline(
            self._fp32,
            images,
            labelled=self._labelled,
            threads=self._spec.threads,
            cluster=self._spec.quant.cluster,
            progress=self._progress,
        )


def _check(budget: Budget, images: CalibrationImages, *, labelled: bool) -> None:
    if budget.max_drop is not None and not labelled:
        raise DatasetError(
            "--max-drop needs to know what is right: give labelled images (--data "
            "DIR/<class>/*.jpg), or use --min-agreement, which needs no labels"
        )
    if images.synthetic:
        raise SpecError(
            "--min-agreement on synthetic images says nothing: give images with --data or "
            "--calibration"
        )


def _net(calibrated: Calibrated | None) -> QuantizedNet | None:
    return None if calibrated is None else calibrated.net


def keep_budget(
    budget: Budget,
    files: MixedPrecision,
    baseline: Fp32Baseline,
    rank: Callable[[], SensitivityReport],
    keep: Callable[[BudgetReport], None],
    *,
    float_stream: Callable[[], QuantizedNet | None] = lambda: None,
    progress: Progress = silent,
) -> BudgetReport:
    """Return the search for what has to stay float to hold ``budget``.

    First the residual stream, with all layers in int8. If that is not enough it stays so if it
    removes more noise per millisecond than any layer, and layers are added to it. They are added in
    the order of their rank, and all of the file is measured again after each one, until the budget
    holds; one int8 layer always stays. Then every layer that turns out not to be needed goes back
    to int8: where two layers share a bad range, the first float one of them helps only with the
    second.

    Args:
        budget: what has to hold.
        files: writes and measures the files.
        baseline: how close they are to the fp32 file.
        rank: called when all int8 is not enough; says which layers to try in which order.
        keep: called with the report so far whenever its best file has changed.
        float_stream: called when all int8 is not enough; gives the net with its residual stream in
            float, or None where there is no such thing.
        progress: called after every file.

    Raises:
        RunnerError: ONNX Runtime refuses a file.
    """
    report = BudgetReport(max_drop=budget.max_drop, min_agreement=budget.min_agreement, trials=())

    stream: QuantizedNet | None = None

    def holds(float_layers: tuple[str, ...]) -> bool:
        nonlocal report
        also = {} if stream is None else {"stream": stream}
        trial = files.measure(float_layers, baseline, **also)
        report = replace(report, trials=(*report.trials, trial))
        if report.best is trial:
            keep(report)
        return report.missed(trial) == 0

    if holds(()):
        return report
    progress("trying the residual stream in float", 0, 1)
    stream = float_stream()
    if stream is not None and holds(()):
        return report
    ranked = rank().layers
    if stream is not None and not _is_better(report.trials[1], report.trials[0], ranked):
        stream = None
    order = [layer.name for layer in ranked][: len(files.layers) - 1]
    chosen: tuple[str, ...] = ()
    for number, name in enumerate(order):
        progress("trying float layers", number, len(order))
        chosen = (*chosen, name)
        if holds(chosen):
            break
    else:
        return report
    for number, name in enumerate(reversed(chosen[:-1])):
        progress("trying without", number, len(chosen) - 1)
        fewer = tuple(layer for layer in chosen if layer != name)
        if holds(fewer):
            chosen = fewer
    return report


def _is_better(stream: MixedTrial, int8: MixedTrial, ranked: Sequence[LayerSensitivity]) -> bool:
    """Whether the float ``stream`` gives more for its time than any of the ``ranked`` layers."""
    assert stream.times is not None, "what has float parts is timed"
    gain = gain_per_ms(int8.fidelity, stream.fidelity, stream.times)
    return all(gain >= layer.gain_per_ms for layer in ranked)
