"""``resnet-deploy bench``: files and runners side by side."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resnet_deploy.cli.options import (
    MODEL,
    ProgressBar,
    command_line,
    console,
    json_option,
    rendered,
    seed_option,
    show,
    verbosity_options,
    write_json,
)
from resnet_deploy.cli.report_option import report_option, write_report

if TYPE_CHECKING:
    from resnet_deploy.results import BenchmarkResult

_NARROWEST = 80
"""Columns: what the two narrow tables take, and enough for one table in a pipe."""


class PercentType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """A share: ``5%`` or ``0.05``."""

    name = "percent"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the share as a number above 0 and below 1."""
        text = str(value).strip()
        try:
            share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            share = -1.0
        if not 0 < share < 1:
            self.fail(f"{text!r} is not a share: write 5% or 0.05", param, ctx)
        return share


@click.command()
@click.argument("models", metavar="MODEL.onnx...", nargs=-1, type=MODEL)
@click.option(
    "--runner",
    "runners",
    multiple=True,
    metavar="NAME",
    help="May be repeated; `resnet-deploy doctor` lists them. Default: torch on the first fp32 "
    "file, ort on all.",
)
@click.option(
    "--batch-size",
    "batch_sizes",
    multiple=True,
    type=click.IntRange(1),
    help="Images per run; repeated, one table each.  [default: 1, or what a model is fixed to]",
)
@click.option(
    "--threads",
    multiple=True,
    type=click.IntRange(1),
    help="Threads per run; repeated, one table each.  [default: physical cores allowed]",
)
@click.option("--throughput", is_flag=True, help="Images per second of instances at work at once.")
@click.option(
    "--instances",
    multiple=True,
    type=click.IntRange(1),
    help="With --throughput: processes at once, of --threads each; repeated, one table each.",
)
@click.option("--pin", is_flag=True, help="Tie each process to physical cores of its own.")
@click.option(
    "--session-option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Of ONNX Runtime, by its documented key; may be repeated.",
)
@click.option(
    "--precision",
    type=PercentType(),
    default="2%",
    show_default=True,
    help="Stop when every ratio's interval is within this share of its middle.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(0, min_open=True),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="For one table, loading included.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    help="Most rounds in which the subjects take turns; after every 3 all processes start anew. "
    "Below 12, one process each makes all rounds.",
)
@click.option(
    "--runs",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Timed runs of each subject in each round.",
)
@click.option(
    "--cold-start",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Measure start, load and first run in N fresh processes.",
)
@click.option("--profile", is_flag=True, help="Show the time of each operator, by torch module.")
@click.option(
    "--compare",
    nargs=2,
    type=MODEL,
    metavar="OLD.json NEW.json",
    help="Measure nothing: compare two files of --json. Exit code 1 on a regression.",
)
@click.option(
    "--max-regress",
    type=PercentType(),
    default="5%",
    show_default=True,
    help="With --compare: what may be lost.",
)
@click.option(
    "--relative-to",
    metavar="LABEL",
    help='With --compare: take out what this subject ("PyTorch fp32") lost, as the machine\'s.',
)
@seed_option
@json_option
@report_option
@verbosity_options
def command(
    models: tuple[Path, ...],
    runners: tuple[str, ...],
    batch_sizes: tuple[int, ...],
    threads: tuple[int, ...],
    throughput: bool,
    instances: tuple[int, ...],
    pin: bool,
    options: tuple[str, ...],
    precision: float,
    time_limit: float,
    rounds: int,
    runs: int,
    cold_start: int,
    profile: bool,
    compare: tuple[Path, Path] | None,
    max_regress: float,
    relative_to: str | None,
    seed: int,
    json_file: str | None,
    report_file: Path | None,
) -> None:
    """Measure ONNX files and runners side by side, or compare two such measurements.

    By default PyTorch eager (rebuilt from the file alone), ONNX Runtime fp32, and the int8 file
    beside it. Each subject runs in its own process; they take turns in shuffled rounds.

    JSON is one result, or {"results": [...]} when batch sizes, threads or instances are repeated.
    """
    if compare is not None:
        if models:
            raise click.UsageError("--compare takes two JSON files and no model")
        _compare(compare, max_regress, relative_to, json_file, report_file)
    if not models:
        raise click.UsageError("Missing argument 'MODEL.onnx...'.")
    if relative_to is not None:
        raise click.UsageError("--relative-to is for --compare")
    from resnet_deploy.bench import (
        default_subjects,
        measure,
        natural_batch_size,
        open_models,
        profile_subjects,
        profiled,
    )
    from resnet_deploy.results import to_dict
    from resnet_deploy.runners.cpu import environment
    from resnet_deploy.runners.session_options import parse_session_options
    from resnet_deploy.spec import BenchSpec

    artifacts = open_models(models)
    session_options = parse_session_options(options)
    sweep = itertools.product(
        batch_sizes or (natural_batch_size(artifacts),), threads or (0,), instances or (1,)
    )
    specs = [
        BenchSpec(
            batch_size=batch_size,
            threads=count,
            rounds=rounds,
            runs_per_round=runs,
            time_limit=time_limit,
            precision=precision,
            pin=pin,
            throughput=throughput,
            instances=at_once,
            cold_starts=cold_start,
            seed=seed,
        )
        for batch_size, count, at_once in sweep
    ]
    # All configurations are checked before the first one is measured.
    plans = [(default_subjects(artifacts, runners, spec, session_options), spec) for spec in specs]
    if profile:
        for subjects, _ in plans:
            profiled(subjects)
    here = environment(command_line())
    results = []
    for subjects, spec in plans:
        with ProgressBar() as progress:
            result = measure(
                subjects, spec, environment=here, progress=progress, required=bool(runners)
            )
            if profile:
                result = replace(result, profiles=profile_subjects(subjects, spec, progress))
        results.append(result)
        if json_file != "-":
            _show(result)
    if json_file != "-" and len(results) > 1:
        _show(results)
    if json_file is not None:
        data = [to_dict(result) for result in results]
        write_json(data[0] if len(data) == 1 else {"results": data}, json_file)
    if report_file is not None:
        from resnet_deploy.report import html

        write_report(html(results), report_file)


def _compare(
    files: tuple[Path, Path],
    max_regress: float,
    relative_to: str | None,
    json_file: str | None,
    report_file: Path | None,
) -> None:
    from resnet_deploy.bench import compare_runs
    from resnet_deploy.results import to_dict

    report = compare_runs(*files, max_regress=max_regress, relative_to=relative_to)
    show(rendered(report), to_dict(report), json_file)
    if report_file is not None:
        from resnet_deploy.report import html

        write_report(html(report), report_file)
    click.get_current_context().exit(0 if report.passed else 1)


def _show(result: BenchmarkResult | Sequence[BenchmarkResult]) -> None:
    from resnet_deploy.report import render

    out = console()
    out.width = max(_NARROWEST, out.width)
    out.print(render(result, out.width))
