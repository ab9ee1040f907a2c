"""``resnet-deploy export``: a checkpoint becomes verified fp32 and int8 ONNX files."""

from __future__ import annotations

from pathlib import Path

import click

from resnet_deploy.cli.model_options import model_request_options
from resnet_deploy.cli.options import (
    MODEL,
    ProgressBar,
    RgbType,
    command_line,
    force_option,
    input_option,
    json_option,
    seed_option,
    show_deployment,
    threads_option,
    verbosity_options,
)
from resnet_deploy.cli.quant_options import quant_options
from resnet_deploy.errors import SpecError
from resnet_deploy.spec import InputFormat, OutputSpec, PreprocessOverrides, QuantSpec
from resnet_deploy.spec.model_request import ModelRequest


@click.command("export")
@model_request_options
@click.option(
    "--weights",
    default="random",
    show_default=True,
    metavar="[random|imagenet|cifar10|FILE]",
    help="Random, torchvision's published file (downloaded), the ResNet-20 that comes with the "
    "package, a checkpoint, or the folder of a training run.",
)
@click.option(
    "-o",
    "--out",
    type=MODEL,
    default=Path("artifacts"),
    show_default=True,
    help="Folder of the files.",
)
@click.option("--name", help="Stem of the files.  [default: the model's, as resnet34]")
@click.option(
    "--labels",
    "labels_file",
    type=MODEL,
    help="Text file with one class name a line.  [default: the weights' own]",
)
@click.option(
    "--licence",
    default="",
    metavar="SPDX",
    help="Licence of the weights, as Apache-2.0, for the files' card.  [default: the weights' own]",
)
@click.option(
    "--mean",
    type=RgbType(),
    help="Mean of the input, on [0, 1].  [default: the weights' own, or ImageNet's]",
)
@click.option(
    "--std",
    type=RgbType(),
    help="Its standard deviation.  [default: the weights' own, or ImageNet's]",
)
@click.option(
    "--resize",
    type=click.IntRange(1),
    help="Shorter side before the crop.  [default: the weights' own, or size/0.875]",
)
@click.option(
    "--interpolation",
    type=click.Choice(["bilinear", "bicubic"]),
    help="Of the resize.  [default: the weights' own, or bilinear]",
)
@input_option(InputFormat.FLOAT_NCHW)
@click.option(
    "--resize-in-graph",
    is_flag=True,
    help="Let the files resize and crop pictures of any size; needs --input uint8-nhwc.",
)
@click.option(
    "--output",
    "output_name",
    default="logits",
    show_default=True,
    metavar="[logits|softmax|top-K|embedding|features]",
    help="What the files answer: top-5 gives classes and probabilities, embedding the pooled "
    "features, features the maps C2 to C5.",
)
@click.option(
    "--output-stride",
    type=click.Choice(["8", "16", "32"]),
    default="32",
    show_default=True,
    help="Pixels of the image per pixel of the last map; below 32, convolutions dilate.",
)
@click.option("--batch-size", type=click.IntRange(1), help="Fix the batch size.  [default: any]")
@click.option("--opset", type=int, help="ONNX operator set.  [default: 17]")
@click.option(
    "--target-ort", metavar="1.NN", help="Write nothing that this ONNX Runtime can't read."
)
@click.option("--fold/--no-fold", default=True, help="Fold BatchNorm in PyTorch.  [default: fold]")
@click.option("--simplify/--no-simplify", default=True, help="Run onnxsim.  [default: simplify]")
@click.option("--int8/--no-int8", default=True, help="Also write the int8 file.  [default: int8]")
@quant_options
@click.option(
    "--allow-float-ops",
    is_flag=True,
    help="Accept an int8 file in which ONNX Runtime leaves operators in float.",
)
@seed_option
@threads_option
@force_option
@json_option
@verbosity_options
def command(
    request: ModelRequest,
    quant: QuantSpec,
    calibration: Path | None,
    verify: bool,
    allow_float_ops: bool,
    weights: str,
    out: Path,
    name: str | None,
    labels_file: Path | None,
    licence: str,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
    resize: int | None,
    interpolation: str | None,
    input_format: str,
    resize_in_graph: bool,
    output_name: str,
    output_stride: str,
    batch_size: int | None,
    opset: int | None,
    target_ort: str | None,
    fold: bool,
    simplify: bool,
    int8: bool,
    seed: int,
    threads: int,
    force: bool,
    json_file: str | None,
) -> None:
    """Turn a ResNet checkpoint into verified fp32 and int8 ONNX files.

    Writes NAME.onnx and NAME.int8.onnx. BatchNorm is folded, the graph simplified and quantized;
    both files are compared with PyTorch, and the int8 file must run in int8 throughout. Nothing is
    written unless every check holds.
    """
    from dataclasses import replace

    from resnet_deploy.data.labels import read_labels_file
    from resnet_deploy.pipeline import ExportRequest, deploy
    from resnet_deploy.runners.cpu import environment

    if std is not None and min(std) <= 0:
        raise SpecError(f"--std must be positive, not {min(std):g}")
    if name is not None and (Path(name).name != name or name in ("", ".", "..")):
        raise SpecError(f"--name {name!r} must be a file name without folders: use -o for those")
    output = OutputSpec.parse(output_name, stride=int(output_stride))
    with ProgressBar() as progress:
        deployment = deploy(
            ExportRequest(
                model=request,
                weights=weights,
                out=out,
                name=name,
                labels=read_labels_file(labels_file) if labels_file else (),
                licence=licence,
                preprocess=PreprocessOverrides(
                    mean=mean, std=std, resize=resize, interpolation=interpolation
                ),
                input=InputFormat(input_format),
                resize_in_graph=resize_in_graph,
                output=output,
                batch_size=batch_size,
                opset=opset,
                target_ort=target_ort,
                fold=fold,
                simplify=simplify,
                int8=int8,
                calibration=calibration,
                quant=replace(quant, seed=seed),
                verify=verify,
                allow_float_ops=allow_float_ops,
                force=force,
                seed=seed,
                threads=threads,
            ),
            environment(command_line()),
            progress=progress,
        )
    show_deployment(deployment, json_file)
