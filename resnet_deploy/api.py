"""The front door: each verb is one function from a ``Network`` or an ``Artifact`` to a value.

This file is long because it is all signatures and their descriptions: the command line takes its
options, defaults and help texts from here. The work is done in the rooms below. Heavy packages are
imported when a verb is called.

Words that mean the same in every signature:

- ``data`` and ``calibration``: a path (image folder, CIFAR batches, IDX, ``.npz`` or parquet files)
  or an open :class:`~resnet_deploy.data.datasets.Dataset`.
- an artifact: an :class:`~resnet_deploy.artifact.artifact.Artifact`, or the path of an ONNX file.
- ``threads``: 0 means the physical cores that this process may use.
- ``environment``: recorded in the result; by default what is found here, with the command that
  started Python.
- ``progress``: called as ``progress(stage, done, total)``.

Every function raises a :class:`~resnet_deploy.errors.ResnetDeployError` with one line to act on.
A check that fails is a result: see ``result.check()``.
"""

from __future__ import annotations

import enum
import inspect
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from resnet_deploy.errors import SpecError
from resnet_deploy.paths import resolved, url_scheme
from resnet_deploy.progress import Progress, phase, silent
from resnet_deploy.spec import (
    DEFAULT_REAL_PICTURES,
    NOTHING_TOLD,
    BenchSpec,
    Budget,
    BundleRuntime,
    BundleTarget,
    CalibrationMethod,
    ClusterSpec,
    Effort,
    FirstConv,
    InputFormat,
    InputOptions,
    Learned,
    Objective,
    OutputKind,
    OutputSpec,
    Padding,
    Pool,
    QuantSpec,
    ResidualStream,
    Runtime,
    Shortcut,
    Stem,
    TargetIsa,
    Told,
    Tolerance,
    TuneSpec,
    Variant,
)
from resnet_deploy.spec.deploy import DeploySpec, ExportSpec, LoadSpec, SmallPrecision
from resnet_deploy.spec.matrix import CellOptions
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.visible import recorded_line

if TYPE_CHECKING:
    from resnet_deploy.arrays import Array
    from resnet_deploy.artifact.artifact import Artifact
    from resnet_deploy.data.datasets import Data, Dataset
    from resnet_deploy.models.network import Network
    from resnet_deploy.results import (
        AnswerResult,
        BenchmarkResult,
        BenchmarkSweep,
        BundleReport,
        CellResult,
        Deployment,
        Diagnosis,
        Environment,
        EvalResult,
        IsaReport,
        MatrixReport,
        ModelSummary,
        ParityReport,
        Predictions,
        RegressionReport,
        SaturationReport,
        TuningReport,
        WitnessReport,
    )
    from resnet_deploy.results.training import Epoch, TrainingResult

logger = logging.getLogger(__name__)

E = TypeVar("E", bound=enum.Enum)

StrPath = str | os.PathLike[str]


def load(
    weights: StrPath = "random",
    *,
    depth: int | None = None,
    model: str | None = None,
    variant: str | None = None,
    shortcut: str | None = None,
    stem: str | None = None,
    plain: bool = False,
    num_classes: int | None = None,
    image_size: int | None = None,
    in_channels: int | None = None,
    bn_eps: float | None = None,
    padding: str | None = None,
    pool: str | None = None,
    labels: StrPath | Sequence[str] = (),
    licence: str = "",
    input_options: InputOptions | None = None,
    download: bool = True,
    seed: int = 0,
    progress: Progress = silent,
) -> Network | Artifact:
    """Open a network: a checkpoint, a published or an untrained net, or an ONNX file.

    Args:
        weights: Random, torchvision's published file (imagenet, downloaded), the ResNet-20 that
            comes with the package (cifar10), a checkpoint, the folder of a training run or of a
            hub (timm, transformers), or an ONNX file, which becomes an ``Artifact``. Configs
            beside a checkpoint are read.
        depth: 18, 34, 50, 101 or 152 (ImageNet), or any 6n+2 (CIFAR: 20, 32, 44, 56, 110).
        model: resnet34, seresnet20, resnext50_32x4d, plain34, vgg19, …, timm:NAME,
            torchvision:NAME or hf:FOLDER (transformers) for a net of these packages, or
            package.module:factory for your own.
        variant: Where a bottleneck strides: v1 first 1x1 (the paper), by default v1.5 3x3.
        shortcut: A zero-padded identity (A-end: all zeros behind), B projection on a change, C
            always; by default B, for CIFAR nets A.
        stem: 7x7/2 and max-pool, or 3x3/1 for small images, without or with the max-pool.
        plain: The paper's plain net: no shortcuts.
        num_classes: Number of classes.
        image_size: Height and width in pixels.
        in_channels: Channels of the pictures: 1 (grey, Pillow's L), 3 or 4 (RGBA); by default
            the weights', else 3.
        bn_eps: What BatchNorms add to the variance; by default 1e-5 (TensorFlow's nets: 1e-3).
        padding: Of windows that stride: both sides alike (torch), or more behind (tf, SAME).
        pool: How maps are halved: by strides (plain), or behind a filter: blur (timm's
            resnetblur) or avg (timm's resnetaa).
        labels: File with the class names (one a line, synset lines, JSON, CSV), or the names.
        licence: Licence of the weights, as Apache-2.0, for the files' card; by default their own.
        input_options: How pictures become the input, as far as the weights don't say it themselves.
        download: Fetch published weights that are not in the cache; without, random ones stand in.
        seed: Of everything random.
        progress: Told about downloads.
    """
    spec = LoadSpec(
        model=_request(
            depth,
            model,
            variant,
            shortcut,
            stem,
            plain,
            num_classes,
            image_size,
            in_channels,
            bn_eps,
            padding,
            pool,
        ),
        weights=str(weights),
        labels=_labels(labels),
        licence=licence,
        preprocess=input_options or InputOptions(),
        download=download,
        seed=seed,
    )
    if spec.weights.endswith(".onnx"):
        if spec != LoadSpec(weights=spec.weights, download=download, seed=seed):
            raise SpecError(
                f"{weights} is an ONNX file, which says itself what it is: drop --depth and all "
                "other words about the network, its labels, licence and preprocessing"
            )
        return _artifact(weights)
    from resnet_deploy.dependencies import require

    require("torch", "building the network")
    with phase(progress, "importing PyTorch"):
        from resnet_deploy.loading.checkpoint import load_network

    return load_network(spec, progress=progress)


def export(
    network: Network | Artifact,
    *,
    output: str = "logits",
    output_stride: int = 32,
    input: str = "float-nchw",
    resize_in_graph: bool = False,
    batch_size: int | None = None,
    opset: int | None = None,
    target_ort: str | None = None,
    fold: bool = True,
    simplify: bool = True,
    progress: Progress = silent,
) -> Artifact:
    """Turn a network into an fp32 ONNX file, not saved yet; :func:`verify` compares it.

    Args:
        network: What :func:`load` returned.
        output: What the file answers: logits, softmax, top-K (as top-5), embedding (the pooled
            features) or features (the maps C2 to C5).
        output_stride: Pixels of the image per pixel of the last map; below 32, convolutions dilate.
        input: What the file takes: normalised floats, or the bytes of RGB pixels.
        resize_in_graph: Let the file resize and crop pictures of any size; needs input uint8-nhwc.
        batch_size: Fix the batch size; by default any.
        opset: ONNX operator set; by default 17.
        target_ort: Write nothing that this ONNX Runtime can't read, as 1.16.
        fold: Fold BatchNorm in PyTorch.
        simplify: Run onnxsim.
        progress: Called before and after.
    """
    from resnet_deploy.exporter import export_network

    spec = ExportSpec(
        output=OutputSpec.parse(output, stride=output_stride),
        input=_one_of(InputFormat, input),
        resize_in_graph=resize_in_graph,
        batch_size=batch_size,
        opset=opset,
        target_ort=target_ort,
        fold=fold,
        simplify=simplify,
    )
    net = _network(network)
    if resize_in_graph:
        from resnet_deploy.rewrites.resize_front import check_resizable

        check_resizable(replace(net.preprocess, format=spec.input))
    made = export_network(net, spec, progress=progress)
    if not resize_in_graph:
        return made
    from resnet_deploy.deployment.plan import images_for
    from resnet_deploy.deployment.resizing import check_resize, with_resize

    images = images_for(QuantSpec(), None, made.preprocess)
    return with_resize(made, check_resize(made.preprocess, images))


