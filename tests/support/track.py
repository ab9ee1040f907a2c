"""A race track for ``tune`` on which nothing runs: options alone say how fast a candidate is."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.results import Ratio, Trial, TuningReport
from resnet_deploy.spec import InputFormat
from resnet_deploy.tuning.track import Entrant


class Track:
    """Times what it was told; bytes are faster than floats, and ``ort`` than anything else."""

    def __init__(self) -> None:
        self.raced: list[str] = []
        self.fail_at = -1

    def race(
        self, entrants: Sequence[Entrant], report: TuningReport, *, seconds: float
    ) -> list[Trial]:
        self.raced += [f"{one.recipe.name} on {one.setting.name}" for one in entrants]
        if len(self.raced) - 1 == self.fail_at:
            raise KeyboardInterrupt
        return [self._trial(one, first=not report.trials) for one in entrants]

    def _trial(self, entrant: Entrant, *, first: bool) -> Trial:
        recipe, setting = entrant.recipe, entrant.setting
        speed = 1.0 + 0.3 * (recipe.input is not InputFormat.FLOAT_NCHW) - 0.6 * (not recipe.int8)
        speed -= 0.1 * (setting.runner != "ort") + 0.05 * len(setting.options)
        artifact = load(entrant.file)
        ratio = Ratio(subject="0", reference="reference", rounds=(speed,) * 8, minima=speed)
        return Trial(
            recipe=recipe,
            setting=setting,
            file=entrant.file.name,
            sha256=artifact.sha256,
            file_bytes=entrant.file.stat().st_size,
            fidelity=entrant.fidelity,
            rounds_ms=(1.0,),
            ratio=None if first else ratio,
        )
