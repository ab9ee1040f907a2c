"""``resnet-deploy evaluate``: accuracy on labelled images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from resnet_deploy.cli.options import (
    MODEL,
    ProgressBar,
    batch_size_option,
    command_line,
    data_option,
    json_option,
    model_argument,
    rendered,
    show,
    threads_option,
    verbosity_options,
)
from resnet_deploy.cli.report_option import report_option, write_report


@click.command("evaluate")
@model_argument
@data_option(required=True)
@click.option(
    "--against", type=MODEL, metavar="OTHER.onnx", help="Compare with this model, image by image."
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="Take this many images, spread evenly over the classes.",
)
@click.option(
    "--skip-bad",
    is_flag=True,
    help="Leave out images that can't be read, and name them, instead of stopping.",
)
@click.option(
    "--record", is_flag=True, help="Write top-1, top-5 and the number of images into the card."
)
@batch_size_option(32)
@threads_option
@json_option
@report_option
@verbosity_options
def command(
    model: Path,
    data: Path,
    against: Path | None,
    limit: int | None,
    skip_bad: bool,
    record: bool,
    batch_size: int,
    threads: int,
    json_file: str | None,
    report_file: Path | None,
) -> None:
    """Measure the accuracy of MODEL.onnx on labelled images.

    Images are prepared as the model's card says. Classes are matched by name, by WordNet id for
    ImageNet models, or else by position. A folder with test/ or val/ below it stands for that.

    With --against: the difference in top-1 with its confidence interval and the exact McNemar
    test, class by class, and what is mistaken for what else. 50,000 images tell differences of
    about 0.1 points, 1,000 images of about 1 point.

    With --record MODEL.onnx is replaced by the same network whose card says what was measured.
    """
    from resnet_deploy.artifact.onnx_file import load
    from resnet_deploy.artifact.recording import check_recordable
    from resnet_deploy.data.datasets import open_dataset
    from resnet_deploy.evaluate import record_accuracy, score
    from resnet_deploy.results import to_dict
    from resnet_deploy.runners.cpu import environment

    artifact = load(model)  # a wrong model is named before a large dataset is listed
    if record:
        check_recordable(artifact)
    dataset = open_dataset(data)
    with ProgressBar() as progress:
        result = score(
            model,
            dataset,
            against=against,
            threads=threads,
            batch_size=batch_size,
            limit=limit,
            skip_bad=skip_bad,
            progress=progress,
        )
    result = replace(result, environment=environment(command_line()))
    show(rendered(result), to_dict(result), json_file)
    if report_file is not None:
        from resnet_deploy.report import html

        write_report(html(result), report_file)
    if record:  # last: what was measured is on the screen by now
        record_accuracy(model, result, dataset)
