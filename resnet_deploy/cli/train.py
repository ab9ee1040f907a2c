"""``resnet-deploy train``: labelled images become weights that ``export`` takes."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resnet_deploy.cli.model_options import model_request_options
from resnet_deploy.cli.options import (
    MODEL,
    ProgressBar,
    RgbType,
    command_line,
    force_option,
    json_option,
    seed_option,
    show,
    threads_option,
    verbosity_options,
)
from resnet_deploy.errors import SpecError
from resnet_deploy.processes.interrupts import last_words
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.training import Precision

if TYPE_CHECKING:
    from resnet_deploy.results.training import Epoch

_SMALL = 64
"""Pixels below which a picture is CIFAR's kind rather than ImageNet's."""
_PATIENCE = 20.0
"""Seconds between a signal and the last words; torchrun kills after 30."""


@click.command("train")
@model_request_options
@click.option(
    "--data",
    type=MODEL,
    help="Images with a training and a test part: DIR/train/<class>/*.jpg and DIR/test or DIR/val, "
    "CIFAR batches, IDX files or .npz.",
)
@click.option(
    "--recipe",
    metavar="[cifar|cifar-fast|nvidia|transfer|FILE.toml]",
    help="How to train.  [default: transfer with --weights, qat with --qat; else cifar-fast for "
    "small pictures and nvidia for others]",
)
@click.option("-o", "--out", type=MODEL, metavar="RUN_DIR", help="Folder of the run.")
@click.option(
    "--weights",
    default="random",
    show_default=True,
    metavar="[random|imagenet|cifar10|FILE]",
    help="Where to start; a new head is put on where the classes are others.",
)
@click.option(
    "--qat", is_flag=True, help="Fine-tune through the rounding of int8; needs --weights."
)
@click.option("--epochs", type=int, help="Passes over the training images.")
@click.option("--batch-size", type=int, help="Images per step, over all processes.")
@click.option("--lr", type=float, help="Highest learning rate of the recipe.")
@click.option("--ema", type=float, metavar="DECAY", help="Keep a moving average of the weights.")
@click.option("--clip-norm", type=float, help="Largest norm of the gradient.")
@click.option(
    "--zero-init/--no-zero-init", default=None, help="Start residual branches with a gamma of 0."
)
@click.option("--freeze", type=int, metavar="PARTS", help="Keep the stem (1), layer1 too (2), …")
@click.option(
    "--precision",
    type=click.Choice([one.value for one in Precision]),
    help="In what forward and backward passes compute.",
)
@click.option(
    "--mean",
    type=RgbType(),
    help="Mean of the input, on [0, 1].  [default: that of --weights, or ImageNet's]",
)
@click.option("--std", type=RgbType(), help="Its standard deviation.  [default: as of --mean]")
@click.option("--limit", type=click.IntRange(1), help="Take this many images of each part.")
@click.option("--licence", default="", metavar="SPDX", help="Licence of the trained weights.")
@click.option("--resume", is_flag=True, help="Go on with the run in RUN_DIR, to the same bits.")
@click.option(
    "--save-seconds",
    type=click.FloatRange(0),
    default=300.0,
    show_default=True,
    help="Time between two checkpoints inside an epoch.",
)
@click.option("--show-recipe", is_flag=True, help="Print the recipe as TOML, to change and reuse.")
@seed_option
@threads_option
@force_option
@json_option
@verbosity_options
def command(
    request: ModelRequest,
    data: Path | None,
    recipe: str | None,
    out: Path | None,
    weights: str,
    qat: bool,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    ema: float | None,
    clip_norm: float | None,
    zero_init: bool | None,
    freeze: int | None,
    precision: str | None,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
    limit: int | None,
    licence: str,
    resume: bool,
    save_seconds: float,
    show_recipe: bool,
    seed: int,
    threads: int,
    force: bool,
    json_file: str | None,
) -> None:
    """Train a ResNet, or fine-tune one, for export.

    RUN_DIR gets the checkpoint, the metrics, and model.safetensors, which carries class names,
    preprocessing and accuracy to the files that export makes of it. A run that was stopped,
    however that was, goes on with the same command and --resume.

    Several processes train together under torchrun --nproc-per-node N -m resnet_deploy train ….
    """
    from resnet_deploy.train.recipe import read_recipe, recipe_text

    name = recipe or _default_recipe(request, weights, qat=qat)
    if show_recipe:
        click.echo(recipe_text(name), nl=False)
        return
    if data is None or out is None:
        missing = "--data" if data is None else "-o RUN_DIR"
        raise SpecError(f"{missing} is missing: say what to train on and where the run is kept")
    changes: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "ema": ema,
        "clip_norm": clip_norm,
        "zero_init": zero_init,
        "freeze": freeze,
        "precision": precision,
    }
    chosen = read_recipe(name, {key: value for key, value in changes.items() if value is not None})

    from resnet_deploy.models.dependencies import require

    require("torch", "training")
    require("safetensors", "training")
    from resnet_deploy.report.training import training_report
    from resnet_deploy.results import to_dict
    from resnet_deploy.runners.cpu import environment
    from resnet_deploy.spec.train_request import TrainRequest
    from resnet_deploy.train.run import train

    with ProgressBar() as progress, _patience_of_torchrun():
        result = train(
            TrainRequest(
                model=request,
                data=data,
                out=out,
                recipe=chosen,
                weights=weights,
                qat=qat,
                seed=seed,
                mean=mean,
                std=std,
                limit=limit,
                licence=licence,
                threads=threads,
                save_seconds=save_seconds,
                resume=resume,
                force=force,
            ),
            environment(command_line()),
            progress=progress,
            on_epoch=_show_epoch,
        )
    if result.leads:
        show(training_report(result), to_dict(result), json_file)
    if result.interrupted is not None:
        # 128 + the signal's number, as a shell reports it.
        click.get_current_context().exit(128 + signal.Signals[result.interrupted])


def _default_recipe(request: ModelRequest, weights: str, *, qat: bool) -> str:
    if qat:
        return "qat"
    if weights != "random":
        return "transfer"
    return "cifar-fast" if request.spec().image_size < _SMALL else "nvidia"


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
    from resnet_deploy.report.training import epoch_line

    if logging.getLogger("resnet_deploy").isEnabledFor(logging.WARNING):
        click.echo(epoch_line(epoch, epochs), err=True)
