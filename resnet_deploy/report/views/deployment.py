"""What an export or a quantization made, and the proof."""

from __future__ import annotations

from pathlib import Path

from resnet_deploy.report.document import FAIL, PASS, Document, Notes, Section, Verdict
from resnet_deploy.report.views import parity, sensitivity, witness
from resnet_deploy.report.words import file_name, megabytes
from resnet_deploy.results import Deployment

_SHOWN_FLOAT_OPS = 12


def view(deployment: Deployment) -> Document:
    """Return the notices, the files, and the verdict of each check."""
    ranked = deployment.sensitivity
    made = (
        *(f"wrote {path}  {kind}{_size(path)}" for kind, path in deployment.files.items()),
        f"took {deployment.seconds:.1f} s",
    )
    told = () if deployment.witness is None else witness.sentences(deployment.witness)
    notices = (
        *(f"note  {notice}" for notice in deployment.notices),
        *(f"BatchNorm  {sentence}" for sentence in told),
    )
    return Document(
        topic="Deployment" if ranked is None else "Quantization, layer by layer",
        title=_title(deployment),
        verdict=Verdict.check(deployment.passed, *_sentences(deployment)),
        tiles=() if ranked is None else sensitivity.tiles(ranked),
        sections=(
            Section("Notes", (Notes(notices),)),
            Section(f"What {_runtime(deployment)} runs", _inspection(deployment)),
            *(sensitivity.sections(ranked) if ranked is not None else ()),
            *((sensitivity.search_section(deployment.budget),) if deployment.budget else ()),
            *(
                section
                for precision, report in deployment.parity.items()
                for section in parity.sections(report, of=f", {precision}", detail=True)
            ),
            Section("Files", (Notes(made),)),
        ),
        environment=deployment.environment,
    )


def _title(deployment: Deployment) -> str:
    """Return the file made, or what it was made from where nothing was written."""
    made = [*deployment.files.values(), *(report.model for report in deployment.parity.values())]
    if deployment.sensitivity is not None:
        made.append(deployment.sensitivity.model)
    return file_name(made[0]) if made else "no file"


def _size(path: str) -> str:
    """Return the file's size; it may have been moved since."""
    try:
        return f", {megabytes(Path(path).stat().st_size)}"
    except OSError:
        return ""


def _sentences(deployment: Deployment) -> tuple[str, ...]:
    sentences = [
        f"{precision} against {report.cases[0].reference}: {parity.verdict_line(report)}"
        for precision, report in deployment.parity.items()
    ]
    if deployment.budget is not None:
        sentences.append(sensitivity.budget_line(deployment.budget))
    if deployment.verdict is not None:
        sentences.append(f"verdict: {deployment.verdict.text}")
    if deployment.verdict is not None and deployment.kept_fp32:
        sentences.append(deployment.verdict.keep_fp32)
        sentences.append("int8 was not written: --keep-slow writes it all the same")
    elif not deployment.files:
        stopped = not deployment.parity and deployment.witness is not None
        sentences.append(
            f"nothing was written: {deployment.reason if stopped else 'a check failed'}"
        )
    return tuple(sentences)


def _runtime(deployment: Deployment) -> str:
    inspection = deployment.inspection
    return "ONNX Runtime" if inspection is None else inspection.runtime


def _inspection(deployment: Deployment) -> tuple[Notes, ...]:
    """Return whether all that should run in int8 does, and what does not."""
    inspection, allowed = deployment.inspection, deployment.allowed_float_ops
    if inspection is None:
        return ()
    found = [op for op in inspection.float_ops if not op.accepted]
    asked = sum(op.requested for op in inspection.float_ops)
    intended = len(inspection.float_ops) - len(found) - asked
    suffix = f"; {asked} more in float for the layers that stay so" if asked else ""
    suffix += f"; {intended} in float on purpose, as they are in every int8 net" if intended else ""
    if not found:
        counts = ", ".join(f"{count} {op}" for op, count in inspection.op_counts.items())
        return (Notes((f"int8 in {inspection.runtime}: {PASS}  {counts}{suffix}",)),)
    head = "in part," if allowed else FAIL
    lines = [f"int8 in {inspection.runtime}: {head}  {len(found)} operators in float{suffix}"]
    lines += [f"    {op.layer}: {op.op_type}, {op.reason}" for op in found[:_SHOWN_FLOAT_OPS]]
    hidden = len(found) - _SHOWN_FLOAT_OPS
    if hidden > 0:
        lines.append(f"    and {hidden} more: see --json")
    if not allowed:
        lines.append("    --allow-float-ops writes the files all the same")
    return (Notes(tuple(lines), "" if allowed else "caution"),)