def quantize(
    fp32: Artifact | StrPath,
    *,
    calibration: StrPath | Dataset | None = None,
    calibration_method: str = "mse",
    calibration_samples: int | None = None,
    follow_links: bool = False,
    calibration_cache: StrPath | None = None,
    no_calibration_cache: bool = False,
    effort: str = "fast",
    target_isa: str = "auto",
    allow_overflow: bool = False,
    first_conv: str = "auto",
    residual_stream: str = "uint8",
    runtime: str = "ort",
    exclude: str | Sequence[str] = (),
    workers: int | None = None,
    cluster: str | None = None,
    input: str | None = None,
    output_kind: str | None = None,
    output_name: str | None = None,
    input_options: InputOptions | None = None,
    network: Network | None = None,
    allow_float_ops: bool = True,
    seed: int = 0,
    threads: int = 0,
    environment: Environment | None = None,
    progress: Progress = silent,
) -> Artifact:
    """Turn an fp32 ONNX classifier, of this tool or any other, into an int8 one, not saved yet.

    Activations become u8, weights s8 per channel, biases int32. Nothing is compared here: see
    :func:`verify`, or :func:`deploy` for all of it.

    Args:
        fp32: The file.
        calibration: Images that set the int8 ranges.
        calibration_method: How the range of an activation is chosen from what was seen: minmax,
            percentile, entropy or mse.
        calibration_samples: How many images are taken, spread over the classes; by default 512, and
            up to 2048 for effort best where they are smaller than 224x224.
        follow_links: Follow links that lead out of a folder of images; without, they are refused.
        calibration_cache: Where what was seen is kept, for a run that was stopped or another
            method; by default the user's cache folder.
        no_calibration_cache: Keep nothing, and use nothing kept.
        effort: fast: seconds; best: weights rounded together, layer by layer, in minutes.
        target_isa: Choose int8 kernels for every CPU (portable) or for one kind: auto, portable or
            x86-amx. It changes the speed, never the answers.
        allow_overflow: Round weights as CPUs that add up in 32 bits can take them; x86 CPUs without
            VNNI may then give other answers.
        first_conv: auto: twelve channels instead of three, for ONNX Runtime; plain: as it is, for
            OpenVINO.
        residual_stream: float32: residual sums stay in float, and only what the convolutions read
            is rounded: much closer to fp32, and somewhat slower; every convolution runs in int8.
        runtime: What a float residual stream is laid out for, and checked and timed on: ort, or
            openvino, whose int8 convolutions write float by themselves, so that less is rounded.
        exclude: Torch modules that stay float, as globs such as layer4.*.
        workers: Processes that share the calibration images, by default this one alone, or one for
            each CPU of the cluster; same result.
        cluster: Spread the work over a Ray cluster: ray (on this machine, for as long as it takes)
            or ray://HOST:PORT (the head node of one that runs); same result.
        input: What the file takes; by default what ``fp32`` does.
        output_kind: What the file answers, where it does not tell: logits, probabilities, sigmoid
            (one class of several), binary (one value for two classes), multi-label, embedding,
            features or top-k. By default read from the end of the graph and the card.
        output_name: Which output of a file with several is meant; by default the one that counts
            classes.
        input_options: How pictures become the input, as far as the file does not say it itself.
        network: What ``fp32`` was made of: its BatchNorms stand in for calibration images, and
            ranges of quantization-aware training are used as they are.
        allow_float_ops: Accept layers that ONNX Runtime leaves in float; they are logged.
        seed: Of everything random.
        threads: Of the calibration.
        environment: Its CPU is what target_isa auto means.
        progress: Called after every batch.
    """
    from resnet_deploy.data.preprocess import input_preprocess
    from resnet_deploy.deployment.calibration_notices import calibration_notices
    from resnet_deploy.deployment.hearing import hear
    from resnet_deploy.deployment.plan import (
        SYNTHETIC_NOTICE,
        for_cpu,
        images_for,
        known_of,
        quant_as_trained,
    )
    from resnet_deploy.deployment.source import check_source, with_first_card, with_input
    from resnet_deploy.quantization.quantized import NOTHING_KNOWN, accepted
    from resnet_deploy.quantization.quantized import quantize as quantize_artifact

    spec = _quant_spec(
        calibration_method,
        calibration_samples,
        calibration_cache,
        no_calibration_cache,
        effort,
        target_isa,
        allow_overflow,
        first_conv,
        residual_stream,
        runtime,
        exclude,
        workers,
        cluster,
        seed,
    )
    spec = for_cpu(spec, _here(environment))
    if network is not None:
        spec = quant_as_trained(network, spec)
    given = _data(calibration, follow_links=follow_links)
    told = _heard(fp32, output_kind, output_name, input_options)
    check_source(told)
    heard = hear(told, given, seed=seed, progress=progress)
    for warning in heard.warnings:
        logger.warning("%s", warning)
    source = with_input(
        with_first_card(heard.artifact),
        None if input is None else _one_of(InputFormat, input),
    )
    images = images_for(spec, given, input_preprocess(source))
    known = NOTHING_KNOWN if network is None else known_of(network, without_images=given is None)
    if images.synthetic and known == NOTHING_KNOWN:
        logger.warning(SYNTHETIC_NOTICE)
    for notice in calibration_notices(source, images, threads=threads):
        logger.warning("%s", notice)
    made = quantize_artifact(
        source,
        images,
        spec,
        known=known,
        threads=threads,
        progress=progress,
    )
    return accepted(made, allow_float_ops=allow_float_ops)


