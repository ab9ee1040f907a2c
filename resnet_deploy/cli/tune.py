"""``resnet-deploy tune``: the fastest file within an accuracy budget, and how to run it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from resnet_deploy import api
from resnet_deploy.cli.options import (
    DATA,
    MOST_WORKERS,
    PATH,
    Words,
    answer_options,
    choice,
    cluster_option,
    data_option,
    file_argument,
    picture_options,
    seed_option,
    threads_option,
)
from resnet_deploy.cli.output import here, output_options, report_to, show
from resnet_deploy.cli.progress import ProgressBar
from resnet_deploy.spec import Objective

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}

_words = Words(api.tune)


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Seconds, or a number with s, m or h: ``90``, ``10m``."""

    name = "TIME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(value))
        if match is None:
            self.fail(f"{value!r} is not a time such as 90, 90s, 10m or 1h", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


@click.command("tune")
@file_argument()
@data_option(_words)
@_words("--max-drop", type=float, metavar="POINTS")
@_words("--min-agreement", type=float, metavar="SHARE")
@_words("--objective", type=choice(Objective))
@_words("--time-limit", type=Duration(), default="10m")
@_words("-o", "--out", type=PATH)
@_words("--calibration", type=DATA)
@_words("--keep-input")
@answer_options(_words)
@picture_options()
@_words("--workers", type=click.IntRange(1, MOST_WORKERS))
@cluster_option(_words)
@seed_option(_words)
@threads_option(_words)
@_words("--dry-run")
@output_options
def command(artifact: Path, out: Path | None, **words: Any) -> None:
    """Find the fastest or smallest file of an fp32 MODEL.onnx that keeps an accuracy budget.

    Tries input formats, int8 kernels, calibration methods, effort, runtimes, threads, session
    options and, where nothing else keeps the budget, float layers. Accuracy is measured on --data,
    speed alternately with the default int8 file. The best so far is always OUT/NAME.tuned.onnx, its
    evidence OUT/tune.json; in the end OUT/tune.html (or --report) draws the Pareto front. The same
    command goes on after an interruption. Exit code 1: nothing keeps the budget.
    """
    if not words["dry_run"]:
        folder = out or artifact.with_name(f"{artifact.stem}.tuned")
        report_to(folder / "tune.html")
    with ProgressBar() as progress:
        result = api.tune(artifact, out, **words, environment=here(), progress=progress)
    show(result)
