"""``resnet-deploy bench``: files and runners side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from resnet_deploy import api
from resnet_deploy.cli.options import PATH, Words, output_name_option, seed_option
from resnet_deploy.cli.output import here, keep, output_options, print_result, prints, show
from resnet_deploy.cli.progress import ProgressBar

_words, _compares = Words(api.bench), Words(api.compare)


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


@click.command("bench")
@click.argument("models", metavar="MODEL.onnx...", nargs=-1, type=PATH)
@output_name_option(_words)
@_words("--runner", metavar="NAME")
@_words("--batch-size", type=click.IntRange(1))
@_words("--threads", type=click.IntRange(1))
@_words("--throughput")
@_words("--instances", type=click.IntRange(1))
@_words("--pin")
@_words("--session-option", metavar="KEY=VALUE")
@_words("--precision", type=PercentType(), default="2%")
@_words("--time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS")
@_words("--rounds", type=click.IntRange(1))
@_words("--runs", type=click.IntRange(1))
@_words("--cold-start", type=click.IntRange(1), metavar="N")
@_words("--profile")
@click.option(
    "--compare",
    nargs=2,
    type=PATH,
    metavar="OLD.json NEW.json",
    help="Measure nothing: compare two files of --json. Exit code 1 on a regression.",
)
@_compares(
    "--max-regress", type=PercentType(), default="5%", help="With --compare: what may be lost."
)
@_compares(
    "--relative-to",
    metavar="LABEL",
    help='With --compare: take out what this subject ("PyTorch fp32") lost, as the machine\'s.',
)
@seed_option(_words)
@output_options
def command(
    models: tuple[Path, ...],
    compare: tuple[Path, Path] | None,
    max_regress: float,
    relative_to: str | None,
    **words: Any,
) -> None:
    """Measure ONNX files and runners side by side, or compare two such measurements.

    By default PyTorch eager (rebuilt from the file alone), ONNX Runtime fp32, and the int8 file
    beside it. Each subject runs in its own process; they take turns in shuffled rounds.

    JSON is one result, or {"results": [...]} when batch sizes, threads or instances are repeated.
    """
    if compare is not None:
        if models:
            raise click.UsageError("--compare takes two JSON files and no model")
        show(api.compare(*compare, max_regress=max_regress, relative_to=relative_to))
    if not models:
        raise click.UsageError("Missing argument 'MODEL.onnx...'.")
    if relative_to is not None:
        raise click.UsageError("--relative-to is for --compare")
    measured = 0

    def tell(result: Any) -> None:
        nonlocal measured
        measured += 1
        if prints():
            print_result(result)

    with ProgressBar() as progress:
        result = api.bench(models, **words, environment=here(), progress=progress, on_result=tell)
    if measured > 1 and prints():
        print_result(result)
    keep(result)