def deploy(
    source: Network | Artifact | StrPath,
    out: StrPath | None = None,
    *,
    name: str | None = None,
    output: str = "logits",
    output_stride: int = 32,
    output_kind: str | None = None,
    output_name: str | None = None,
    input_options: InputOptions | None = None,
    input: str | None = None,
    resize_in_graph: bool = False,
    batch_size: int | None = None,
    opset: int | None = None,
    target_ort: str | None = None,
    fold: bool = True,
    simplify: bool = True,
    int8: bool = True,
    precision: str = "int8",
    calibration: StrPath | Dataset | None = None,
    calibration_method: str = "mse",
    calibration_samples: int | None = None,
    calibration_cache: StrPath | None = None,
    no_calibration_cache: bool = False,
    effort: str = "fast",
    target_isa: str = "auto",
    allow_overflow: bool = False,
    first_conv: str = "auto",
    residual_stream: str = "uint8",
    runtime: str = "ort",
    exclude: str | Sequence[str] = (),
    workers: int | None = None,
    cluster: str | None = None,
    verify: bool = True,
    witness: bool = True,
    allow_float_ops: bool | None = None,
    keep_slow: bool = False,
    sensitivity: bool = False,
    max_drop: float | None = None,
    min_agreement: float | None = None,
    data: StrPath | Dataset | None = None,
    labels_file: StrPath | None = None,
    follow_links: bool = False,
    seed: int = 0,
    threads: int = 0,
    force: bool = False,
    dry_run: bool = False,
    environment: Environment | None = None,
    progress: Progress = silent,
) -> Deployment:
    """Export, quantize, verify, judge and write: nothing is written unless every check holds.

    The other words are those of :func:`export` and :func:`quantize`.

    Args:
        source: A network, of which NAME.onnx and NAME.int8.onnx are made, or an fp32 ONNX file, of
            which the int8 (or fp16) file is.
        out: Folder of the files; of an ONNX file the int8 file or its folder, by default
            NAME.int8.onnx beside it.
        name: Stem of the files; by default the model's, as resnet34.
        input: What the files take; by default float-nchw, or what the ONNX file takes.
        resize_in_graph: Let the files resize and crop pictures of any size; needs input uint8-nhwc.
        int8: Also write the int8 file.
        precision: What the file beside the fp32 one computes in: int8, or fp16 for CPUs with fp16
            arithmetic (ARM64), which is NAME.fp16.onnx in place of NAME.int8.onnx.
        verify: Compare the files with their source.
        witness: Ask BatchNorm on the calibration images how pictures are fed and how the net is
            built: what is assumed follows it, what contradicts it ends the run.
        allow_float_ops: Accept an int8 file in which ONNX Runtime leaves operators in float; by
            default one made of an ONNX file, not one made of a network.
        keep_slow: Write the int8 file also where it is not 1.1 times as fast as fp32 on this CPU;
            by default no stage of the net that is faster in float stays int8 then, and nothing is
            written if that does not help either.
        sensitivity: Rank the layers: what each would gain and cost in float.
        max_drop: Points of top-1 that int8 may lose on labelled ``data``; layers stay float until
            it holds.
        min_agreement: Share of images, 0 to 1, that must keep the top-1 of fp32; needs no labels.
        data: Images on which these are measured; by default other images of ``calibration``.
        labels_file: Labels of ``data`` in a flat folder: text with IMAGE LABEL a line, CSV or JSON.
        follow_links: Follow links that lead out of their folders; without, they are refused.
        seed: Of everything random.
        threads: Threads of the runner.
        force: Replace files that resnet-deploy did not write.
        dry_run: Write nothing: refuse what would be refused, and say what would be written, how
            long it would take and in how much memory.
        environment: Recorded in the result.
        progress: Told about every stage.
    """
    from resnet_deploy.artifact.artifact import Artifact
    from resnet_deploy.deployment.deploy import deploy as deploy_source
    from resnet_deploy.deployment.foresee import foresee
    from resnet_deploy.processes.ray_cluster import kept_connected

    budget = None
    if max_drop is not None or min_agreement is not None:
        budget = Budget(max_drop=max_drop, min_agreement=min_agreement)
    source = _deployed(source, output_kind, output_name, input_options)
    if isinstance(source, Artifact) and out is None:
        _check_saved(source)
    if allow_float_ops is None:
        allow_float_ops = isinstance(source, Artifact)
    wanted = None if input is None else _one_of(InputFormat, input)
    half = _one_of(SmallPrecision, precision) is SmallPrecision.FP16
    spec = DeploySpec(
        out=None if out is None else Path(out),
        name=name,
        export=ExportSpec(
            output=OutputSpec.parse(output, stride=output_stride),
            input=wanted or InputFormat.FLOAT_NCHW,
            resize_in_graph=resize_in_graph,
            batch_size=batch_size,
            opset=opset,
            target_ort=target_ort,
            fold=fold,
            simplify=simplify,
        ),
        input=wanted,
        int8=int8 and not half,
        half=half,
        quant=_quant_spec(
            calibration_method,
            calibration_samples,
            calibration_cache,
            no_calibration_cache,
            effort,
            target_isa,
            allow_overflow,
            first_conv,
            residual_stream,
            runtime,
            exclude,
            workers,
            cluster,
            seed,
        ),
        verify=verify,
        witness=witness,
        allow_float_ops=allow_float_ops,
        keep_slow=keep_slow,
        sensitivity=sensitivity,
        budget=budget,
        force=force,
        threads=threads,
    )
    work = foresee if dry_run else deploy_source
    with kept_connected():
        return work(
            source,
            spec,
            calibration=_data(calibration, follow_links=follow_links),
            data=_data(data, labels_file, follow_links=follow_links),
            environment=_here(environment),
            progress=progress,
        )


def deploy_matrix(
    matrix: StrPath,
    out: StrPath = "artifacts",
    *,
    workers: int | None = None,
    cluster: str | None = None,
    threads: int = 0,
    force: bool = False,
    dry_run: bool = False,
    environment: Environment | None = None,
    progress: Progress = silent,
    on_result: Callable[[CellResult], None] | None = None,
) -> MatrixReport:
    """Make many nets for many targets, as one TOML file says.

    Each net for each target is a cell, which is deployed into a folder of its own. A cell that
    fails is a result, and stops no other. What was made before of the same is left as it is.

    The other words are those of :func:`deploy`.

    Args:
        matrix: The TOML file: [nets.NAME] and [targets.NAME], each with the options of export.
        out: Folder of the cells, NET/TARGET below it.
        workers: Processes that make cells, by default this one alone, or one for each CPU of the
            cluster; same result.
        cluster: Make cells on a Ray cluster: ray (on this machine, for as long as it takes) or
            ray://HOST:PORT (the head node of one that runs); same result.
        dry_run: List the cells and make none.
        environment: Recorded in the result.
        progress: Told how many cells are done.
        on_result: Called with what became of each cell, when it is known.
    """
    from resnet_deploy.deployment.matrix import deploy_matrix as deploy_cells
    from resnet_deploy.deployment.matrix_file import read_matrix

    return deploy_cells(
        read_matrix(Path(matrix)),
        Path(out),
        _CellVerbs,
        workers=None if cluster is not None else workers,
        cluster=_cluster(cluster, workers),
        threads=threads,
        force=force,
        dry_run=dry_run,
        environment=_here(environment),
        progress=progress,
        on_result=on_result,
    )


def save(artifact: Artifact, path: StrPath, *, force: bool = False) -> Artifact:
    """Write an artifact to ``path``, whole or not at all; return it as it lies there.

    Args:
        artifact: What a verb made, or a file to copy.
        path: Where to.
        force: Replace a file that resnet-deploy did not write.
    """
    from resnet_deploy.artifact.onnx_file import write

    return write(artifact, Path(path), force=force)


def verify(
    artifact: Artifact | StrPath,
    *,
    against: Network | Artifact | StrPath | None = None,
    model: str | None = None,
    output_kind: str | None = None,
    output_name: str | None = None,
    input_options: InputOptions | None = None,
    data: StrPath | Dataset | None = None,
    samples: int = 128,
    follow_links: bool = False,
    per_layer: bool = False,
    max_relative: float | None = None,
    min_sqnr: float | None = None,
    min_cosine: float | None = None,
    min_agreement: float | None = None,
    seed: int = 0,
    threads: int = 0,
    environment: Environment | None = None,
    progress: Progress = silent,
) -> ParityReport:
    """Compare an ONNX file on ONNX Runtime with PyTorch, another file or a checkpoint.

    Optimisations off and all, batch sizes 1, 2 and 5. A tolerance that does not hold fails: fp32
    1e-5 of the largest logit and equal top-1; int8 15 dB, cosine 0.98 and, for trained nets on 100
    real images or more, 90 % equal top-1.

    The other words are those of :func:`quantize`.

    Args:
        artifact: What is compared.
        against: What has the right answer; by default PyTorch on the fp32 file.
        model: What builds the net of a checkpoint of your own kind, as package.module:factory.
        data: Images to compare on; synthetic ones without.
        samples: How many images of data.
        follow_links: Follow links that lead out of a folder of images; without, they are refused.
        per_layer: Also compare every layer, by torch module.
        max_relative: Max |difference| / max |logit|.
        min_sqnr: Least signal to noise of the logits, in dB.
        min_cosine: Least cosine of the logits.
        min_agreement: Least share of equal top-1.
        seed: Of everything random.
        threads: Threads of the runner.
        environment: Recorded in the result.
        progress: Called after every case.
    """
    from resnet_deploy.reference import reference_for
    from resnet_deploy.verification import compare, default_tolerance

    opened = _judged(artifact, output_kind, output_name, input_options)
    images, name, meaningful = _verification(
        opened, _data(data, follow_links=follow_links), samples, seed
    )
    if min_agreement is not None and opened.output_kind is OutputKind.FEATURES:
        raise SpecError(
            f"{opened.path} gives features, which name nothing that could be equal: drop "
            "--min-agreement"
        )
    default = default_tolerance(opened, len(images), meaningful=meaningful)
    report = compare(
        opened,
        reference_for(opened, _reference(opened, against), factory=model, threads=threads),
        images,
        data=name,
        meaningful=meaningful,
        tolerance=_tolerance(max_relative, min_sqnr, min_cosine, min_agreement).over(default),
        per_layer=per_layer,
        threads=threads,
        environment=_here(environment),
        progress=progress,
    )
    return replace(report, preprocess=opened.preprocess)


