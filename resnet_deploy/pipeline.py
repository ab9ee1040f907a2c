"""The main job in one call: a checkpoint becomes verified fp32 and int8 ONNX files.

Everything is built and checked in a temporary folder; files reach the output folder only when all
checks have passed, whole and both.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx

from resnet_deploy import __version__
from resnet_deploy.artifact import (
    Artifact,
    Card,
    WeightsSource,
    check_replaceable,
    load,
    read_model,
    save,
)
from resnet_deploy.data.calibration import (
    CalibrationImages,
    calibration_images,
    synthetic_calibration,
)
from resnet_deploy.data.labels import imagenet_labels
from resnet_deploy.errors import SpecError, UnsupportedGraphError
from resnet_deploy.files import sha256_of, write_atomically
from resnet_deploy.models.dependencies import require
from resnet_deploy.models.request import ModelRequest
from resnet_deploy.passes.opset import choose_opset
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantize.inspect import inspect_int8
from resnet_deploy.quantize.kernels import resolve_target
from resnet_deploy.quantize.static import quantize_static
from resnet_deploy.reference import FileReference, ModuleReference, Reference, default_reference
from resnet_deploy.results import Deployment, Environment, Inspection, ParityReport
from resnet_deploy.runtime.base import Array
from resnet_deploy.runtime.cpu import versions
from resnet_deploy.simplify import simplify
from resnet_deploy.spec import (
    Family,
    ModelSpec,
    Preprocess,
    QuantSpec,
    TargetIsa,
)
from resnet_deploy.verify import IMAGES_NEEDED, compare

logger = logging.getLogger(__name__)

SYNTHETIC_SAMPLES = 32
"""Made-up pictures differ little; more of them move no range."""

_VERIFY_SAMPLES = 128
"""Real images on which top-1 agreement is measured when a file is made."""

_MAKERS = ("torch", "onnx", "onnxscript", "onnxruntime", "onnxsim", "numpy")


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """Everything ``resnet-deploy export`` can be asked for.

    ``preprocess`` is called with the model's image size, which may only be known from the
    checkpoint. ``name`` defaults to the model's own. ``calibration`` None means made-up pictures.
    ``allow_float_ops`` accepts layers that ONNX Runtime leaves in float.
    """

    model: ModelRequest
    weights: str = "random"
    out: Path = Path("artifacts")
    name: str | None = None
    labels: tuple[str, ...] = ()
    preprocess: Callable[[int], Preprocess] = Preprocess.for_size
    batch_size: int | None = None
    opset: int | None = None
    target_ort: str | None = None
    fold: bool = True
    simplify: bool = True
    int8: bool = True
    calibration: Path | None = None
    quant: QuantSpec = field(default_factory=QuantSpec)
    verify: bool = True
    allow_float_ops: bool = False
    force: bool = False
    seed: int = 0
    threads: int = 0


def deploy(
    request: ExportRequest, environment: Environment, *, progress: Progress = silent
) -> Deployment:
    """Export, quantize and verify what ``request`` asks for; write the files if all checks hold.

    Raises:
        ResnetDeployError: of every kind; nothing is written then.
    """
    start = time.perf_counter()
    request = replace(request, quant=_for_cpu(request.quant, environment))
    opset = choose_opset(request.opset, request.target_ort)
    require("torch", "exporting")
    require("onnxscript", "exporting")
    from resnet_deploy.models.checkpoint import resolve

    progress("loading", 0, 1)
    loaded = resolve(request.model, request.weights, seed=request.seed, progress=progress)
    progress("loading", 1, 1)
    preprocess = request.preprocess(loaded.spec.image_size)
    name = request.name or loaded.spec.name
    paths = {"fp32": request.out / f"{name}.onnx"}
    if request.int8:
        paths["int8"] = request.out / f"{name}.int8.onnx"
    for path in paths.values():
        check_replaceable(path, force=request.force)
    calibration = _calibration(request, preprocess)
    labels, label_notices = _labels(request, loaded.spec, loaded.source, loaded.labels, calibration)
    notices = [*loaded.notices, *label_notices]

    card = Card(
        model=loaded.spec,
        preprocess=preprocess,
        weights=loaded.source,
        labels=labels,
        versions={"resnet-deploy": __version__, **versions(_MAKERS)},
    )
    reference = ModuleReference(loaded.module, f"{loaded.spec.name} in PyTorch")
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as folder:
        maker = _Maker(
            request=request,
            staging=Path(folder),
            reference=reference,
            calibration=calibration,
            environment=environment,
            progress=progress,
        )
        progress("exporting", 0, 1)
        graph, card = _export(request, loaded.module, card, opset, notices)
        progress("exporting", 1, 1)
        fp32 = maker.fp32(graph, card, paths["fp32"].name)
        made = {"fp32": fp32}
        inspection = None
        if request.int8 and maker.sound:
            made["int8"], inspection = maker.int8(fp32, paths["int8"].name)
        passed = maker.sound
        if passed:
            for precision, artifact in made.items():
                write_atomically(paths[precision], artifact.path.read_bytes())
    stale = request.out / f"{name}.int8.onnx"
    if not request.int8 and stale.exists():
        notices.append(f"{stale} is of an earlier export: delete it, or export without --no-int8")
    if request.int8:
        notices.extend(_int8_notices(calibration, request.quant))
    return Deployment(
        files={kind: str(paths[kind]) for kind in made} if passed else {},
        sha256={kind: one.sha256 for kind, one in made.items()} if passed else {},
        parity=maker.parity,
        inspection=inspection,
        allowed_float_ops=request.allow_float_ops,
        notices=tuple(notices),
        seconds=time.perf_counter() - start,
        environment=environment,
    )


def _for_cpu(quant: QuantSpec, environment: Environment) -> QuantSpec:
    return replace(quant, target_isa=resolve_target(quant.target_isa, environment.isa))


def _int8_notices(calibration: CalibrationImages, quant: QuantSpec) -> list[str]:
    """Return what the user of an int8 file must know about how it was made."""
    notices = []
    if calibration.synthetic:
        notices.append(
            "no calibration images: int8 ranges come from made-up pictures, which measures speed, "
            "not accuracy; use --calibration DIR before you ship"
        )
    if quant.target_isa is TargetIsa.X86_AMX:
        notices.append(
            "the int8 kernels are those for CPUs with AMX; other CPUs give the same answers, but "
            "faster from a file made with --target-isa portable"
        )
    return notices


def quantize_file(
    path: Path,
    out: Path,
    *,
    calibration: Path | None,
    spec: QuantSpec,
    environment: Environment,
    verify: bool = True,
    allow_float_ops: bool = False,
    force: bool = False,
    threads: int = 0,
    progress: Progress = silent,
) -> Deployment:
    """Write the int8 file ``out`` of the fp32 file ``path``, checked against it. No torch.

    Raises:
        ResnetDeployError: of every kind; nothing is written then.
    """
    start = time.perf_counter()
    spec = _for_cpu(spec, environment)
    source = load(path)
    if source.quantized:
        raise UnsupportedGraphError(f"{path} is int8 already: give the fp32 file it came from")
    if out.resolve() == path.resolve():
        raise SpecError(f"{out} is the file to be quantized: choose another name with -o")
    check_replaceable(out, force=force)
    request = ExportRequest(
        model=ModelRequest(),
        calibration=calibration,
        quant=spec,
        verify=verify,
        allow_float_ops=allow_float_ops,
        seed=spec.seed,
        threads=threads,
    )
    images = _calibration(request, source.preprocess)
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as folder:
        maker = _Maker(
            request=request,
            staging=Path(folder),
            reference=FileReference(path, runner="ort", threads=threads),
            calibration=images,
            environment=environment,
            progress=progress,
        )
        artifact, inspection = maker.int8(replace(source, card=_card_of(source)), out.name)
        if maker.sound:
            write_atomically(out, artifact.path.read_bytes())
    return Deployment(
        files={"int8": str(out)} if maker.sound else {},
        sha256={"int8": artifact.sha256} if maker.sound else {},
        parity=maker.parity,
        inspection=inspection,
        allowed_float_ops=allow_float_ops,
        notices=tuple(_int8_notices(images, spec)),
        seconds=time.perf_counter() - start,
        environment=environment,
    )


def _card_of(source: Artifact) -> Card:
    """Return the card of ``source``, or a first one for a foreign file."""
    if source.card is not None:
        return source.card
    classes = source.output.shape[-1]
    return Card(
        model=ModelSpec(
            family=Family.CUSTOM, num_classes=classes or 0, image_size=source.image_size
        ),
        preprocess=source.preprocess,
        weights=WeightsSource(kind="onnx", file=source.path.name, sha256=source.sha256),
        versions={"resnet-deploy": __version__, **versions(_MAKERS[1:])},
    )


def reference_for(artifact: Artifact, against: Path | None, *, threads: int = 0) -> Reference:
    """Return what ``artifact`` is verified against: an ONNX file, a checkpoint, or PyTorch.

    Raises:
        ResnetDeployError: the reference can't be read, or is of another network.
    """
    if against is None:
        return default_reference(artifact, threads=threads)
    if against.suffix == ".onnx":
        return FileReference(against, runner="ort", threads=threads)
    require("torch", f"comparing with the checkpoint {against.name}")
    from resnet_deploy.models.checkpoint import resolve

    request = ModelRequest() if artifact.card is None else _request_of(artifact.card.model)
    loaded = resolve(request, str(against))
    return ModuleReference(loaded.module, f"{against.name} in PyTorch")


def _request_of(spec: ModelSpec) -> ModelRequest:
    """Return the request that leads to ``spec``; the checkpoint must fit it."""
    if spec.family is Family.CUSTOM:
        return ModelRequest(model=spec.factory, image_size=spec.image_size)
    if spec.family is Family.VGG:
        return ModelRequest(model=spec.name, image_size=spec.image_size)
    return ModelRequest(
        depth=spec.depth,
        variant=spec.variant,
        shortcut=None if spec.plain else spec.shortcut,
        stem=spec.stem,
        plain=spec.plain,
        num_classes=spec.num_classes,
        image_size=spec.image_size,
    )


def is_trained(artifact: Artifact) -> bool:
    """Return whether the weights are known to be other than random."""
    return artifact.card is None or artifact.card.weights.kind != "random"


def verification_images(
    data: Path | None, preprocess: Preprocess, *, seed: int = 0, samples: int = _VERIFY_SAMPLES
) -> tuple[Array, str, bool]:
    """Return images to compare on, where they come from, and whether they are real."""
    # Another seed than calibration's: ranges always fit the images they were taken from.
    if data is None:
        images = synthetic_calibration(preprocess, samples=IMAGES_NEEDED, seed=seed + 1)
    else:
        images = calibration_images(data, preprocess, samples=samples, seed=seed + 1)
    return np.concatenate(list(images)), images.name, not images.synthetic


def _calibration(request: ExportRequest, preprocess: Preprocess) -> CalibrationImages:
    batch_size = 4 if preprocess.crop > 64 else 64
    if request.calibration is None:
        samples = min(request.quant.samples, SYNTHETIC_SAMPLES)
        return synthetic_calibration(
            preprocess, samples=samples, seed=request.quant.seed, batch_size=batch_size
        )
    return calibration_images(
        request.calibration,
        preprocess,
        samples=request.quant.samples,
        seed=request.quant.seed,
        batch_size=batch_size,
    )


def _labels(
    request: ExportRequest,
    spec: ModelSpec,
    source: WeightsSource,
    own: tuple[str, ...],
    calibration: CalibrationImages,
) -> tuple[tuple[str, ...], list[str]]:
    """Return the class names: given, the checkpoint's, ImageNet's, or the folder's."""
    if request.labels:
        if len(request.labels) != spec.num_classes:
            raise SpecError(
                f"--labels names {len(request.labels)} classes, the model has {spec.num_classes}"
            )
        return request.labels, []
    if own:
        return own, []
    if source.kind == "imagenet":
        return imagenet_labels(), []
    classes = calibration.dataset.classes
    if source.kind == "file" and len(classes) == spec.num_classes:
        return classes, [
            f"class names are those of the calibration images, sorted: {', '.join(classes[:3])}, "
            "…; --labels FILE overrides them"
        ]
    return (), []


