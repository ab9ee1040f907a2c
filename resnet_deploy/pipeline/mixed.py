"""Which layers of an int8 file are looked at, and which stay in float to keep an accuracy."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.errors import DatasetError, SpecError
from resnet_deploy.pipeline.budget import keep_budget
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantize.static import QuantizedNet
from resnet_deploy.results import BudgetReport, SensitivityReport
from resnet_deploy.sensitivity import (
    PROBE_IMAGES,
    Workbench,
    rank_layers,
    unseen_images,
)
from resnet_deploy.spec import Budget, QuantSpec
from resnet_deploy.yardstick import Yardstick, all_images


class FloatLayers:
    """Ranks the layers of ``fp32`` and finds those that a budget needs in float.

    Args:
        fp32: the fp32 file.
        calibration: the images that set the int8 ranges.
        data: images on which accuracy is measured; None means other calibration images.
        spec: how the network is quantized.
        sensitivity: rank the layers even if no budget needs it.
        budget: what has to hold, if anything.
        threads: of ONNX Runtime; 0 means the physical cores allowed here.
        progress: told about every stage.

    Raises:
        SpecError: there are no images that tell what was asked for, or ``data`` for nothing.
        DatasetError: ``data`` can't be read, has no labels but needs them, or does not fit.
    """

    def __init__(
        self,
        fp32: Path,
        calibration: CalibrationImages,
        data: Path | None,
        spec: QuantSpec,
        *,
        sensitivity: bool,
        budget: Budget | None,
        threads: int = 0,
        progress: Progress = silent,
    ) -> None:
        self._fp32 = fp32
        self._exclude = spec.exclude
        self._sensitivity = sensitivity
        self._budget = budget
        self._threads = threads
        self._progress = progress
        self._whole: Yardstick | None = None
        if not sensitivity and budget is None:
            if data is not None:
                raise SpecError(
                    "--data is what --sensitivity, --max-drop and --min-agreement are measured on: "
                    "add one of them"
                )
            return
        if data is None:
            self._images = unseen_images(calibration, seed=spec.seed)
        else:
            self._images = all_images(data, calibration.preprocess, seed=spec.seed)
        self._labelled = data is not None and self._images.dataset.labelled
        if budget is not None:
            _check(budget, self._images, labelled=self._labelled)
            # Now, because images and classes that don't fit are better known before the work.
            self._whole = self._yardstick(len(self._images))

    def find(
        self, net: QuantizedNet, keep: Callable[[BudgetReport], None]
    ) -> tuple[SensitivityReport | None, BudgetReport | None]:
        """Return the ranking and the search, as far as they were asked for or needed.

        Args:
            net: the quantized network.
            keep: called with the search so far whenever its best file has changed.
        """
        if not self._sensitivity and self._budget is None:
            return None, None
        found: list[SensitivityReport] = []
        with (
            tempfile.TemporaryDirectory(prefix="resnet-deploy-") as folder,
            Workbench(net, self._exclude, Path(folder), threads=self._threads) as bench,
        ):

            def rank() -> SensitivityReport:
                if not found:
                    found.append(self._rank(bench))
                return found[0]

            if self._sensitivity:
                rank()
            kept = None
            if self._budget is not None and self._whole is not None:
                kept = keep_budget(
                    self._budget, bench, self._whole, rank, keep, progress=self._progress
                )
        return (found[0] if found else None), kept

    def _rank(self, bench: Workbench) -> SensitivityReport:
        probe = self._whole
        if probe is None or probe.samples > PROBE_IMAGES:
            probe = self._yardstick(PROBE_IMAGES)
        return rank_layers(bench, probe, model=self._fp32.name, progress=self._progress)

    def _yardstick(self, samples: int) -> Yardstick:
        images = replace(self._images, indices=self._images.indices[:samples])
        return Yardstick(
            self._fp32,
            images,
            labelled=self._labelled,
            threads=self._threads,
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
            "--min-agreement on made-up pictures says nothing: give images with --data or "
            "--calibration"
        )