def verify_isa(
    artifact: Artifact | StrPath,
    isa: str | Sequence[str],
    *,
    against: Network | Artifact | StrPath | None = None,
    model: str | None = None,
    output_kind: str | None = None,
    output_name: str | None = None,
    input_options: InputOptions | None = None,
    data: StrPath | Dataset | None = None,
    samples: int = 128,
    follow_links: bool = False,
    max_relative: float | None = None,
    min_sqnr: float | None = None,
    min_cosine: float | None = None,
    min_agreement: float | None = None,
    seed: int = 0,
    threads: int = 0,
    environment: Environment | None = None,
    progress: Progress = silent,
) -> IsaReport:
    """Run an ONNX file on the real kernels of other CPUs, emulated where this one lacks them.

    It must give there what it gives here: the tolerances of :func:`verify` and, for trained nets on
    real images, 99.9 % equal top-1.

    The other words are those of :func:`verify`.

    Args:
        artifact: What is run.
        isa: Names of instruction sets: x86-avx2, x86-vnni, arm64.
        against: What has the right answer; its figures are reported, not judged.
        environment: Recorded in the result.
        progress: Called after every emulated batch.
    """
    from resnet_deploy.isa.verify import (
        compare_isas,
        isa_tolerance,
        optional_reference,
        runnable_isas,
    )

    opened = _judged(artifact, output_kind, output_name, input_options)
    isas = runnable_isas(_names(isa))  # before the work, not after it
    images, name, meaningful = _verification(
        opened, _data(data, follow_links=follow_links), samples, seed
    )
    default = isa_tolerance(opened, len(images), meaningful=meaningful)
    report = compare_isas(
        opened,
        isas,
        images,
        data=name,
        tolerance=_tolerance(max_relative, min_sqnr, min_cosine, min_agreement).over(default),
        reference=optional_reference(
            opened, _reference(opened, against), factory=model, threads=threads
        ),
        threads=threads,
        environment=_here(environment),
        progress=progress,
    )
    return replace(report, preprocess=opened.preprocess)


def count_saturation(
    artifact: Artifact | StrPath,
    *,
    output_name: str | None = None,
    input_options: InputOptions | None = None,
    data: StrPath | Dataset | None = None,
    samples: int = 128,
    follow_links: bool = False,
    seed: int = 0,
    threads: int = 0,
    environment: Environment | None = None,
    progress: Progress = silent,
) -> SaturationReport:
    """Count which products of an int8 file overflow on x86 CPUs without VNNI, layer by layer.

    The other words are those of :func:`verify`.

    Args:
        artifact: An int8 file.
        environment: Recorded in the result.
        progress: Called after every batch.
    """
    from resnet_deploy.quantization.count_saturation import count_saturation as count

    opened = _judged(artifact, None, output_name, input_options)
    images, name, _ = _verification(opened, _data(data, follow_links=follow_links), samples, seed)
    return count(
        opened.plain,
        [images],
        data=name,
        images=len(images),
        threads=threads,
        environment=_here(environment),
        progress=progress,
    )


def witness(
    source: Network | Artifact | StrPath,
    *,
    data: StrPath | Dataset,
    against: Network | StrPath | None = None,
    model: str | None = None,
    output_name: str | None = None,
    input_options: InputOptions | None = None,
    samples: int = 128,
    follow_links: bool = False,
    seed: int = 0,
    environment: Environment | None = None,
    progress: Progress = silent,
) -> WitnessReport:
    """Ask the BatchNorms of a trained net whether pictures are fed as in its training.

    They remember the mean and variance of what the training gave them; with a checkpoint they tell
    how the net is built, too. A contradiction fails.

    The other words are those of :func:`verify`.

    Args:
        source: Whose input contract is asked about: a network with its weights, or an ONNX file.
        data: Real pictures like those of the training.
        against: The checkpoint that a file was made from, where its BatchNorms are folded.
        samples: How many pictures: 64 to 512.
        environment: Recorded in the result.
        progress: Called after every question.
    """
    from resnet_deploy.data.calibration import calibration_images
    from resnet_deploy.dependencies import require
    from resnet_deploy.deployment.hearing import unfolded
    from resnet_deploy.models.network import Network

    require("torch", "asking BatchNorm")
    from resnet_deploy.batchnorm_witness.testimony import ask_file, ask_network
    from resnet_deploy.reference import network_behind

    pictures = _required(data, follow_links=follow_links)
    if isinstance(source, Network):
        network, contract = source, source.preprocess
    else:
        opened = _artifact(source, _told(None, output_name, input_options))
        network, contract = None, opened.preprocess
        if against is not None:
            network = (
                against
                if isinstance(against, Network)
                else network_behind(opened, _path(against), factory=model)
            )
            network = replace(network, preprocess=contract)
    images = calibration_images(pictures, contract, samples=samples, seed=seed)
    if network is None:
        report = ask_file(opened, images, simplify=unfolded, progress=progress)
    else:
        report = ask_network(network, images, progress=progress)
    return replace(report, environment=_here(environment))


def bench(
    models: Artifact | StrPath | Sequence[Artifact | StrPath],
    *,
    output_name: str | None = None,
    runner: str | Sequence[str] = (),
    batch_size: int | Sequence[int] = (),
    threads: int | Sequence[int] = (),
    throughput: bool = False,
    instances: int | Sequence[int] = (),
    pin: bool = False,
    session_option: Mapping[str, str] | str | Sequence[str] = (),
    precision: float = 0.02,
    time_limit: float = 20.0,
    rounds: int = 60,
    runs: int = 10,
    cold_start: int = 1,
    profile: bool = False,
    seed: int = 0,
    environment: Environment | None = None,
    progress: Progress = silent,
    on_result: Callable[[BenchmarkResult], None] | None = None,
) -> BenchmarkResult | BenchmarkSweep:
    """Measure ONNX files and runners side by side.

    By default PyTorch eager (rebuilt from the file alone), ONNX Runtime fp32, and the int8 file
    beside it. Each subject runs in its own process; they take turns in shuffled rounds.

    Args:
        models: Files to measure.
        output_name: Which output of the first file is meant, if it has several; the others'
            is the same.
        runner: Names of runners, as :func:`doctor` lists them; by default torch on the first fp32
            file, ort on all.
        batch_size: Images per run; several give one table each. By default 1, or what a model is
            fixed to.
        threads: Threads per run; several give one table each. By default the physical cores
            allowed.
        throughput: Images per second of instances at work at once.
        instances: With throughput: processes at once, of ``threads`` each; several give one table
            each.
        pin: Tie each process to physical cores of its own.
        session_option: KEY=VALUE of ONNX Runtime, by its documented key.
        precision: Stop when every ratio's interval is within this share of its middle.
        time_limit: Seconds for one table, loading included.
        rounds: Most rounds in which the subjects take turns; after every 3 all processes start
            anew. Below 12, one process each makes all rounds.
        runs: Timed runs of each subject in each round.
        cold_start: Measure start, load and first run in this many fresh processes.
        profile: Show the time of each operator, by torch module.
        seed: Of everything random.
        environment: Recorded in the result.
        progress: Told after each subject is loaded and after each round.
        on_result: Called with every table when it is measured.
    """
    from resnet_deploy.benchmark import open_models, sweep
    from resnet_deploy.runners.session_options import parse_session_options

    options = session_option
    if isinstance(options, Mapping):
        options = [f"{key}={value}" for key, value in options.items()]
    given = models if isinstance(models, Sequence) and not isinstance(models, str) else [models]
    paths = [_path(model) for model in given]
    results = sweep(
        open_models(paths, output_name),
        _names(runner),
        BenchSpec(
            throughput=throughput,
            pin=pin,
            precision=precision,
            time_limit=time_limit,
            rounds=rounds,
            runs_per_round=runs,
            cold_starts=cold_start,
            seed=seed,
        ),
        batch_sizes=_several(batch_size),
        threads=_several(threads),
        instances=_several(instances),
        session_options=parse_session_options(_names(options)),
        profile=profile,
        environment=_here(environment),
        progress=progress,
        on_result=on_result,
    )
    from resnet_deploy.results import BenchmarkSweep

    return results[0] if len(results) == 1 else BenchmarkSweep(results=results)


