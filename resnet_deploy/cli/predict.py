"""``resnet-deploy predict``: what is on pictures."""

from __future__ import annotations

from pathlib import Path

import click

from resnet_deploy.cli.options import (
    MODEL,
    ProgressBar,
    command_line,
    json_option,
    model_argument,
    rendered,
    show,
    threads_option,
    verbosity_options,
)


@click.command("predict")
@model_argument
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=MODEL)
@click.option(
    "--top-k",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="How many classes to name per image.",
)
@threads_option
@json_option
@verbosity_options
def command(
    model: Path, images: tuple[Path, ...], top_k: int, threads: int, json_file: str | None
) -> None:
    """Name what is on each IMAGE; a folder stands for all images in it.

    One image that can't be read refuses the whole run, before anything is written.
    """
    from resnet_deploy.artifact.files import sha256_of
    from resnet_deploy.data.folder import image_files
    from resnet_deploy.predict import classify
    from resnet_deploy.results import to_dict
    from resnet_deploy.runners.cpu import environment

    files = [file for path in images for file in (image_files(path) if path.is_dir() else [path])]
    with ProgressBar() as progress:
        predictions = classify(model, files, top_k=top_k, threads=threads, progress=progress)
    data = {
        "model": model.name,
        "sha256": sha256_of(model),
        "predictions": [to_dict(prediction) for prediction in predictions],
        "environment": to_dict(environment(command_line())),
    }
    show(rendered(predictions), data, json_file)
