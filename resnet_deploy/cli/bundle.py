"""``resnet-deploy bundle``: a network with the code that runs it in an app."""

from __future__ import annotations

from pathlib import Path

import click

from resnet_deploy.cli.options import (
    MODEL,
    ProgressBar,
    force_option,
    json_option,
    model_argument,
    rendered,
    seed_option,
    show,
    verbosity_options,
)
from resnet_deploy.spec import DEFAULT_REAL_PICTURES, BundleTarget


@click.command("bundle")
@model_argument
@click.option(
    "--target",
    type=click.Choice([target.value for target in BundleTarget]),
    required=True,
    help="What kind of app it is for.",
)
@click.option(
    "-o", "--out", "folder", type=MODEL, required=True, help="Folder to write the bundle into."
)
@click.option(
    "--data",
    type=MODEL,
    help="Real pictures for the golden cases: image folder, CIFAR batches, IDX files or .npz.",
)
@click.option(
    "--pictures",
    "count",
    type=click.IntRange(1, 200),
    default=DEFAULT_REAL_PICTURES,
    show_default=True,
    help="How many pictures of --data become golden cases.",
)
@click.option(
    "--alternative",
    type=MODEL,
    metavar="OTHER.onnx",
    help="The same network in another precision: a web page takes what it measures as faster.",
)
@force_option
@seed_option
@json_option
@verbosity_options
def command(
    model: Path,
    target: str,
    folder: Path,
    data: Path | None,
    count: int,
    alternative: Path | None,
    force: bool,
    seed: int,
    json_file: str | None,
) -> None:
    """Pack MODEL.onnx with the code that runs it in an app, and with its self-test.

    cpp: a C++17 header, a C interface and CMake. mobile: Android (NDK, Java) and iOS. node: a typed
    ES module. web: a static page that works offline. triton: a model repository for a server.

    The self-test runs golden cases: pictures, the exact inputs that they become, and what ONNX
    Runtime answered here. The same input gives the same bytes.
    """
    from resnet_deploy.artifact.onnx_file import load
    from resnet_deploy.bundle.bundling import pack
    from resnet_deploy.data.datasets import open_dataset
    from resnet_deploy.results import to_dict

    load(model)  # a wrong model is named before a large dataset is listed
    with ProgressBar() as progress:
        report = pack(
            model,
            BundleTarget(target),
            folder,
            alternative=alternative,
            dataset=None if data is None else open_dataset(data),
            count=count,
            seed=seed,
            force=force,
            progress=progress,
        )
    show(rendered(report), to_dict(report), json_file)