def compare(
    old: StrPath,
    new: StrPath,
    *,
    max_regress: float = 0.05,
    relative_to: str | None = None,
) -> RegressionReport:
    """Compare two recorded measurements; a regression that the interval supports fails.

    Args:
        old: JSON of an earlier :func:`bench`.
        new: JSON of a later one.
        max_regress: Share that may be lost.
        relative_to: Take out what this subject ("PyTorch fp32") lost, as the machine's.
    """
    from resnet_deploy.benchmark import compare_runs

    return compare_runs(Path(old), Path(new), max_regress=max_regress, relative_to=relative_to)


def evaluate(
    artifact: Artifact | StrPath,
    data: StrPath | Dataset,
    *,
    against: Artifact | StrPath | None = None,
    output_kind: str | None = None,
    output_name: str | None = None,
    input_options: InputOptions | None = None,
    labels_file: StrPath | None = None,
    follow_links: bool = False,
    limit: int | None = None,
    skip_bad: bool = False,
    batch_size: int | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    threads: int = 0,
    environment: Environment | None = None,
    progress: Progress = silent,
) -> EvalResult | AnswerResult:
    """Measure the accuracy of an ONNX file on labelled images.

    Images are prepared as the model's card says. Classes are matched by name, by WordNet id for
    ImageNet models, or else by position. A folder with test/ or val/ below it stands for that.
    Labels are measured by their mean average precision, embeddings by whether the nearest other
    image is of the same class; with against, by what both have in common.

    The other words are those of :func:`quantize`.

    Args:
        artifact: What is measured.
        data: Labelled images.
        against: Compare with this model, image by image: the difference in top-1 with its
            confidence interval and the exact McNemar test, class by class.
        labels_file: Labels of images in a flat folder: text with IMAGE LABEL a line, CSV or JSON.
        follow_links: Follow links that lead out of a folder of images; without, they are refused.
        limit: Take this many images, spread evenly over the classes.
        skip_bad: Leave out images that can't be read, and name them, instead of stopping.
        batch_size: Images per run; by default what is fast: 8 photos, 32 small pictures.
        workers: How many processes of the cluster share the images, by default one for each of its
            CPUs; same result.
        threads: How many images are decoded and run at a time, each on one core.
        environment: Recorded in the result.
        progress: Told after each batch.
    """
    from resnet_deploy.answers import score_answers
    from resnet_deploy.data.datasets import opened
    from resnet_deploy.evaluation import score

    spread = _cluster_alone(cluster, workers)
    # A wrong model is named before a large dataset is listed.
    model = _judged(artifact, output_kind, output_name, input_options)
    images = opened(_required(data, labels_file, follow_links=follow_links))
    other = None if against is None else _beside(model, against, output_kind, input_options)
    if model.output_kind in (OutputKind.MULTI_LABEL, OutputKind.EMBEDDING):
        answers = score_answers(
            model,
            images,
            against=other,
            threads=threads,
            cluster=spread,
            batch_size=batch_size,
            limit=limit,
            skip_bad=skip_bad,
            progress=progress,
        )
        return replace(answers, preprocess=model.preprocess, environment=_here(environment))
    result = score(
        model,
        images,
        against=other,
        threads=threads,
        cluster=spread,
        batch_size=batch_size,
        limit=limit,
        skip_bad=skip_bad,
        progress=progress,
    )
    return replace(result, preprocess=model.preprocess, environment=_here(environment))


def record(
    artifact: Artifact | StrPath,
    result: EvalResult | AnswerResult | IsaReport,
    *,
    data: StrPath | Dataset | None = None,
    labels_file: StrPath | None = None,
    follow_links: bool = False,
) -> Artifact:
    """Return the same file with what was found about it in its card; :func:`save` keeps it.

    Args:
        artifact: What was measured; it must have a card.
        result: Of :func:`evaluate` or :func:`verify_isa`.
        data: What it was evaluated on.
        labels_file: Its labels, as it was evaluated.
        follow_links: As it was evaluated.
    """
    from resnet_deploy.artifact.recording import recorded
    from resnet_deploy.data.datasets import opened
    from resnet_deploy.evaluation import accuracy_of
    from resnet_deploy.isa.verify import isas_of
    from resnet_deploy.results import AnswerResult, EvalResult, IsaReport

    if isinstance(result, AnswerResult):
        raise SpecError(f"a card records top-1, which {result.output_kind} has not: drop --record")
    model = _artifact(artifact)
    if isinstance(result, EvalResult):
        if result.sha256 != model.sha256:
            raise SpecError(f"{model.path} is not the file that was evaluated: {result.model}")
        if result.preprocess != model.preprocess:
            raise SpecError(
                f"{model.path} was evaluated on pictures prepared otherwise than its card says: "
                "drop --record, or make the file again with these options"
            )
        found = accuracy_of(result, opened(_required(data, labels_file, follow_links=follow_links)))
        return recorded(model, lambda card: card.with_accuracy(found))
    if not isinstance(result, IsaReport):
        raise SpecError(
            f"a card holds what evaluate and verify_isa found, no {type(result).__name__}"
        )
    proven, refuted = isas_of(result)
    return recorded(model, lambda card: card.with_isas(proven, refuted))


def predict(
    artifact: Artifact | StrPath,
    images: StrPath | Sequence[StrPath],
    *,
    top_k: int = 5,
    output_kind: str | None = None,
    output_name: str | None = None,
    input_options: InputOptions | None = None,
    follow_links: bool = False,
    threads: int = 0,
    environment: Environment | None = None,
    progress: Progress = silent,
) -> Predictions:
    """Name what is on each image; a folder stands for all images in it.

    One image that can't be read refuses the whole run.

    The other words are those of :func:`quantize`.

    Args:
        artifact: What is asked.
        images: Files or folders.
        top_k: How many classes to name per image.
        follow_links: Follow links that lead out of a folder of images; without, they are refused.
        threads: Threads of the runner.
        environment: Recorded in the result.
        progress: Told after each batch.
    """
    from resnet_deploy.data.folder import image_files
    from resnet_deploy.prediction import classify
    from resnet_deploy.results import Predictions

    model = _judged(artifact, output_kind, output_name, input_options)
    several = [images] if isinstance(images, str | os.PathLike) else images
    files = [
        file
        for path in map(Path, several)
        for file in (image_files(path, follow_links=follow_links) if path.is_dir() else [path])
    ]
    return Predictions(
        model=model.path.name,
        sha256=model.sha256,
        predictions=classify(
            model,
            files,
            top_k=top_k,
            threads=threads,
            progress=progress,
        ),
        output_kind=model.output_kind.value,
        preprocess=model.preprocess,
        environment=_here(environment),
    )


def summary(
    source: Network | Artifact | StrPath | None = None,
    *,
    output_name: str | None = None,
    depth: int | None = None,
    model: str | None = None,
    variant: str | None = None,
    shortcut: str | None = None,
    stem: str | None = None,
    plain: bool = False,
    num_classes: int | None = None,
    image_size: int | None = None,
    in_channels: int | None = None,
    bn_eps: float | None = None,
    padding: str | None = None,
    pool: str | None = None,
) -> ModelSummary:
    """Show a network, or an ONNX file, as in Table 1 of the paper.

    Stage, output size, layers, parameters and multiply-accumulates; the paper's FLOPs beside
    ours. For a file also precision, opset, size, operators, the ONNX Runtime it needs, and its
    card: weights, licence, preprocessing, calibration, accuracy, the ISAs it proved right on.

    The other words are those of :func:`load`.

    Args:
        source: A network or an ONNX file; without, the network that the others name.
        output_name: Which output of the file is meant, if it has several.
    """
    from resnet_deploy.models.network import Network
    from resnet_deploy.summarize import summarize_artifact, summarize_spec

    request = _request(
        depth,
        model,
        variant,
        shortcut,
        stem,
        plain,
        num_classes,
        image_size,
        in_channels,
        bn_eps,
        padding,
        pool,
    )
    if source is not None and request != ModelRequest():
        raise SpecError("name a network or FILE.onnx, not both")
    if isinstance(source, Network):
        return summarize_spec(source.spec)
    if source is not None:
        opened = _artifact(source, Told(output_name=output_name))
        for notice in opened.notices:
            logger.warning("%s: %s", opened.path.name, notice)
        return summarize_artifact(opened)
    if request.depth is None and request.model is None:
        raise SpecError("name a network (--depth 34, --model vgg19) or FILE.onnx")
    return summarize_spec(request.spec())


