"""Makes the files of one run in a staging folder, and checks each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx

from resnet_deploy.artifact import Artifact, read_model, save
from resnet_deploy.card import Card
from resnet_deploy.data.calibration import (
    CalibrationImages,
    calibration_images,
    synthetic_calibration,
)
from resnet_deploy.files import sha256_of
from resnet_deploy.pipeline.request import ExportRequest
from resnet_deploy.progress import Progress
from resnet_deploy.quantize.inspect import inspect_int8
from resnet_deploy.quantize.kernels import resolve_target, uses_matrix_product
from resnet_deploy.quantize.static import quantize_static
from resnet_deploy.reference import Reference
from resnet_deploy.results import Environment, Inspection, ParityReport
from resnet_deploy.spec import Preprocess, QuantSpec
from resnet_deploy.verify import compare, is_trained, verification_images

SYNTHETIC_SAMPLES = 32
"""Made-up pictures differ little; more of them move no range."""

_BATCH_PIXELS = 2 * 224 * 224
"""Pixels per calibration batch: all activations of a batch are in memory at once, about 60 MB per
image of 224x224 for ResNet-50."""

_LARGEST_BATCH = 32

MAKERS = ("torch", "onnx", "onnxscript", "onnxruntime", "onnxsim", "numpy")
"""The packages whose versions go into the card."""


def for_cpu(quant: QuantSpec, environment: Environment) -> QuantSpec:
    """Return ``quant`` with the target ``auto`` resolved to the CPU of ``environment``."""
    return replace(quant, target_isa=resolve_target(quant.target_isa, environment.isa))


def int8_notices(calibration: CalibrationImages, *, amx: bool) -> list[str]:
    """Return what the user of an int8 file must know about how it was made."""
    notices = []
    if calibration.synthetic:
        notices.append(
            "no calibration images: int8 ranges come from made-up pictures, which measures speed, "
            "not accuracy; use --calibration DIR before you ship"
        )
    if amx:
        notices.append(
            "the int8 kernels are those for CPUs with AMX; other CPUs give the same answers, but "
            "faster from a file made with --target-isa portable"
        )
    return notices


def calibration_of(request: ExportRequest, preprocess: Preprocess) -> CalibrationImages:
    """Return the images that set the int8 ranges: the request's, or made-up pictures.

    Raises:
        DatasetError: the images can't be read.
    """
    batch_size = max(1, min(_LARGEST_BATCH, _BATCH_PIXELS // preprocess.crop**2))
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


@dataclass(kw_only=True)
class Maker:
    """Makes the files of one run in the staging folder, and checks each."""

    request: ExportRequest
    staging: Path
    reference: Reference
    calibration: CalibrationImages
    environment: Environment
    progress: Progress
    parity: dict[str, ParityReport] = field(default_factory=dict)
    sound: bool = True
    amx: bool = False

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
            preprocess=images.preprocess,
            threads=self.request.threads,
            progress=self.progress,
        ).write(spec.exclude)
        self.amx = uses_matrix_product(graph)
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
        inspection = inspect_int8(artifact.path, spec.exclude)
        self.sound = self.sound and (inspection.passed or self.request.allow_float_ops)
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
