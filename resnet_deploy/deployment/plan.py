"""What is settled before the work begins: inputs, outputs, and every refusal that needs no work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import Accuracy
from resnet_deploy.artifact.files import check_folder
from resnet_deploy.artifact.onnx_file import check_replaceable
from resnet_deploy.data.calibration import (
    CalibrationImages,
    calibration_batch_size,
    calibration_images,
    synthetic_calibration,
)
from resnet_deploy.data.datasets import Data
from resnet_deploy.data.labels import match_classes
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.deployment.half import check_half
from resnet_deploy.deployment.hearing import Heard
from resnet_deploy.deployment.source import with_first_card, with_input
from resnet_deploy.errors import DatasetError, SpecError
from resnet_deploy.models.network import Network
from resnet_deploy.paths import resolved
from resnet_deploy.quantization.kernels import resolve_target
from resnet_deploy.quantization.quantized import NOTHING_KNOWN, Known
from resnet_deploy.quantization.static import check_as_trained
from resnet_deploy.reference import FileReference, Reference, Remembering, network_reference
from resnet_deploy.results import Environment
from resnet_deploy.rewrites.resize_front import check_resizable
from resnet_deploy.spec import InputContract, OutputSpec, Overflow, QuantSpec, Runtime, TargetIsa
from resnet_deploy.spec.deploy import DeploySpec, ExportSpec

SYNTHETIC_SAMPLES = 32
_FEWEST_SYNTHETIC = 16
_SYNTHETIC_PIXELS = _FEWEST_SYNTHETIC * 224 * 224
"""Synthetic images differ little: more of them, or half as many of this size, move no range."""

SYNTHETIC_NOTICE = (
    "no calibration images: int8 ranges come from synthetic images, which measures speed, "
    "not accuracy; use --calibration DIR before you ship"
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A deployment that was not refused.

    Args:
        source: a network with its class names, or an fp32 file with a card and the input asked for.
        spec: what is asked for, its target a CPU.
        paths: of what is written, by precision.
        calibration: images of the user's, if any.
        images: what sets the int8 ranges: some of them, or synthetic ones.
        reference: what has the right answer.
        environment: where this runs.
        known: what the checkpoint tells of its activations.
        accuracy: of the float network, as training measured it, if the fp32 file will be that one.
        data: images on which a ranking or a budget is measured; None means other images of
            ``calibration``.
        heard: what BatchNorm said of the source.
        notices: lines for the user.
    """

    source: Network | Artifact
    spec: DeploySpec
    paths: dict[str, Path]
    calibration: Data | None
    images: CalibrationImages
    reference: Reference
    environment: Environment
    known: Known = NOTHING_KNOWN
    accuracy: tuple[Accuracy, ...] = ()
    data: Data | None = None
    heard: Heard | None = None
    notices: tuple[str, ...] = ()

    @property
    def other_target(self) -> str | None:
        """What CPUs the int8 file is for, where they are not this one."""
        here = resolve_target(TargetIsa.AUTO, self.environment.isa)
        target = self.spec.quant.target_isa
        return None if target is here else target.value


def make_plan(
    heard: Heard,
    spec: DeploySpec,
    *,
    calibration: Data | None,
    data: Data | None,
    environment: Environment,
) -> Plan:
    """Return what ``deploy`` does with its arguments; BatchNorm was ``heard`` on the source.

    Raises:
        ResnetDeployError: an input can't be read, an output can't be written, or two things that
            are asked for contradict each other.
    """
    spec = replace(spec, quant=for_cpu(spec.quant, environment))
    source = heard.source
    if spec.half:
        check_half(source if isinstance(source, Artifact) else None, spec)
    if isinstance(source, Artifact):
        plan = _plan_of_file(heard, spec, calibration, environment)
    else:
        plan = _plan_of_network(source, spec, calibration, environment)
    return replace(plan, data=data, heard=heard)


def for_cpu(quant: QuantSpec, environment: Environment) -> QuantSpec:
    """Return ``quant`` with the target ``auto`` resolved to the CPU of ``environment``."""
    target = resolve_target(quant.target_isa, environment.isa)
    # The kernels for AMX are ONNX Runtime's: OpenVINO runs such weights in float.
    if quant.runtime is Runtime.OPENVINO and quant.target_isa is TargetIsa.AUTO:
        target = TargetIsa.PORTABLE if target is TargetIsa.X86_AMX else target
    return replace(quant, target_isa=target)