def tune(
    artifact: Artifact | StrPath,
    out: StrPath | None = None,
    *,
    data: StrPath | Dataset,
    max_drop: float | None = None,
    min_agreement: float | None = None,
    objective: str = "latency",
    time_limit: float = 600.0,
    labels_file: StrPath | None = None,
    follow_links: bool = False,
    calibration: StrPath | Dataset | None = None,
    keep_input: bool = False,
    output_kind: str | None = None,
    output_name: str | None = None,
    input_options: InputOptions | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    seed: int = 0,
    threads: int = 0,
    dry_run: bool = False,
    environment: Environment | None = None,
    progress: Progress = silent,
) -> TuningReport:
    """Find the fastest or smallest file of an fp32 one that keeps an accuracy budget.

    Tries input formats, int8 kernels, calibration methods, effort, runtimes, threads, session
    options and, where nothing else keeps the budget, float layers. Accuracy is measured on data,
    speed alternately with the default int8 file. The best so far is always OUT/NAME.tuned.onnx, its
    evidence OUT/tune.json. The same call goes on after an interruption.

    The other words are those of :func:`quantize`.

    Args:
        artifact: The fp32 file.
        out: Folder of the result; by default NAME.tuned beside the file.
        data: Images that accuracy is measured on.
        labels_file: Labels of images in a flat folder: text with IMAGE LABEL a line, CSV or JSON.
        follow_links: Follow links that lead out of a folder of images; without, they are refused.
        max_drop: Points of top-1 that may be lost on labelled data.
        min_agreement: Share of images, 0 to 1, that must keep the class of fp32; needs no labels.
        objective: What to be best in: latency, throughput or size.
        time_limit: Seconds for all of it; the default int8 file is made and measured first,
            however long that takes, which is said before.
        calibration: Images that set the int8 ranges; by default some of data, which are not used
            for accuracy then.
        keep_input: Don't try other input formats.
        workers: How many processes of the cluster calibrate and measure accuracy, by default one
            for each of its CPUs; files are timed on this machine.
        seed: Of everything random.
        threads: Threads of the runner.
        dry_run: Write nothing: refuse what would be refused, and say what would be tried and
            written, how long it would take and in how much memory.
        environment: Recorded in the result.
        progress: Told about every stage.
    """
    from resnet_deploy.processes.ray_cluster import kept_connected
    from resnet_deploy.tuning import tune as search
    from resnet_deploy.tuning.foresee import foresee

    spread = _cluster_alone(cluster, workers)
    spec = TuneSpec(
        objective=_one_of(Objective, objective),
        max_drop=max_drop,
        min_agreement=min_agreement,
        time_limit=time_limit,
        keep_input=keep_input,
        threads=threads,
        seed=seed,
    )
    source = _judged(artifact, output_kind, output_name, input_options)
    if out is None:
        _check_saved(source)
    work = foresee if dry_run else search
    with kept_connected():
        return work(
            source,
            source.path.with_name(f"{source.path.stem}.tuned") if out is None else Path(out),
            spec,
            data=_required(data, labels_file, follow_links=follow_links),
            calibration=_data(calibration, follow_links=follow_links),
            cluster=spread,
            environment=_here(environment),
            progress=progress,
        )


def bundle(
    artifact: Artifact | StrPath,
    target: str,
    out: StrPath,
    *,
    runtime: str = "auto",
    data: StrPath | Dataset | None = None,
    follow_links: bool = False,
    pictures: int = DEFAULT_REAL_PICTURES,
    alternative: Artifact | StrPath | None = None,
    with_runtime: bool = False,
    runtime_headers: StrPath | None = None,
    output_kind: str | None = None,
    output_name: str | None = None,
    input_options: InputOptions | None = None,
    force: bool = False,
    seed: int = 0,
    progress: Progress = silent,
) -> BundleReport:
    """Pack an ONNX file with the code that runs it in an app, and with its self-test.

    cpp: a C++17 header, a C interface and CMake. mobile: Android (NDK, Java) and iOS. node: a typed
    ES module. web: a static page that works offline. triton: a model repository for a server.

    The self-test runs golden cases: pictures, the exact inputs that they become, and what the
    runtime answered here. The same input gives the same bytes. Of the folder that tune writes, the
    best file is packed, to run as tune found it fastest.

    The other words are those of :func:`quantize`.

    Args:
        artifact: The file, or the folder NAME.tuned that :func:`tune` wrote.
        target: What kind of app it is for: cpp, mobile, node, web or triton.
        runtime: What runs it: ort (ONNX Runtime), openvino (cpp and triton), both (cpp and mobile:
            the second where a host lacks the first), or auto, which tune found fastest.
        out: Folder to write the bundle into.
        data: Real pictures for the golden cases.
        follow_links: Follow links that lead out of a folder of images; without, they are refused.
        pictures: How many pictures of data become golden cases.
        alternative: The same network in another precision: a web page takes what it measures as
            faster.
        with_runtime: Put the installed runtime into the bundle (cpp), so that nothing has to be
            found where it is built. The headers of ONNX Runtime are fetched from Debian once.
        runtime_headers: ONNX Runtime's headers are in this folder: nothing is fetched.
        force: Replace files that resnet-deploy did not write.
        seed: Of everything random.
        progress: Told about every stage.
    """
    from resnet_deploy.bundles.bundling import pack
    from resnet_deploy.bundles.runtime import check_runtime
    from resnet_deploy.bundles.tuned import EVIDENCE, tuned_file
    from resnet_deploy.data.datasets import opened

    kind, runs_on = _one_of(BundleTarget, target), _one_of(BundleRuntime, runtime)
    check_runtime(kind, runs_on)
    evidence = None
    if isinstance(artifact, str | os.PathLike) and Path(artifact).is_dir():
        evidence = Path(artifact) / EVIDENCE
        artifact = tuned_file(Path(artifact))
    # A wrong model is named before a large dataset is listed.
    model = _judged(artifact, output_kind, output_name, input_options)
    given = _data(data, follow_links=follow_links)
    report = pack(
        model,
        kind,
        Path(out),
        runtime=runs_on,
        evidence=evidence,
        alternative=None if alternative is None else _path(alternative),
        dataset=None if given is None else opened(given),
        count=pictures,
        told=_told(model.output_kind, None, input_options),
        with_runtime=with_runtime,
        runtime_headers=None if runtime_headers is None else Path(runtime_headers),
        seed=seed,
        force=force,
        progress=progress,
    )
    return replace(report, preprocess=model.preprocess)


