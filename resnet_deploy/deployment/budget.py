"""Looks for the fastest mix of int8 and float layers that keeps an accuracy budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from resnet_deploy.fp32_baseline import Fp32Baseline
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results import BudgetReport, SensitivityReport
from resnet_deploy.sensitivity import MixedPrecision
from resnet_deploy.spec import Budget


def keep_budget(
    budget: Budget,
    files: MixedPrecision,
    baseline: Fp32Baseline,
    rank: Callable[[], SensitivityReport],
    keep: Callable[[BudgetReport], None],
    *,
    progress: Progress = silent,
) -> BudgetReport:
    """Return the search for the layers that have to stay float to hold ``budget``.

    Layers are added to those in float in the order of their rank, and all of the file is measured
    again after each one, until the budget holds; one int8 layer always stays. Then every layer that
    turns out not to be needed goes back to int8: where two layers share a bad range, the first
    float one of them helps only with the second.

    Args:
        budget: what has to hold.
        files: writes and measures the files.
        baseline: how close they are to the fp32 file.
        rank: called when all int8 is not enough; says which layers to try in which order.
        keep: called with the report so far whenever its best file has changed.
        progress: called after every file.

    Raises:
        RunnerError: ONNX Runtime refuses a file.
    """
    search = _Search(budget, files, baseline, keep)
    if search.holds(()):
        return search.report
    order = [layer.name for layer in rank().layers][: len(files.layers) - 1]
    chosen: tuple[str, ...] = ()
    for number, name in enumerate(order):
        progress("trying float layers", number, len(order))
        chosen = (*chosen, name)
        if search.holds(chosen):
            break
    else:
        return search.report
    for number, name in enumerate(reversed(chosen[:-1])):
        fewer = tuple(one for one in chosen if one != name)
        progress("trying without", number, len(chosen) - 1)
        if search.holds(fewer):
            chosen = fewer
    return search.report


class _Search:
    """The files tried so far; the best one is always kept."""

    def __init__(
        self,
        budget: Budget,
        files: MixedPrecision,
        baseline: Fp32Baseline,
        keep: Callable[[BudgetReport], None],
    ) -> None:
        self.report = BudgetReport(
            max_drop=budget.max_drop, min_agreement=budget.min_agreement, trials=()
        )
        self._files = files
        self._baseline = baseline
        self._keep = keep

    def holds(self, float_layers: tuple[str, ...]) -> bool:
        """Measure one more file and return whether it keeps the budget."""
        trial = self._files.measure(float_layers, self._baseline)
        self.report = replace(self.report, trials=(*self.report.trials, trial))
        if self.report.best is trial:
            self._keep(self.report)
        return self.report.missed(trial) == 0
