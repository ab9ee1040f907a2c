"""The files of a deployment, each with its proof; nothing is written but an unfinished budget's."""

from __future__ import annotations

from dataclasses import dataclass, replace

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.artifact.onnx_file import Artifact, with_card
from resnet_deploy.data.datasets import Data
from resnet_deploy.deployment.float_layers import FloatLayers
from resnet_deploy.deployment.notices import (
    budget_figures,
    int8_notices,
    lasting_verdict,
    proven_isas,
    rounded,
)
from resnet_deploy.deployment.plan import Plan
from resnet_deploy.judge import judge
from resnet_deploy.progress import Progress
from resnet_deploy.quantization.quantized import Quantized, calibrate
from resnet_deploy.results import (
    BudgetReport,
    Inspection,
    ParityReport,
    SensitivityReport,
    Verdict,
)
from resnet_deploy.summarize import summarize_artifact
from resnet_deploy.verification import compare, is_trained, verification_images

_JUDGED_PIXELS = 8 * 224 * 224
_MOST_JUDGED = 128
"""Of the images on which overflows are counted."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A file that is not saved yet, and how it compares with the reference, if that was asked."""

    artifact: Artifact
    parity: ParityReport | None = None
    notices: tuple[str, ...] = ()

    @property
    def wanted(self) -> bool:
        """Whether it may be written."""
        return self.parity is None or self.parity.passed


@dataclass(frozen=True, kw_only=True)
class MadeInt8(Made):
    """The int8 file; ``allow_float_ops`` accepts layers that ONNX Runtime leaves in float."""

    inspection: Inspection
    allow_float_ops: bool
    sensitivity: SensitivityReport | None = None
    budget: BudgetReport | None = None
    verdict: Verdict | None = None

    @property
    def wanted(self) -> bool:
        """Whether it may be written; with a budget the best file there is was asked for."""
        close = self.budget is not None or super().wanted
        return close and (self.inspection.passed or self.allow_float_ops)


def make_fp32(plan: Plan, progress: Progress) -> Made:
    """Return the fp32 file: exported and compared with PyTorch, or the one that was given."""
    if isinstance(plan.source, Artifact):
        return Made(artifact=plan.source)
    from resnet_deploy.exporter import export_network

    name = plan.paths["fp32"].stem
    artifact = export_network(plan.source, plan.spec.export, name=name, progress=progress)
    assert artifact.card is not None, "an exported file has a card"
    left = next(
        (one.options["not_folded"] for one in artifact.card.steps if one.name == "fold_batchnorm"),
        (),
    )
    notices = tuple(f"not folded: {reason}" for reason in left)
    parity = _compared(artifact, plan, None, progress)
    if parity is not None:
        figures = {"fp32_relative": rounded(parity.worst().relative)}
        card = replace(artifact.card, parity=figures, accuracy=plan.accuracy)
        artifact = with_card(artifact, card)
    return Made(artifact=artifact, parity=parity, notices=notices)


def make_int8(fp32: Artifact, plan: Plan, progress: Progress) -> MadeInt8:
    """Return the int8 file of ``fp32``: inspected, compared, judged.

    With a budget the best file so far is always in its place on disk.
    """
    spec, path = plan.spec, plan.paths["int8"]
    # First, while little is in memory: inferring shapes copies the weights.
    macs = summarize_artifact(fp32.path).macs
    layers = FloatLayers(fp32, plan.images, spec, data=plan.data, progress=progress)
    calibrated = calibrate(
        fp32, plan.images, spec.quant, known=plan.known, threads=spec.threads, progress=progress
    )

    def quantized(budget: BudgetReport | None) -> Quantized:
        if budget is None:
            return calibrated.quantized(name=path.name)
        return calibrated.quantized(
            budget.float_layers, name=path.name, facts=budget_figures(budget)
        )

    def keep(budget: BudgetReport) -> None:
        best = quantized(budget)
        if spec.allow_float_ops or best.inspection.passed:
            write_atomically(path, best.artifact.path.read_bytes())

    ranking, budget = layers.find(calibrated.net, keep)
    made = quantized(budget)
    parity = _compared(made.artifact, plan, plan.calibration, progress)
    artifact, verdict = made.artifact, None
    if parity is not None:
        verdict = _judged(fp32, made, parity, macs, plan)
        artifact = _with_figures(artifact, parity, verdict, plan)
    notices = int8_notices(
        plan.images,
        amx=made.amx,
        data_free=calibrated.data_free,
        trained=bool(plan.known.trained),
    )
    return MadeInt8(
        artifact=artifact,
        parity=parity,
        notices=tuple(notices),
        inspection=made.inspection,
        allow_float_ops=spec.allow_float_ops,
        sensitivity=ranking,
        budget=budget,
        verdict=verdict,
    )


def _compared(
    artifact: Artifact, plan: Plan, data: Data | None, progress: Progress
) -> ParityReport | None:
    spec = plan.spec
    if not spec.verify:
        return None
    images, name, real = verification_images(data, plan.images.preprocess, seed=spec.quant.seed)
    return compare(
        artifact.path,
        plan.reference,
        images,
        data=name,
        meaningful=real and is_trained(artifact),
        threads=spec.threads,
        progress=progress,
    )


def _judged(
    fp32: Artifact, made: Quantized, parity: ParityReport, macs: int, plan: Plan
) -> Verdict:
    few = max(1, min(_MOST_JUDGED, _JUDGED_PIXELS // plan.images.preprocess.crop**2))
    images = replace(plan.images, indices=plan.images.indices[:few])
    return judge(
        fp32.path,
        made.artifact.path,
        images,
        data=images.name,
        macs=macs,
        inspection=made.inspection,
        parity=parity,
        environment=plan.environment,
        threads=plan.spec.threads,
    )


def _with_figures(
    artifact: Artifact, parity: ParityReport, verdict: Verdict, plan: Plan
) -> Artifact:
    """Return the int8 file with what was found in its card."""
    assert artifact.card is not None, "a quantized file has a card"
    last = parity.cases[-1]
    figures = {
        "int8_sqnr_db": rounded(last.worst.sqnr_db),
        "int8_samples": float(last.samples),
    }
    if last.agreement is not None and artifact.output_kind.has_classes:
        figures["int8_agreement"] = rounded(last.agreement)
    card = replace(artifact.card, parity={**artifact.card.parity, **figures})
    card = card.with_step("verdict", lasting_verdict(verdict, plan.environment))
    return with_card(artifact, card.with_isas(proven_isas(verdict)))