def train(
    data: StrPath,
    out: StrPath,
    *,
    depth: int | None = None,
    model: str | None = None,
    variant: str | None = None,
    shortcut: str | None = None,
    stem: str | None = None,
    plain: bool = False,
    num_classes: int | None = None,
    image_size: int | None = None,
    in_channels: int | None = None,
    bn_eps: float | None = None,
    padding: str | None = None,
    pool: str | None = None,
    recipe: str | None = None,
    weights: StrPath = "random",
    qat: bool = False,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    ema: float | None = None,
    clip_norm: float | None = None,
    zero_init: bool | None = None,
    freeze: int | None = None,
    precision: str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    limit: int | None = None,
    follow_links: bool = False,
    licence: str = "",
    resume: bool = False,
    save_seconds: float = 300.0,
    seed: int = 0,
    threads: int = 0,
    force: bool = False,
    dry_run: bool = False,
    environment: Environment | None = None,
    progress: Progress = silent,
    on_epoch: Callable[[Epoch, int], None] | None = None,
) -> TrainingResult:
    """Train a ResNet, or fine-tune one, for export.

    The folder of the run gets the checkpoint, the metrics, and model.safetensors, which carries
    class names, preprocessing and accuracy to the files that export makes of it. A run that was
    stopped, however that was, goes on with the same call and ``resume``.

    The other words are those of :func:`load`.

    Args:
        data: Images with a training and a test part: DIR/train/<class>/*.jpg and DIR/test or
            DIR/val, CIFAR batches, IDX files or .npz.
        out: Folder of the run.
        recipe: How to train: cifar, cifar-fast, nvidia, transfer, qat, or a TOML file. By default
            transfer with weights, qat with qat; else cifar-fast for small pictures and nvidia for
            others.
        weights: Where to start; a new head is put on where the classes are others.
        qat: Fine-tune through the rounding of int8; needs weights.
        epochs: Passes over the training images.
        batch_size: Images per step, over all processes.
        lr: Highest learning rate of the recipe.
        ema: Decay of a moving average of the weights.
        clip_norm: Largest norm of the gradient.
        zero_init: Start residual branches with a gamma of 0.
        freeze: Keep the stem (1), layer1 too (2), …
        precision: In what forward and backward passes compute.
        mean: Mean of the input, on [0, 1]: one number a channel, or one for all.
        std: Its standard deviation, likewise.
        limit: Take this many images of each part.
        follow_links: Follow links that lead out of a folder of images; without, they are refused.
        licence: Licence of the trained weights.
        resume: Go on with the run in the folder, to the same bits.
        save_seconds: Time between two checkpoints inside an epoch.
        seed: Of everything random.
        threads: Threads of the runner.
        force: Replace files that resnet-deploy did not write.
        dry_run: Write nothing: refuse what would be refused, and say what would be written, how
            long it would take and in how much memory; images are not all decoded.
        environment: Recorded in the result.
        progress: Told about every stage.
        on_epoch: Called with every finished epoch, and with the number of all.
    """
    from resnet_deploy.dependencies import require
    from resnet_deploy.spec.train_request import TrainRequest
    from resnet_deploy.training.recipe import default_recipe, read_recipe

    request = _request(
        depth,
        model,
        variant,
        shortcut,
        stem,
        plain,
        num_classes,
        image_size,
        in_channels,
        bn_eps,
        padding,
        pool,
    )
    if isinstance(data, str) and url_scheme(data):
        raise SpecError("training reads a folder of this machine again and again: copy it first")
    changes = {
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "ema": ema,
        "clip_norm": clip_norm,
        "zero_init": zero_init,
        "freeze": freeze,
        "precision": precision,
    }
    chosen = read_recipe(
        recipe or default_recipe(request, str(weights), qat=qat),
        {key: value for key, value in changes.items() if value is not None},
    )
    require("torch", "training")
    require("safetensors", "training")
    from resnet_deploy.training.foresee import foresee
    from resnet_deploy.training.run import train as run

    work = foresee if dry_run else run
    return work(
        TrainRequest(
            model=request,
            data=Path(data),
            out=Path(out),
            recipe=chosen,
            weights=str(weights),
            qat=qat,
            seed=seed,
            mean=mean,
            std=std,
            limit=limit,
            follow_links=follow_links,
            licence=licence,
            threads=threads,
            save_seconds=save_seconds,
            resume=resume,
            force=force,
        ),
        _here(environment),
        progress=progress,
        on_epoch=on_epoch,
    )


def recipe_text(
    recipe: str | None = None,
    *,
    depth: int | None = None,
    model: str | None = None,
    image_size: int | None = None,
    weights: StrPath = "random",
    qat: bool = False,
) -> str:
    """Return the recipe that :func:`train` would use as TOML, to change and reuse.

    The other words are those of :func:`load` and :func:`train`.
    """
    from resnet_deploy.training.recipe import default_recipe
    from resnet_deploy.training.recipe import recipe_text as text

    request = ModelRequest(depth=depth, model=model, image_size=image_size)
    return text(recipe or default_recipe(request, str(weights), qat=qat))


def doctor(
    *,
    fetch_isa_tools: bool = False,
    environment: Environment | None = None,
    progress: Progress = silent,
) -> Diagnosis:
    """Show what this machine can run, what that means for int8, and what is missing.

    Args:
        fetch_isa_tools: First fetch the emulators of :func:`verify_isa` (needs Debian on x86-64).
        environment: Recorded in the result.
        progress: Told about downloads.
    """
    from resnet_deploy.diagnose import diagnose
    from resnet_deploy.isa.tools import fetch_tools

    if fetch_isa_tools:
        fetch_tools(progress)
    return diagnose(_here(environment))


@dataclass(frozen=True)
class _CellVerbs:
    """Implements ``Verbs``: what these functions make of the words of a cell.

    ``workers`` or a ``cluster`` share its calibration.
    """

    workers: int | None = None
    cluster: ClusterSpec | None = None

    def load(self, options: CellOptions) -> Network | Artifact:
        weights = options.weights or "random"
        words = _words_of(load, options)
        pictures = InputOptions(**_words_of(InputOptions, options, without=("image_size",)))
        spoken = pictures if pictures.says_something else None
        if not weights.endswith(".onnx"):
            return load(**words, input_options=spoken)
        if len(words) > 1 + ("seed" in words):
            load(**words)  # says what a file does not take
        return _heard(weights, options.output_kind, options.output_name, spoken)

    def pictures(self, options: CellOptions) -> tuple[Data | None, Data | None, Data | None]:
        links = bool(options.follow_links)
        return (
            _data(options.calibration, follow_links=links),
            _data(options.data, options.labels_file, follow_links=links),
            _data(options.bundle_data, follow_links=links),
        )

    def deploy(
        self,
        source: Network | Artifact,
        options: CellOptions,
        out: Path,
        *,
        threads: int,
        environment: Environment,
        progress: Progress,
    ) -> Deployment:
        from resnet_deploy.models.network import Network

        told = () if isinstance(source, Network) else ("output_kind", "output_name")
        return deploy(
            source,
            out,
            **_words_of(deploy, options, without=told),
            workers=self.workers if self.cluster is None else self.cluster.workers or None,
            cluster=None if self.cluster is None else str(self.cluster),
            threads=threads,
            environment=environment,
            progress=progress,
        )

    def bundle(self, path: Path, options: CellOptions, out: Path) -> BundleReport:
        assert options.bundle is not None, "nobody asks for a bundle of nothing"
        return bundle(
            path,
            options.bundle,
            out,
            data=options.bundle_data,
            follow_links=bool(options.follow_links),
            seed=options.seed or 0,
        )


