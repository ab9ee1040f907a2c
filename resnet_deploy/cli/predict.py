"""``resnet-deploy predict``: what is on pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from resnet_deploy import api
from resnet_deploy.cli.options import (
    PATH,
    Words,
    answer_options,
    file_argument,
    follow_links_option,
    picture_options,
    threads_option,
)
from resnet_deploy.cli.output import here, output_options, show
from resnet_deploy.cli.progress import ProgressBar

_words = Words(api.predict)


@click.command("predict")
@file_argument()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=PATH)
@_words("--top-k", type=click.IntRange(1))
@answer_options(_words)
@picture_options()
@follow_links_option(_words)
@threads_option(_words)
@output_options
def command(artifact: Path, images: tuple[Path, ...], **words: Any) -> None:
    """Name what is on each IMAGE; a folder stands for all images in it.

    One image that can't be read refuses the whole run, before anything is written.
    """
    with ProgressBar() as progress:
        result = api.predict(artifact, images, **words, environment=here(), progress=progress)
    show(result)
