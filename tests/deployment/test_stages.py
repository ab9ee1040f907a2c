"""What a deployment tells its caller while it works: every phase, from its begin to its end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from resnet_deploy import api
from resnet_deploy.progress import ImageStage


class Stages(dict[str, list[tuple[int, int]]]):
    """A progress that keeps all it is told: stage -> (done, total) of each report."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        self.setdefault(stage, []).append((done, total))

    @property
    def unfinished(self) -> list[str]:
        """Stages whose last report is not of their end: they would stay on the screen."""
        return [stage for stage, reports in self.items() if reports[-1][0] != reports[-1][1]]

    @property
    def beyond(self) -> list[str]:
        """Stages that were further than their end, which makes an estimate nonsense."""
        return [stage for stage, reports in self.items() if any(done > n for done, n in reports)]


def pictures(folder: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(16):
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_every_phase_of_a_deployment_is_told_to_its_end(tmp_path: Path) -> None:
    told = Stages()
    net = api.load(depth=8, num_classes=2, progress=told)
    api.deploy(
        net,
        tmp_path / "out",
        calibration=pictures(tmp_path / "pictures"),
        effort="best",
        no_calibration_cache=True,
        keep_slow=True,
        progress=told,
    )
    assert told.unfinished == []
    assert told.beyond == []
    counted = {
        "looking at channels",
        "rounding tensors",
        "calibrating",
        "weighing layers",
        "rounding weights",
        "verifying",
    }
    phases = {"loading", "tracing", "cleaning the graph", "simplifying", "writing int8"}
    assert counted | phases | {"timing int8 against fp32"} <= told.keys()
    assert all(told[stage][0][1] > 1 for stage in counted)
    assert all(told[stage] == [(0, 1), (1, 1)] for stage in phases)
    assert {"calibrating"} <= {stage for stage in told if isinstance(stage, ImageStage)}
