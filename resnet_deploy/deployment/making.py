"""The files of a deployment, each with its proof; nothing is written but an unfinished budget's.

A little long: it is one way from the network to both files, which is read in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import Card
from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.artifact.onnx_file import with_card
from resnet_deploy.collection import set_aside
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.data.datasets import Data
from resnet_deploy.deployment.calibration_notices import calibration_notices
from resnet_deploy.deployment.float_layers import FloatLayers
from resnet_deploy.deployment.half import half_file
from resnet_deploy.deployment.mix import Mix, find_mix
from resnet_deploy.deployment.plan import SYNTHETIC_NOTICE, Plan
from resnet_deploy.isa.instruction_sets import ISAS, is_native
from resnet_deploy.judge import faster, judge, judge_bf16, judged_again
from resnet_deploy.processes.beside import beside
from resnet_deploy.progress import ImageStage, Progress, phase
from resnet_deploy.quantization.quantized import Calibrated, Quantized, calibrate
from resnet_deploy.quantization.stages import Stage
from resnet_deploy.results import BudgetReport, Inspection, ParityReport, SensitivityReport, Verdict
from resnet_deploy.results.bf16_figures import Bf16Figures
from resnet_deploy.results.verdict import RANDOM_WEIGHTS, SYNTHETIC
from resnet_deploy.spec import ResidualStream
from resnet_deploy.summarize import summarize_artifact
from resnet_deploy.verification import (
    BATCH_SIZES,
    VerificationImages,
    compare,
    right_outputs,
    verification_images,
)

TIMING = "timing int8 against fp32"
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
    """The int8 file.

    ``allow_float_ops`` accepts layers that ONNX Runtime leaves in float, ``keep_slow`` a file that
    is not faster than fp32.
    """

    inspection: Inspection
    allow_float_ops: bool
    keep_slow: bool
    sensitivity: SensitivityReport | None = None
    budget: BudgetReport | None = None
    verdict: Verdict | None = None

    @property
    def wanted(self) -> bool:
        """Whether it may be written; with a budget the best file there is was asked for."""
        close = self.budget is not None or super().wanted
        return close and (self.inspection.passed or self.allow_float_ops)

    @property
    def worth_writing(self) -> bool:
        """Whether it is faster than fp32, as far as that was measured and matters."""
        asked_for = self.keep_slow or self.budget is not None
        return asked_for or self.verdict is None or self.verdict.offered


def make_fp32(plan: Plan, progress: Progress) -> Made:
    """Return the fp32 file, not compared yet: exported, or the one that was given."""
    if isinstance(plan.source, Artifact):
        return Made(artifact=replace(plan.source, card=_heard(plan.source, plan)))
    from resnet_deploy.exporter import export_network

    name = plan.paths["fp32"].stem
    with beside(lambda told: _ask_ahead(plan, told), progress):
        artifact = export_network(plan.source, plan.spec.export, name=name, progress=progress)
    if plan.heard is not None and plan.heard.report is not None:
        artifact = with_card(artifact, _heard(artifact, plan))
    assert artifact.card is not None, "an exported file has a card"
    folding = [step for step in artifact.card.steps if step.name == "fold_batchnorm"]
    reasons = [reason for step in folding[:1] for reason in step.options["not_folded"]]
    return Made(artifact=artifact, notices=tuple(f"not folded: {reason}" for reason in reasons))


def _ask_ahead(plan: Plan, progress: Progress) -> None:
    """Let the reference answer already what the fp32 file will be compared with.

    The exporter keeps one core busy, and imports much before it traces the module. What goes wrong
    here is told when the answers are asked for.
    """
    if not plan.spec.verify:
        return
    prepared = plan.images.preprocess
    images = verification_images(None, prepared, seed=plan.spec.quant.seed).images
    size = BATCH_SIZES[-1]
    for start in range(0, len(images), size):
        right_outputs(prepared, plan.reference, images[start : start + size])
        done = min(start + size, len(images))
        progress(ImageStage("asking the reference ahead"), done, len(images))


def prove_fp32(fp32: Made, plan: Plan, progress: Progress) -> Made:
    """Return ``fp32`` compared with PyTorch, as its card then says; a given file is as it was."""
    if isinstance(plan.source, Artifact):
        return fp32
    parity = _compared(fp32.artifact, plan, None, progress)
    if parity is None:
        return fp32
    card = fp32.artifact.card
    assert card is not None, "an exported file has a card"
    figures = {"fp32_relative": _rounded(parity.worst().relative)}
    card = replace(card, parity=figures, accuracy=plan.accuracy)
    return replace(fp32, artifact=with_card(fp32.artifact, card), parity=parity)


def _heard(artifact: Artifact, plan: Plan) -> Card:
    """Return the card of ``artifact`` with what BatchNorm said; the next file inherits it."""
    heard, card = plan.heard, artifact.card
    assert card is not None, "what is deployed has a card"
    if heard is None or heard.report is None:
        return card
    return card.with_step("witness", heard.facts)


def make_half(fp32: Artifact, plan: Plan, progress: Progress) -> Made:
    """Return the float16 file of ``fp32``, compared with what ``fp32`` was compared with.

    It is not timed: where it is fast is seldom where it is made.

    Raises:
        UnsupportedGraphError: no layer can be float16.
    """
    threads, name = plan.spec.threads, plan.paths["fp16"].name
    artifact, notices = half_file(fp32, plan.images, name, threads=threads, progress=progress)
    parity = _compared(artifact, plan, plan.calibration, progress)
    if parity is not None:
        assert artifact.card is not None, "a half file has a card"
        figures = _figures("fp16", artifact, parity)
        figures["fp16_relative"] = _rounded(parity.worst().relative)
        card = replace(artifact.card, parity={**artifact.card.parity, **figures})
        artifact = with_card(artifact, card)
    return Made(artifact=artifact, parity=parity, notices=notices)


@dataclass(frozen=True, kw_only=True)
class Begun:
    """What an int8 file is made of, which depends on nothing that a proof of the fp32 file says.

    ``macs`` are multiply-accumulates per image, ``layers`` finds those that stay float.
    """

    macs: int
    layers: FloatLayers
    calibrated: Calibrated


@set_aside()
def begin_int8(fp32: Artifact, plan: Plan, progress: Progress) -> Begun:
    """Return the int8 parameters of ``fp32``; the file is not made yet.

    Raises:
        ResnetDeployError: it can't be quantized, or images can't be read.
    """
    spec = plan.spec
    # First, while little is in memory: inferring shapes copies the weights.
    macs = summarize_artifact(fp32).macs
    layers = FloatLayers(fp32, plan.images, spec, data=plan.data, progress=progress)
    calibrated = calibrate(
        fp32, plan.images, spec.quant, known=plan.known, threads=spec.threads, progress=progress
    )
    return Begun(macs=macs, layers=layers, calibrated=calibrated)


@set_aside()
def make_int8(fp32: Artifact, begun: Begun, plan: Plan, progress: Progress) -> MadeInt8:
    """Return the int8 file of ``fp32``, which was ``begun``: inspected, compared, judged.

    With a budget the best file so far is always in its place on disk.
    """
    spec, path, macs, layers = plan.spec, plan.paths["int8"], begun.macs, begun.layers
    # The file has the proof in its card by now.
    calibrated = replace(begun.calibrated, fp32=fp32)

    def within(budget: BudgetReport) -> Quantized:
        return calibrated.within(budget, name=path.name)

    def keep(budget: BudgetReport) -> None:
        best = within(budget)
        if spec.allow_float_ops or best.inspection.passed:
            write_atomically(path, best.artifact.path.read_bytes())

    ranking, budget = layers.find(calibrated, keep)
    with phase(progress, "writing int8"):
        made = calibrated.quantized(name=path.name) if budget is None else within(budget)
    parity = _compared(made.artifact, plan, plan.calibration, progress)
    artifact, verdict = made.artifact, None
    if parity is not None:
        with phase(progress, TIMING):
            verdict = _judged(fp32, made, parity, macs, plan)
        # What a budget keeps in float was measured already, and trained ranges are of the whole. A
        # float stream was asked for as it is.
        stream = spec.quant.residual_stream is not ResidualStream.UINT8
        fixed = budget is not None or bool(plan.known.trained) or stream
        if not (verdict.offered or spec.keep_slow or fixed):
            mix = _mixed(calibrated, made, plan, progress)
            if mix.stages:
                all_int8_ratio, made = verdict.ratio, mix.made
                parity = _compared(made.artifact, plan, plan.calibration, progress)
                assert parity is not None, "the whole was compared"
                with phase(progress, TIMING):
                    verdict = _judged(fp32, made, parity, macs, plan, mix.stages, all_int8_ratio)
            else:  # later, so that what made the machine busy may be over
                with phase(progress, TIMING):
                    verdict = judged_again(
                        verdict, fp32.plain, made.artifact.path, _first_image(plan)
                    )
        if verdict.brings_little:
            with phase(progress, "timing bfloat16"):
                verdict = replace(verdict, bf16=_in_bf16(fp32, plan))
        artifact = _with_figures(made.artifact, parity, verdict, plan)
    notices = _int8_notices(
        plan.images, amx=made.amx, data_free=calibrated.data_free, trained=bool(plan.known.trained)
    )
    if fp32.stored != "float32":
        notices += (
            f"{fp32.path.name} is {fp32.precision}: its weights are widened to float32 first, and "
            "the int8 file takes float32 pictures and gives float32",
        )
    if not plan.known.trained:
        notices += calibration_notices(fp32, plan.images, threads=spec.threads)
    return MadeInt8(
        artifact=artifact,
        parity=parity,
        notices=notices,
        inspection=made.inspection,
        allow_float_ops=spec.allow_float_ops,
        keep_slow=spec.keep_slow,
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
    found = _images(plan, data)
    report = compare(
        artifact,
        plan.reference,
        found.images,
        data=found.data,
        meaningful=found.real and not artifact.untrained,
        threads=spec.threads,
        progress=progress,
    )
    return replace(report, calibrated=found.calibrated)


def _images(plan: Plan, data: Data | None) -> VerificationImages:
    """Return what files are compared on."""
    # Ranges that were trained are of no image here.
    calibrated = () if plan.known.trained else plan.images.indices
    seed = plan.spec.quant.seed
    return verification_images(data, plan.images.preprocess, seed=seed, calibrated=calibrated)


def _in_bf16(fp32: Artifact, plan: Plan) -> Bf16Figures:
    """Return what ``fp32`` brings without quantization, on the images that int8 was compared on."""
    found = _images(plan, plan.calibration)
    return judge_bf16(
        fp32,
        found.images,
        right_outputs(fp32.preprocess, plan.reference, found.images),
        data=found.data,
        environment=plan.environment,
        threads=plan.spec.threads,
        runtime=plan.spec.quant.runtime,
    )


def _mixed(calibrated: Calibrated, made: Quantized, plan: Plan, progress: Progress) -> Mix:
    """Return the fastest file in which some stages stay float, or ``made`` itself."""

    def write(stages: tuple[Stage, ...]) -> Quantized:
        facts = {"float_stages": [str(stage) for stage in stages]}
        return calibrated.quantized(stages=stages, name=plan.paths["int8"].name, facts=facts)

    images = _first_image(plan)

    def gain(first: Quantized, second: Quantized) -> float:
        paths = first.artifact.path, second.artifact.path
        return faster(*paths, images, threads=plan.spec.threads)

    return find_mix(made, calibrated.stages(), write, gain, progress)


def _first_image(plan: Plan) -> Array:
    return next(iter(replace(plan.images, indices=plan.images.indices[:1])))


def _judged(
    fp32: Artifact,
    made: Quantized,
    parity: ParityReport,
    macs: int,
    plan: Plan,
    stages: tuple[Stage, ...] = (),
    all_int8_ratio: float | None = None,
) -> Verdict:
    few = max(1, min(_MOST_JUDGED, _JUDGED_PIXELS // plan.images.preprocess.pixels))
    images = replace(plan.images, indices=plan.images.indices[:few])
    return judge(
        fp32.plain,
        made.artifact.path,
        images,
        data=images.name,
        macs=macs,
        inspection=made.inspection,
        parity=parity,
        environment=plan.environment,
        threads=plan.spec.threads,
        stages=stages,
        all_int8_ratio=all_int8_ratio,
        target=plan.other_target,
        untold=_untold(made.artifact, plan),
        runtime=plan.spec.quant.runtime,
    )


def _untold(artifact: Artifact, plan: Plan) -> str | None:
    """Return why the classes that were compared say nothing of those of pictures, if so."""
    if artifact.untrained:
        return RANDOM_WEIGHTS
    return SYNTHETIC if plan.calibration is None else None


def _with_figures(
    artifact: Artifact, parity: ParityReport, verdict: Verdict, plan: Plan
) -> Artifact:
    """Return the int8 file with what was found in its card."""
    assert artifact.card is not None, "a quantized file has a card"
    figures = _figures("int8", artifact, parity)
    card = replace(artifact.card, parity={**artifact.card.parity, **figures})
    # Nothing that was timed: the same input gives the same bytes.
    lasting = {"text": verdict.lasting, "isa": list(plan.environment.isa)}
    card = card.with_step("verdict", lasting)
    return with_card(artifact, card.with_isas(_proven_isas(verdict)))


def _figures(precision: str, artifact: Artifact, parity: ParityReport) -> dict[str, float]:
    """Return what a card says of how close ``artifact`` is, by names with its ``precision``."""
    last = parity.cases[-1]
    figures = {"sqnr_db": _rounded(last.worst.sqnr_db), "samples": float(last.samples)}
    if last.agreement is not None and artifact.output_kind.has_classes:
        figures["agreement"] = _rounded(last.agreement)
    return {f"{precision}_{name}": value for name, value in figures.items()}


def _int8_notices(
    calibration: CalibrationImages, *, amx: bool, data_free: bool, trained: bool
) -> tuple[str, ...]:
    """Return what the user of an int8 file must know about how it was made."""
    notices = []
    if trained and not calibration.synthetic:
        notices.append(
            "int8 ranges are those of quantization-aware training: the images of --calibration "
            "set none"
        )
    elif data_free and not trained:
        notices.append(
            "no calibration images: int8 ranges come from the BatchNorm statistics, which costs "
            "1 to 2 dB (ResNet-20 and -32 on CIFAR-10); --calibration DIR is better"
        )
    elif calibration.synthetic and not trained:
        notices.append(SYNTHETIC_NOTICE)
    if amx:
        notices.append(
            "the int8 kernels are those for CPUs with AMX; other CPUs are faster with a file made "
            "with --target-isa portable, whose answers are the same"
        )
    return tuple(notices)


def _rounded(value: float) -> float:
    """Keep three digits: a card must not change with the last bit of a sum."""
    return float(f"{min(value, 999.0):.3g}")


def _proven_isas(verdict: Verdict) -> tuple[str, ...]:
    """Return the ISAs that a file proved right on: this CPU's, and where nothing can overflow."""
    here = tuple(name for name, isa in ISAS.items() if is_native(isa))
    safe = verdict.saturation is not None and verdict.saturation.always_safe
    return (*here, "x86-avx2") if safe else here
