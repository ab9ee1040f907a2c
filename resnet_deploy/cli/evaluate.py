"""``resnet-deploy evaluate``: accuracy on labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from resnet_deploy import api
from resnet_deploy.cli.options import (
    MOST_WORKERS,
    PATH,
    Words,
    answer_options,
    cluster_option,
    data_option,
    file_argument,
    picture_options,
    threads_option,
)
from resnet_deploy.cli.output import here, output_options, replace_card, show
from resnet_deploy.cli.progress import ProgressBar
from resnet_deploy.spec import Told

_words = Words(api.evaluate)


@click.command("evaluate")
@file_argument()
@data_option(_words)
@_words("--against", type=PATH, metavar="OTHER.onnx")
@answer_options(_words)
@picture_options()
@_words("--limit", type=click.IntRange(1))
@_words("--skip-bad")
@click.option(
    "--record", is_flag=True, help="Write top-1, top-5 and the number of images into the card."
)
@_words("--batch-size", type=click.IntRange(1))
@_words("--workers", type=click.IntRange(1, MOST_WORKERS))
@cluster_option(_words)
@threads_option(_words)
@output_options
def command(artifact: Path, data: Path | str, record: bool, **words: Any) -> None:
    """Measure the accuracy of MODEL.onnx on labelled images.

    Images are prepared as the model's card says. Classes are matched by name, by WordNet id for
    ImageNet models, or else by position. A folder with test/ or val/ below it stands for that.
    Labels are measured by their mean average precision, embeddings by whether the nearest other
    image is of the same class.

    With --against: the difference in top-1 with its confidence interval and the exact McNemar
    test, class by class, and what is mistaken for what else. 50,000 images tell differences of
    about 0.1 points, 1,000 images of about 1 point.

    With --record MODEL.onnx is replaced by the same network whose card says what was measured.
    """
    from resnet_deploy.artifact.onnx_file import load
    from resnet_deploy.artifact.recording import check_recordable
    from resnet_deploy.runners.classes import check_has_classes

    opened = load(artifact, Told(output_name=words["output_name"]))
    if record:
        check_recordable(opened)  # before the work, not after it
        check_has_classes(opened)
    with ProgressBar() as progress:
        result = api.evaluate(opened, data, **words, environment=here(), progress=progress)
    images = {name: words[name] for name in ("labels_file", "follow_links")}
    show(result, (lambda: replace_card(opened, result, data, **images)) if record else None)