def _export(
    request: ExportRequest, module: object, card: Card, opset: int, notices: list[str]
) -> tuple[onnx.ModelProto, Card]:
    from torch import nn

    from resnet_deploy.export import export_graph
    from resnet_deploy.models.fold import fold_batchnorm

    assert isinstance(module, nn.Module)
    if request.fold:
        module, left = fold_batchnorm(module)
        notices.extend(f"not folded: {reason}" for reason in left)
        card = card.with_step("fold_batchnorm", {"not_folded": list(left)})
    graph = export_graph(
        module,
        image_size=card.model.image_size,
        opset=opset,
        batch_size=request.batch_size,
    )
    options = {"exporter": "dynamo", "opset": opset, "batch_size": request.batch_size}
    card = card.with_step("export", options)
    if request.simplify:
        graph, outcome = simplify(graph)
        card = card.with_step("simplify", {"outcome": outcome})
    return graph, card


@dataclass(kw_only=True)
class _Maker:
    """Makes the files of one run in the staging folder, and checks each."""

    request: ExportRequest
    staging: Path
    reference: Reference
    calibration: CalibrationImages
    environment: Environment
    progress: Progress
    parity: dict[str, ParityReport] = field(default_factory=dict)
    sound: bool = True

    def fp32(self, graph: onnx.ModelProto, card: Card, name: str) -> Artifact:
        """Save the fp32 graph, compare it with PyTorch, and save its figures with it."""
        artifact = save(graph, self.staging / name, card)
        report = self._verify(artifact, "fp32")
        if report is not None:
            worst = report.worst().logits.relative
            card = replace(card, parity={"fp32_relative": _rounded(worst)})
            artifact = save(graph, artifact.path, card)
        return artifact

    def int8(self, fp32: Artifact, name: str) -> tuple[Artifact, Inspection]:
        """Quantize ``fp32``, look at what ONNX Runtime runs, compare, save with the figures."""
        assert fp32.card is not None
        spec, images = self.request.quant, self.calibration
        graph = quantize_static(
            read_model(fp32.path),
            spec,
            images,
            images=len(images),
            threads=self.request.threads,
            progress=self.progress,
        )
        card = fp32.card.with_step(
            "quantize",
            {
                "fp32_sha256": sha256_of(fp32.path),
                "method": spec.calibration_method.value,
                "target_isa": spec.target_isa.value,
                "exclude": list(spec.exclude),
                "data": images.name,
                "data_sha256": images.fingerprint(),
                "samples": len(images),
                "synthetic": images.synthetic,
                "seed": spec.seed,
            },
        )
        artifact = save(graph, self.staging / name, card)
        inspection = inspect_int8(artifact.path)
        allowed = self.request.allow_float_ops or bool(spec.exclude)
        self.sound = self.sound and (inspection.passed or allowed)
        report = self._verify(artifact, "int8")
        if report is not None:
            last = report.cases[-1]
            figures = {
                "int8_sqnr_db": _rounded(last.logits.sqnr_db),
                "int8_agreement": _rounded(last.agreement),
                "int8_samples": float(last.logits.samples),
            }
            card = replace(card, parity={**card.parity, **figures})
            artifact = save(graph, artifact.path, card)
        return artifact, inspection

    def _verify(self, artifact: Artifact, precision: str) -> ParityReport | None:
        if not self.request.verify:
            return None
        data = self.request.calibration if precision == "int8" else None
        images, name, real = verification_images(
            data, self.calibration.preprocess, seed=self.request.seed
        )
        report = compare(
            artifact.path,
            self.reference,
            images,
            data=name,
            meaningful=real and is_trained(artifact),
            threads=self.request.threads,
            progress=self.progress,
        )
        self.parity[precision] = report
        self.sound = self.sound and report.passed
        return report


def _rounded(value: float) -> float:
    """Keep three digits: a card must not change with the last bit of a sum."""
    return float(f"{min(value, 999.0):.3g}")
