"""``resnet-deploy train``: labelled images become weights that ``export`` takes."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resnet_deploy import api
from resnet_deploy.cli.options import (
    DATA,
    PATH,
    NumbersType,
    Words,
    choice,
    follow_links_option,
    network_options,
    seed_option,
    threads_option,
    without,
)
from resnet_deploy.cli.output import here, output_options, show
from resnet_deploy.cli.progress import ProgressBar
from resnet_deploy.errors import SpecError
from resnet_deploy.processes.interrupts import last_words
from resnet_deploy.spec.training import Precision

if TYPE_CHECKING:
    from resnet_deploy.results.training import Epoch

_PATIENCE = 20.0
"""Seconds between a signal and the last words; torchrun kills after 30."""

_words = Words(api.train)


@click.command("train")
@network_options(_words)
@_words("--data", type=DATA, required=False)
@_words("--recipe", metavar="[cifar|cifar-fast|nvidia|transfer|FILE.toml]")
@_words("-o", "--out", type=PATH, metavar="RUN_DIR", required=False)
@_words("--weights", metavar="[random|imagenet|cifar10|FILE|FOLDER]")
@_words("--qat")
@_words("--epochs", type=int)
@_words("--batch-size", type=int)
@_words("--lr", type=float)
@_words("--ema", type=float, metavar="DECAY")
@_words("--clip-norm", type=float)
@_words("--zero-init/--no-zero-init", default=None)
@_words("--freeze", type=int, metavar="PARTS")
@_words("--precision", type=choice(Precision))
@_words("--mean", type=NumbersType())
@_words("--std", type=NumbersType())
@_words("--limit", type=click.IntRange(1))
@follow_links_option(_words)
@_words("--licence", metavar="SPDX")
@_words("--resume")
@_words("--save-seconds", type=click.FloatRange(0))
@click.option("--show-recipe", is_flag=True, help="Print the recipe as TOML, to change and reuse.")
@seed_option(_words)
@threads_option(_words)
@_words("--force")
@_words("--dry-run")
@output_options
def command(data: Path | str | None, out: Path | None, show_recipe: bool, **words: Any) -> None:
    """Train a ResNet, or fine-tune one, for export.

    RUN_DIR gets the checkpoint, the metrics, and model.safetensors, which carries class names,
    preprocessing and accuracy to the files that export makes of it. A run that was stopped,
    however that was, goes on with the same command and --resume.

    Several processes train together under torchrun --nproc-per-node N -m resnet_deploy train ….
    """
    if show_recipe:
        click.echo(api.recipe_text(**without(words, api.recipe_text)), nl=False)
        return
    if data is None or out is None:
        missing = "--data" if data is None else "-o RUN_DIR"
        raise SpecError(f"{missing} is missing: say what to train on and where the run is kept")
    with ProgressBar() as progress, _patience_of_torchrun():
        result = api.train(
            data, out, **words, environment=here(), progress=progress, on_epoch=_show_epoch
        )
    if result.leads:
        show(result, lambda: _end(result.interrupted))
    _end(result.interrupted)


def _end(signal_name: str | None) -> None:
    if signal_name is not None:
        # 128 + the signal's number, as a shell reports it.
        click.get_current_context().exit(128 + signal.Signals[signal_name])


def _patience_of_torchrun() -> AbstractContextManager[None]:
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return nullcontext()
    return last_words(
        f"resnet-deploy: error: process {os.environ.get('RANK')} was told to end and still waits "
        "for another one, which may be lost: the last checkpoint is whole; --resume continues "
        "from it",
        seconds=_PATIENCE,
    )


def _show_epoch(epoch: Epoch, epochs: int) -> None:
    from resnet_deploy.report.views.training import epoch_line

    if logging.getLogger("resnet_deploy").isEnabledFor(logging.WARNING):
        click.echo(epoch_line(epoch, epochs), err=True)