def _words_of(
    function: Callable[..., Any], options: CellOptions, *, without: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what ``options`` say of the words of ``function``."""
    taken = inspect.signature(function).parameters.keys() - set(without)
    return {name: value for name, value in options.said.items() if name in taken}


def _request(
    depth: int | None,
    model: str | None,
    variant: str | None,
    shortcut: str | None,
    stem: str | None,
    plain: bool,
    num_classes: int | None,
    image_size: int | None,
    in_channels: int | None,
    bn_eps: float | None,
    padding: str | None,
    pool: str | None,
) -> ModelRequest:
    return ModelRequest(
        depth=depth,
        model=model,
        variant=None if variant is None else _one_of(Variant, variant),
        shortcut=None if shortcut is None else _one_of(Shortcut, shortcut),
        stem=None if stem is None else _one_of(Stem, stem),
        plain=plain,
        num_classes=num_classes,
        image_size=image_size,
        in_channels=in_channels,
        bn_eps=bn_eps,
        padding=None if padding is None else _one_of(Padding, padding),
        pool=None if pool is None else _one_of(Pool, pool),
    )


def _quant_spec(
    method: str,
    samples: int | None,
    cache: StrPath | None,
    no_cache: bool,
    effort: str,
    target_isa: str,
    allow_overflow: bool,
    first_conv: str,
    residual_stream: str,
    runtime: str,
    exclude: str | Sequence[str],
    workers: int | None,
    cluster: str | None,
    seed: int,
) -> QuantSpec:
    from resnet_deploy.artifact.cache import cache_folder

    folder = cache_folder() / "calibration" if cache is None else Path(cache)
    return QuantSpec(
        calibration_method=_one_of(CalibrationMethod, method),
        effort=_one_of(Effort, effort),
        samples=samples,
        target_isa=TargetIsa.parse(target_isa),
        allow_overflow=allow_overflow,
        first_conv=_one_of(FirstConv, first_conv),
        residual_stream=_one_of(ResidualStream, residual_stream),
        runtime=_one_of(Runtime, runtime),
        exclude=_names(exclude),
        workers=1 if workers is None or cluster is not None else workers,
        cluster=_cluster(cluster, workers),
        seed=seed,
        calibration_cache=None if no_cache else folder,
    )


def _cluster(cluster: str | None, workers: int | None) -> ClusterSpec | None:
    if workers is not None and workers < 1:
        raise SpecError(f"there can't be {workers} workers: ask for one at least")
    return None if cluster is None else ClusterSpec.parse(cluster, workers or 0)


def _cluster_alone(cluster: str | None, workers: int | None) -> ClusterSpec | None:
    """Return the cluster where work is not shared by processes of this machine."""
    if workers is not None and cluster is None:
        raise SpecError("--workers are processes of a --cluster: here it is --threads that count")
    return _cluster(cluster, workers)


def _tolerance(
    max_relative: float | None,
    min_sqnr: float | None,
    min_cosine: float | None,
    min_agreement: float | None,
) -> Tolerance:
    return Tolerance(
        max_relative=max_relative,
        min_sqnr_db=min_sqnr,
        min_cosine=min_cosine,
        min_agreement=min_agreement,
    )


def _verification(
    artifact: Artifact, data: Data | None, samples: int, seed: int
) -> tuple[Array, str, bool]:
    """Return images to compare on, where they come from, and whether their top-1 means anything."""
    from resnet_deploy.data.preprocess import input_preprocess
    from resnet_deploy.verification import verification_images

    found = verification_images(data, input_preprocess(artifact), seed=seed, samples=samples)
    return found.images, found.data, found.real and not artifact.untrained


def _reference(
    artifact: Artifact, against: Network | Artifact | StrPath | None
) -> Network | Path | None:
    from resnet_deploy.models.network import Network

    if against is None or isinstance(against, Network):
        return against
    path = _path(against)
    if resolved(path) == resolved(artifact.path):
        raise SpecError(f"{artifact.path} equals itself: name another file with --against")
    return path


def _one_of(kind: type[E], value: str) -> E:
    """Return the member of ``kind`` that ``value`` names."""
    try:
        return kind(value)
    except ValueError as error:
        known = ", ".join(str(member.value) for member in kind)
        raise SpecError(f"{value!r} is none of {known}") from error


def _artifact(given: Artifact | StrPath, told: Told = NOTHING_TOLD) -> Artifact:
    """Return the file ``given``, of which its user says ``told``."""
    from resnet_deploy.artifact.artifact import Artifact
    from resnet_deploy.artifact.onnx_file import load as open_file
    from resnet_deploy.artifact.told import as_told

    if not isinstance(given, str | os.PathLike | Artifact):
        raise SpecError(
            f"this takes an ONNX file, and a {type(given).__name__} is none: export the network, "
            "or name the file"
        )
    if not isinstance(given, Artifact):
        return open_file(Path(given), told)
    taken = [output.name for output in given.outputs]
    if told.output_name is not None and taken != [told.output_name]:
        return open_file(given.path, told)
    return as_told(given, told)


def _judged(
    given: Artifact | StrPath,
    output_kind: str | None,
    output_name: str | None,
    input_options: InputOptions | None,
) -> Artifact:
    """Return a file whose answers are judged; what is only assumed of it is said."""
    opened = _heard(given, output_kind, output_name, input_options)
    if opened.preprocess.assumed:
        logger.warning("%s", opened.preprocess.assumption(opened.path.name))
    return opened


def _beside(
    model: Artifact,
    given: Artifact | StrPath,
    output_kind: str | None,
    input_options: InputOptions | None,
) -> Artifact:
    """Return the file that ``model`` is compared with; how it is fed is said where it differs."""
    from resnet_deploy.artifact.onnx_file import load_beside
    from resnet_deploy.artifact.told import fed_as

    if isinstance(given, str | os.PathLike):
        given = load_beside(Path(given), model)
    other = fed_as(_heard(given, output_kind, None, input_options), model)
    contract = other.preprocess
    if contract.assumed and contract.assumed != model.preprocess.assumed:
        logger.warning("%s", contract.assumption(other.path.name))
    if replace(contract, format=model.preprocess.format) != model.preprocess:
        logger.warning("%s gets other pictures: %s", other.path.name, contract.sentence)
    return other


def _heard(
    given: Artifact | StrPath,
    output_kind: str | None,
    output_name: str | None,
    input_options: InputOptions | None,
) -> Artifact:
    """Return a file whose BatchNorms may still tell how its pictures are prepared."""
    opened = _artifact(given, _told(output_kind, output_name, input_options))
    if opened.assumed_kind:
        logger.warning("%s", opened.assumption)
    baked = opened.preprocess.baked_assumption
    if baked and opened.card is not None:
        logger.warning("%s: assumed when it was made: %s", opened.path.name, baked)
    for notice in opened.notices:
        logger.warning("%s: %s", opened.path.name, notice)
    return opened


def _told(
    output_kind: str | None, output_name: str | None, input_options: InputOptions | None
) -> Told:
    kind = None if output_kind is None else _one_of(OutputKind, output_kind)
    return Told(
        output_kind=kind, output_name=output_name, input_options=input_options or InputOptions()
    )


def _deployed(
    source: Network | Artifact | StrPath,
    output_kind: str | None,
    output_name: str | None,
    input_options: InputOptions | None,
) -> Network | Artifact:
    from resnet_deploy.models.network import Network

    if not isinstance(source, Network):
        return _heard(source, output_kind, output_name, input_options)
    if output_kind is not None:
        raise SpecError("a network answers what --output asks for: drop --output-kind")
    if input_options is None:
        return source
    return replace(source, preprocess=input_options.over(source.preprocess, Learned.OPTION))


def _path(given: Artifact | StrPath) -> Path:
    return Path(given) if isinstance(given, str | os.PathLike) else _artifact(given).path


def _check_saved(artifact: Artifact) -> None:
    """Refuse to write beside a file that is gone as soon as nobody uses it."""
    if not artifact.is_saved:
        raise SpecError(
            f"{artifact.path.name} is not saved yet: name the folder of the result, out"
        )


def _network(given: Network | Artifact) -> Network:
    from resnet_deploy.models.network import Network

    if not isinstance(given, Network):
        what = getattr(given, "path", given)
        raise SpecError(f"{what} is not a network: export takes what load makes of weights")
    return given


def _data(
    given: StrPath | Dataset | None,
    labels_file: StrPath | None = None,
    *,
    follow_links: bool = False,
) -> Data | None:
    """Return where images are and how to open them, or None."""
    from resnet_deploy.data.datasets import Source
    from resnet_deploy.data.places import place_of

    if given is None:
        if labels_file is not None:
            raise SpecError("--labels-file has labels of no images: name them with --data")
        return None
    if isinstance(given, str | os.PathLike):
        labels = None if labels_file is None else place_of(labels_file)
        return Source(path=place_of(given), labels_file=labels, follow_links=follow_links)
    if labels_file is not None:
        raise SpecError("labels_file is for a folder of images: an open dataset has its labels")
    return given


def _required(
    given: StrPath | Dataset | None,
    labels_file: StrPath | None = None,
    *,
    follow_links: bool = False,
) -> Data:
    data = _data(given, labels_file, follow_links=follow_links)
    if data is None:
        raise SpecError("there are no images: name them with --data")
    return data


def _labels(given: StrPath | Sequence[str]) -> tuple[str, ...]:
    if not isinstance(given, str | os.PathLike):
        return tuple(given)
    from resnet_deploy.data.labels_file import read_labels_file

    return read_labels_file(Path(given))


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _several(given: int | Sequence[int]) -> tuple[int, ...]:
    return (given,) if isinstance(given, int) else tuple(given)


def _here(environment: Environment | None) -> Environment:
    """Return where this runs, and the command that started Python."""
    if environment is not None:
        return environment
    from resnet_deploy.runners.cpu import environment as found

    return found(recorded_line(sys.orig_argv))
