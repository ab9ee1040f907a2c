"""Which layers of an int8 file are looked at, and which stay in float to keep an accuracy."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from resnet_deploy.artifact.onnx_file import Artifact
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.data.datasets import Data
from resnet_deploy.deployment.budget import keep_budget
from resnet_deploy.errors import DatasetError, SpecError
from resnet_deploy.fp32_baseline import Fp32Baseline, all_images
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantization.static import QuantizedNet
from resnet_deploy.results import BudgetReport, SensitivityReport
from resnet_deploy.sensitivity import (
    PROBE_IMAGES,
    MixedPrecision,
    rank_layers,
    unseen_images,
)
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
        SpecError: there are no images that tell what was asked for, or images for nothing.
        DatasetError: the images can't be read, have no labels but need them, or do not fit.
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
        self._fp32 = fp32.path
        self._output_kind = fp32.output_kind
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
            # Now, because images and classes that don't fit are better known before the work.
            self._whole = self._baseline(len(self._images))

    def find(
        self, net: QuantizedNet, keep: Callable[[BudgetReport], None]
    ) -> tuple[SensitivityReport | None, BudgetReport | None]:
        """Return the ranking and the search, as far as they were asked for or needed.

        Args:
            net: the quantized network.
            keep: called with the search so far whenever its best file has changed.
        """
        spec, exclude = self._spec, self._spec.quant.exclude
        if not spec.sensitivity and spec.budget is None:
            return None, None
        found: list[SensitivityReport] = []
        with (
            tempfile.TemporaryDirectory(prefix="resnet-deploy-") as folder,
            MixedPrecision(net, exclude, Path(folder), threads=spec.threads) as files,
        ):

            def rank() -> SensitivityReport:
                if not found:
                    found.append(self._rank(files))
                return found[0]

            if spec.sensitivity:
                rank()
            kept = None
            if spec.budget is not None and self._whole is not None:
                kept = keep_budget(
                    spec.budget, files, self._whole, rank, keep, progress=self._progress
                )
        return (found[0] if found else None), kept

    def _rank(self, files: MixedPrecision) -> SensitivityReport:
        probe = self._whole
        if probe is None or probe.samples > PROBE_IMAGES:
            probe = self._baseline(PROBE_IMAGES)
        return rank_layers(files, probe, model=self._fp32.name, progress=self._progress)

    def _baseline(self, samples: int) -> Fp32Baseline:
        images = replace(self._images, indices=self._images.indices[:samples])
        return Fp32Baseline(
            self._fp32,
            images,
            labelled=self._labelled,
            output_kind=self._output_kind,
            threads=self._spec.threads,
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
