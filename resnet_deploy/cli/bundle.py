"""``resnet-deploy bundle``: a network with the code that runs it in an app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from resnet_deploy import api
from resnet_deploy.cli.options import (
    PATH,
    Words,
    answer_options,
    choice,
    data_option,
    file_argument,
    picture_options,
    seed_option,
)
from resnet_deploy.cli.output import output_options, show
from resnet_deploy.cli.progress import ProgressBar
from resnet_deploy.spec import MOST_REAL_PICTURES, BundleRuntime, BundleTarget

_words = Words(api.bundle)


@click.command("bundle", help=_words.help)
@file_argument(metavar="MODEL.onnx|NAME.tuned")
@_words("--target", type=choice(BundleTarget))
@_words("--runtime", type=choice(BundleRuntime))
@_words("-o", "--out", type=PATH)
@data_option(_words, help="Real pictures for the golden cases.")
@_words("--pictures", type=click.IntRange(1, MOST_REAL_PICTURES))
@_words("--alternative", type=PATH, metavar="OTHER.onnx")
@_words("--with-runtime")
@_words("--runtime-headers", type=PATH, metavar="FOLDER")
@answer_options(_words)
@picture_options()
@_words("--force")
@seed_option(_words)
@output_options
def command(artifact: Path, target: str, out: Path, **words: Any) -> None:
    """Pack a file; the API's description is the help."""
    with ProgressBar() as progress:
        result = api.bundle(artifact, target, out, **words, progress=progress)
    show(result)
