"""``resnet-deploy tune``: the fastest file within an accuracy budget, and how to run it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import click

from resnet_deploy.cli.options import (
    MODEL,
    ProgressBar,
    command_line,
    data_option,
    json_option,
    model_argument,
    rendered,
    seed_option,
    show,
    threads_option,
    verbosity_options,
)
from resnet_deploy.cli.report_option import report_option, write_report
from resnet_deploy.spec import Objective, TuneSpec

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


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
            self.fail(f"{value!r} is no time such as 90, 90s, 10m or 1h", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


@click.command("tune")
@model_argument
@data_option(required=True)
@click.option(
    "--max-drop",
    type=float,
    metavar="POINTS",
    help="Top-1 that may be lost on labelled --data.",
)
@click.option(
    "--min-agreement",
    type=float,
    metavar="SHARE",
    help="Share of images, 0 to 1, that must keep the class of fp32; needs no labels.",
)
@click.option(
    "--objective",
    type=click.Choice([one.value for one in Objective]),
    default=Objective.LATENCY.value,
    show_default=True,
    help="What to be best in.",
)
@click.option(
    "--time-limit", type=Duration(), default="10m", show_default=True, help="For all of it."
)
@click.option(
    "-o", "--out", type=MODEL, help="Folder of the result.  [default: NAME.tuned beside the model]"
)
@click.option(
    "--calibration",
    type=MODEL,
    help="Images that set the int8 ranges.  [default: some of --data, not used for accuracy then]",
)
@click.option("--keep-input", is_flag=True, help="Don't try other input formats.")
@seed_option
@threads_option
@json_option
@report_option
@verbosity_options
def command(
    model: Path,
    data: Path,
    max_drop: float | None,
    min_agreement: float | None,
    objective: str,
    time_limit: float,
    out: Path | None,
    calibration: Path | None,
    keep_input: bool,
    seed: int,
    threads: int,
    json_file: str | None,
    report_file: Path | None,
) -> None:
    """Find the fastest or smallest file of an fp32 MODEL.onnx that keeps an accuracy budget.

    Tries input formats, int8 kernels, calibration methods, effort, runtimes, threads, session
    options and, where nothing else keeps the budget, float layers. Accuracy is measured on --data,
    speed in turns with the default int8 file. The best so far is always OUT/NAME.tuned.onnx, its
    evidence OUT/tune.json; in the end OUT/tune.html (or --report) draws the Pareto front. The same
    command goes on after an interruption. Exit code 1: nothing keeps the budget.
    """
    from rich.console import Group
    from rich.text import Text

    from resnet_deploy.report import html
    from resnet_deploy.results import to_dict
    from resnet_deploy.runners.cpu import environment
    from resnet_deploy.tune import tune

    spec = TuneSpec(
        objective=Objective(objective),
        max_drop=max_drop,
        min_agreement=min_agreement,
        time_limit=time_limit,
        keep_input=keep_input,
        threads=threads,
        seed=seed,
    )
    folder = out or model.with_name(f"{model.stem}.tuned")
    with ProgressBar() as progress:
        report = tune(
            model,
            folder,
            spec,
            data=data,
            calibration=calibration,
            environment=environment(command_line()),
            progress=progress,
        )
    report = replace(report, shipped=str(folder / f"{model.stem}.tuned.onnx"))
    page = report_file or folder / "tune.html"
    write_report(html(report), page)
    see = Text(f"  see    {page}: the Pareto front, and all of this")
    show(Group(rendered(report), see), to_dict(report), json_file)
    click.get_current_context().exit(0 if report.passed else 1)
