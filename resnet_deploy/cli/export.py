"""``resnet-deploy export``: a checkpoint becomes verified fp32 and int8 ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from resnet_deploy import api
from resnet_deploy.cli.options import (
    PATH,
    Words,
    follow_links_option,
    input_option,
    network_options,
    picture_options,
    precision_option,
    quantization_options,
    seed_option,
    threads_option,
    without,
)
from resnet_deploy.cli.output import here, output_options, show
from resnet_deploy.cli.progress import ProgressBar
from resnet_deploy.errors import SpecError
from resnet_deploy.spec import OutputSpec

_loads, _deploys = Words(api.load), Words(api.deploy)


@click.command("export")
@network_options(_loads)
@_loads(
    "--weights",
    metavar="[random|imagenet|cifar10|FILE|FOLDER]",
    help="Random, torchvision's published file (imagenet, downloaded), the ResNet-20 that comes "
    "with the package (cifar10), a checkpoint, or the folder of a training run or a hub.",
)
@_deploys(
    "-o",
    "--out",
    type=PATH,
    default=Path("artifacts"),
    show_default=True,
    help="Folder of the files.",
)
@_deploys("--name")
@_loads(
    "--labels",
    type=PATH,
    default=None,
    multiple=False,
    help="Text file with one class name a line; by default the weights' own.",
)
@_loads("--licence", metavar="SPDX")
@picture_options(size=False)
@input_option(_deploys)
@_deploys("--resize-in-graph")
@_deploys("--output", metavar="[logits|softmax|top-K|embedding|features]")
@_deploys("--output-stride", type=click.Choice([8, 16, 32]))
@_deploys("--batch-size", type=click.IntRange(1))
@_deploys("--opset", type=int)
@_deploys("--target-ort", metavar="1.NN")
@_deploys("--fold/--no-fold")
@_deploys("--simplify/--no-simplify")
@_deploys("--int8/--no-int8")
@precision_option(_deploys)
@quantization_options(_deploys)
@follow_links_option(_deploys)
@_deploys("--allow-float-ops", is_flag=True, default=None)
@seed_option(_deploys)
@threads_option(_deploys)
@_deploys("--force")
@_deploys("--dry-run")
@output_options
def command(labels: Path | None, seed: int, **words: Any) -> None:
    """Turn a ResNet checkpoint into verified fp32 and int8 ONNX files.

    Writes NAME.onnx and NAME.int8.onnx. BatchNorm is folded, the graph simplified and quantized;
    both files are compared with PyTorch, and the int8 file must run in int8 throughout. Nothing is
    written unless every check holds. Where int8 is not 1.1 times as fast as fp32, NAME.onnx alone
    is written and the exit code is 1 ("keep fp32"); --no-int8 asks for no more. --precision fp16
    writes NAME.fp16.onnx in place of the int8 file, compared as well; it is not timed.
    """
    output = OutputSpec.parse(words["output"])
    if labels is not None and not output.kind.has_classes:
        raise SpecError(f"--output {output.name} has no classes to name: drop --labels")
    if words["weights"].endswith(".onnx"):
        raise SpecError(
            f"{words['weights']} is an ONNX model, which needs no export: quantize, verify and "
            "bench take it"
        )
    network = without(words, api.load)
    with ProgressBar() as progress:
        net = api.load(
            **network,
            labels=labels or (),
            download=not words["dry_run"],
            seed=seed,
            progress=progress,
        )
        result = api.deploy(net, **words, seed=seed, environment=here(), progress=progress)
    show(result)