def images_for(
    quant: QuantSpec, calibration: Data | None, preprocess: InputContract
) -> CalibrationImages:
    """Return the images that set the int8 ranges: those of ``calibration``, or synthetic ones.

    Raises:
        DatasetError: the images can't be read.
    """
    seed, size = quant.seed, calibration_batch_size(preprocess)
    samples = quant.samples_of(preprocess.pixels)
    if calibration is None:
        enough = max(_FEWEST_SYNTHETIC, _SYNTHETIC_PIXELS // preprocess.pixels)
        samples = min(samples, enough, SYNTHETIC_SAMPLES)
        return synthetic_calibration(preprocess, samples=samples, seed=seed, batch_size=size)
    return calibration_images(calibration, preprocess, samples=samples, seed=seed, batch_size=size)


def quant_as_trained(network: Network, quant: QuantSpec) -> QuantSpec:
    """Return ``quant`` with the weights that quantization-aware training gave, if it was so.

    Raises:
        SpecError: ``quant`` asks for other weights than were trained.
    """
    if network.card is None or not network.card.activation_ranges:
        return quant
    check_as_trained(quant)
    possible = network.card.overflow is Overflow.POSSIBLE
    if possible and not quant.allow_overflow:
        raise SpecError(
            "these weights were trained with --qat by an earlier release, whose int8 sums can "
            "overflow on x86 CPUs without VNNI: add --allow-overflow, or train again"
        )
    return replace(quant, allow_overflow=possible)


def known_of(network: Network, *, without_images: bool) -> Known:
    """Return what ``network`` tells of its activations.

    Those are the statistics of BatchNorm ``without_images``, if the network is trained.
    """
    statistics = {}
    if without_images and network.source.kind != "random":
        from resnet_deploy.models.batchnorm_statistics import batchnorm_statistics

        statistics = batchnorm_statistics(network.module)
    trained = network.card.activation_ranges if network.card else {}
    return Known(statistics=statistics, trained=trained)


def _plan_of_file(
    heard: Heard, spec: DeploySpec, calibration: Data | None, environment: Environment
) -> Plan:
    source = heard.artifact
    small = spec.int8 or spec.half
    if not small or spec.name or replace(spec.export, input=ExportSpec().input) != ExportSpec():
        raise SpecError(
            f"{source.path} is exported already: drop --name, --no-int8, --output, "
            "--output-stride, --resize-in-graph, --batch-size, --opset, --target-ort, --no-fold "
            "and --no-simplify, which a network takes"
        )
    fp32 = with_first_card(source)
    if (spec.sensitivity or spec.budget is not None) and not source.output_kind.has_classes:
        raise SpecError(
            f"--sensitivity, --max-drop and --min-agreement compare classes, and {source.path} "
            f"gives {source.output_kind.value}: quantize without them, or export with "
            "--output logits"
        )
    kind = "fp16" if spec.half else "int8"
    name = f"{source.path.stem}.{kind}.onnx"
    out = source.path.with_name(name) if spec.out is None else spec.out
    out = out if out.suffix == ".onnx" else out / name
    check_folder(out.parent)
    if resolved(out) == resolved(source.path):
        raise SpecError(f"{out} is the file to be quantized: choose another name with -o")
    check_replaceable(out, force=spec.force)
    fp32 = with_input(fp32, spec.input)
    return Plan(
        source=fp32,
        spec=spec,
        paths={kind: out},
        calibration=calibration,
        images=images_for(spec.quant, calibration, input_preprocess(fp32)),
        reference=FileReference(source, runner="ort", threads=spec.threads),
        environment=environment,
        notices=heard.warnings,
    )


def _plan_of_network(
    network: Network, spec: DeploySpec, calibration: Data | None, environment: Environment
) -> Plan:
    out = Path("artifacts") if spec.out is None else spec.out
    check_folder(out)
    from resnet_deploy.exporter import opset_of_export

    opset_of_export(spec.export)
    if spec.int8:
        spec = replace(spec, quant=quant_as_trained(network, spec.quant))
    preprocess = replace(network.preprocess, format=spec.export.input)
    if spec.export.resize_in_graph:
        check_resizable(preprocess)
    name = spec.name or network.spec.name
    int8 = out / f"{name}.int8.onnx"
    paths = {"fp32": out / f"{name}.onnx", **({"int8": int8} if spec.int8 else {})}
    paths |= {"fp16": out / f"{name}.fp16.onnx"} if spec.half else {}
    for path in paths.values():
        check_replaceable(path, force=spec.force)
    reference = Remembering(network_reference(network, spec.export.output))
    images = images_for(spec.quant, calibration, preprocess)
    network, notices = _with_labels(network, spec.export.output, images)
    if not spec.int8 and int8.exists():
        again = "once more in int8" if spec.half else "without --no-int8"
        notices += (f"{int8} is of an earlier export: delete it, or export {again}",)
    assumed = (network.assumption,) if network.assumption else ()
    accuracy, int8_accuracy = _measured(network, spec, preprocess)
    known = known_of(network, without_images=calibration is None) if spec.int8 else NOTHING_KNOWN
    return Plan(
        source=network,
        spec=spec,
        paths=paths,
        calibration=calibration,
        images=images,
        known=replace(known, accuracy=int8_accuracy),
        accuracy=accuracy,
        reference=reference,
        environment=environment,
        notices=(*network.notices, *assumed, *notices),
    )


def _with_labels(
    network: Network, output: OutputSpec, images: CalibrationImages
) -> tuple[Network, tuple[str, ...]]:
    """Return the network with the class names of the images, where it has none."""
    classes = images.dataset.classes
    fits = network.source.kind == "file" and len(classes) == network.spec.num_classes
    if network.labels or not fits or not output.kind.has_classes:
        return network, ()
    try:  # numbers are outputs, which need not be those of their order
        outputs = match_classes(classes, (), len(classes))
    except DatasetError as error:
        return network, (f"no class names are taken from the calibration images: {error}",)
    by_output = dict(zip(outputs, classes, strict=True))
    if len(by_output) < len(classes):
        return network, ()  # 1 and 01 are one output
    labels = tuple(by_output[output] for output in range(len(classes)))
    return replace(network, labels=labels), (
        f"class names are those of the calibration images, sorted: {', '.join(labels[:3])}, "
        "…; --labels FILE overrides them",
    )


def _measured(
    network: Network, spec: DeploySpec, preprocess: InputContract
) -> tuple[tuple[Accuracy, ...], tuple[Accuracy, ...]]:
    """Return the accuracies that training measured and that the two files will have.

    They do if input and answer are the same, and the file is verified.
    """
    card, export = network.card, spec.export
    if card is None or not spec.verify or export.resize_in_graph:
        return (), ()
    same_input = replace(preprocess, format=card.preprocess.format) == card.preprocess
    same_answer = export.output.kind.has_classes and export.output.stride == OutputSpec().stride
    if not (same_input and same_answer):
        return (), ()
    as_trained = bool(card.activation_ranges) and not spec.quant.exclude
    return card.accuracy, card.int8_accuracy if as_trained else ()
