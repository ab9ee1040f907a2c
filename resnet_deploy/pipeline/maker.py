"""Makes the files of one run in a staging folder, and checks each."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx

from resnet_deploy.artifact.card import Accuracy, Card
from resnet_deploy.artifact.onnx_file import Artifact, read_model, save
from resnet_deploy.data.calibration import (
    CalibrationImages,
    calibration_batch_size,
    calibration_images,
    synthetic_calibration,
)
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.models.channel_statistics import ChannelStatistics
from resnet_deploy.pipeline.facts import budget_figures, lasting_verdict, proven_isas, rounded
from resnet_deploy.progress import Progress
from resnet_deploy.quantize.inspection import inspect_int8
from resnet_deploy.quantize.kernels import resolve_target, uses_matrix_product
from resnet_deploy.quantize.static import QuantizedNet, quantize_static
from resnet_deploy.reference import Reference
from resnet_deploy.results import BudgetReport, Environment, Inspection, ParityReport, Verdict
from resnet_deploy.sensitivity import globs
from resnet_deploy.spec import Preprocess, QuantSpec
from resnet_deploy.spec.export import ExportRequest
from resnet_deploy.summary import summarize_artifact
from resnet_deploy.verdict import judge
from resnet_deploy.verify import compare, is_trained, verification_images

logger = logging.getLogger(__name__)

SYNTHETIC_SAMPLES = 32
"""Made-up pictures differ little; more of them move no range."""

_JUDGED_PIXELS = 8 * 224 * 224
_MOST_JUDGED = 128
"""Of the images on which overflows are counted."""

MAKERS = ("torch", "onnx", "onnxscript", "onnxruntime", "onnxsim", "numpy")
"""The packages whose versions go into the card."""


def for_cpu(quant: QuantSpec, environment: Environment) -> QuantSpec:
    """Return ``quant`` with the target ``auto`` resolved to the CPU of ``environment``."""
    return replace(quant, target_isa=resolve_target(quant.target_isa, environment.isa))


def calibration_of(request: ExportRequest, preprocess: Preprocess) -> CalibrationImages:
    """Return the images that set the int8 ranges: the request's, or made-up pictures.

    Raises:
        DatasetError: the images can't be read.
    """
    batch_size = calibration_batch_size(preprocess.crop)
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
    """Makes the files of one run in the staging folder, and checks each.

    ``statistics`` are the network's BatchNorm statistics; where there are any, and they say
    enough, they set the int8 ranges instead of ``calibration``. ``data_free`` then becomes True.
    ``trained`` are the ranges of quantization-aware training, by tensor, which go before both.
    ``int8_accuracy`` is what training measured of the int8 network, for its card.
    """

    request: ExportRequest
    staging: Path
    reference: Reference
    calibration: CalibrationImages
    environment: Environment
    progress: Progress
    statistics: Mapping[str, ChannelStatistics] = field(default_factory=dict)
    trained: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    int8_accuracy: tuple[Accuracy, ...] = ()
    parity: dict[str, ParityReport] = field(default_factory=dict)
    sound: bool = True
    amx: bool = False
    data_free: bool = False
    macs: int = 0
    verdict: Verdict | None = None

    def fp32(self, graph: onnx.ModelProto, card: Card, name: str) -> Artifact:
        """Save the fp32 graph, compare it with PyTorch, and save its figures with it."""
        artifact = save(graph, self.staging / name, card)
        report = self._verify(artifact, "fp32")
        if report is not None:
            worst = report.worst().relative
            card = replace(card, parity={"fp32_relative": rounded(worst)})
            artifact = save(graph, artifact.path, card)
        return artifact

    def int8(self, fp32: Artifact, name: str) -> tuple[Artifact, Inspection]:
        """Quantize ``fp32``, look at what ONNX Runtime runs, compare, save with the figures."""
        return self.check_int8(fp32, self.save_int8(fp32, self.quantize(fp32), name))

    def quantize(self, fp32: Artifact) -> QuantizedNet:
        """Return the int8 parameters of ``fp32``."""
        # First, while little is in memory: inferring shapes copies the weights.
        self.macs = summarize_artifact(fp32.path).macs
        if self.statistics and not self.trained:
            try:
                net = self._quantized(fp32, self.statistics)
            except UnsupportedGraphError as error:
                logger.info("calibrating on made-up pictures: %s", error)
            else:
                self.data_free = True
                return net
        return self._quantized(fp32)

    def _quantized(
        self, fp32: Artifact, statistics: Mapping[str, ChannelStatistics] | None = None
    ) -> QuantizedNet:
        images = self.calibration
        return quantize_static(
            read_model(fp32.path),
            self.request.quant,
            images,
            images=len(images),
            preprocess=images.preprocess,
            statistics=statistics,
            trained=self.trained or None,
            threads=self.request.threads,
            progress=self.progress,
        )

    def save_int8(
        self, fp32: Artifact, net: QuantizedNet, name: str, budget: BudgetReport | None = None
    ) -> Artifact:
        """Save the int8 file of ``net``, in float what the request and ``budget`` say."""
        assert fp32.card is not None
        spec = self.request.quant
        graph = net.write(self.exclude(budget))
        self.amx = uses_matrix_product(graph)
        card = fp32.card.remade().with_step(
            "quantize",
            {
                "fp32_sha256": fp32.made_sha256,
                "method": spec.calibration_method.value,
                "effort": spec.effort.value,
                "target_isa": spec.target_isa.value,
                "first_conv": spec.first_conv.value,
                "exclude": list(spec.exclude),
                **self._data(),
                **({} if budget is None else budget_figures(budget)),
            },
        )
        return save(graph, self.staging / name, replace(card, accuracy=self.int8_accuracy))

    def _data(self) -> dict[str, Any]:
        """Return what the card says about where the ranges come from."""
        if self.trained:
            return {"data": "quantization-aware training", "method": "as trained"}
        if self.data_free:
            return {"data": "batchnorm statistics"}
        images = self.calibration
        return {
            "data": images.name,
            "data_sha256": images.fingerprint(),
            "samples": len(images),
            "synthetic": images.synthetic,
            "seed": self.request.quant.seed,
        }

    def check_int8(
        self, fp32: Artifact, artifact: Artifact, budget: BudgetReport | None = None
    ) -> tuple[Artifact, Inspection]:
        """Look at what ONNX Runtime runs, compare, judge, and save the figures in the int8 file."""
        assert artifact.card is not None
        inspection = inspect_int8(artifact.path, self.exclude(budget))
        self.sound = self.sound and (inspection.passed or self.request.allow_float_ops)
        report = self._verify(artifact, "int8")
        if report is not None:
            last = report.cases[-1]
            figures = {
                "int8_sqnr_db": rounded(last.worst.sqnr_db),
                "int8_samples": float(last.samples),
            }
            if last.agreement is not None:
                figures["int8_agreement"] = rounded(last.agreement)
            card = replace(artifact.card, parity={**artifact.card.parity, **figures})
            self.verdict = self._judge(fp32, artifact, inspection, report)
            card = card.with_step("verdict", lasting_verdict(self.verdict, self.environment))
            card = card.with_isas(proven_isas(self.verdict))
            artifact = save(read_model(artifact.path), artifact.path, card)
        return artifact, inspection

    def _judge(
        self, fp32: Artifact, int8: Artifact, inspection: Inspection, parity: ParityReport
    ) -> Verdict:
        few = max(1, min(_MOST_JUDGED, _JUDGED_PIXELS // self.calibration.preprocess.crop**2))
        images = replace(self.calibration, indices=self.calibration.indices[:few])
        return judge(
            fp32.path,
            int8.path,
            images,
            data=images.name,
            macs=self.macs,
            inspection=inspection,
            parity=parity,
            environment=self.environment,
            threads=self.request.threads,
        )

    def exclude(self, budget: BudgetReport | None) -> tuple[str, ...]:
        """Return the globs of what stays float: asked for by name, or for the budget."""
        exclude = self.request.quant.exclude
        return exclude if budget is None else globs(exclude, budget.float_layers)

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
