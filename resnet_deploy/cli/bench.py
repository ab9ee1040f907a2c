"""``resnet-deploy bench``: files and runners side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from resnet_deploy.cli.options import (
    MODEL,
    ProgressBar,
    command_line,
    console,
    json_option,
    seed_option,
    verbosity_options,
    write_json,
)

if TYPE_CHECKING:
    from resnet_deploy.results import BenchmarkResult

_NARROWEST = 80
"""Columns: what the two narrow tables take, and enough for one table in a pipe."""


@click.command()
@click.argument("models", metavar="MODEL.onnx...", nargs=-1, required=True, type=MODEL)
@click.option(
    "--runner",
    "runners",
    multiple=True,
    metavar="NAME",
    help="torch or ort; may be repeated. Default: torch on the first fp32 file, ort on all.",
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
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Rounds in which the subjects take turns; an interval needs 6.",
)
@click.option(
    "--runs",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Timed runs of each subject in each round.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(0, min_open=True),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="For the rounds of one table: fewer runs, then fewer rounds (not below 6).",
)
@seed_option
@json_option
@verbosity_options
def command(
    models: tuple[Path, ...],
    runners: tuple[str, ...],
    batch_sizes: tuple[int, ...],
    threads: tuple[int, ...],
    rounds: int,
    runs: int,
    time_limit: float,
    seed: int,
    json_file: str | None,
) -> None:
    """Measure ONNX files and runners side by side.

    By default PyTorch eager (rebuilt from the file alone), ONNX Runtime fp32, and the int8 file
    beside it. Each subject runs in its own process; they take turns in shuffled rounds.

    JSON is one result, or {"results": [...]} when batch sizes or threads are repeated.
    """
    from resnet_deploy.bench import default_subjects, measure, natural_batch_size, open_models
    from resnet_deploy.results import to_dict
    from resnet_deploy.runtime.cpu import environment
    from resnet_deploy.spec import BenchSpec

    artifacts = open_models(models)
    specs = [
        BenchSpec(
            batch_size=batch_size,
            threads=count,
            rounds=rounds,
            runs_per_round=runs,
            time_limit=time_limit,
            seed=seed,
        )
        for batch_size in batch_sizes or (natural_batch_size(artifacts),)
        for count in threads or (0,)
    ]
    # All configurations are checked before the first one is measured.
    plans = [(default_subjects(artifacts, runners, spec), spec) for spec in specs]
    here = environment(command_line())
    results = []
    for subjects, spec in plans:
        with ProgressBar() as progress:
            result = measure(
                subjects, spec, environment=here, progress=progress, required=bool(runners)
            )
        results.append(result)
        if json_file != "-":
            _show(result)
    if json_file is not None:
        data = [to_dict(result) for result in results]
        write_json(data[0] if len(data) == 1 else {"results": data}, json_file)


def _show(result: BenchmarkResult) -> None:
    from resnet_deploy.report.bench import render

    out = console()
    out.width = max(_NARROWEST, out.width)
    out.print(render(result, out.width))
