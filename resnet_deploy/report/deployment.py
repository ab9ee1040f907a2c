"""What an export or a quantization made, and the proof, in a few lines."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from resnet_deploy.report.parity import parity_verdict
from resnet_deploy.report.sensitivity import budget_verdict, sensitivity_report
from resnet_deploy.results import Deployment, Inspection

_SHOWN_FLOAT_OPS = 12


def deployment_report(deployment: Deployment) -> RenderableType:
    """Return the notices, each check's verdict, and the files."""
    lines: list[RenderableType] = [Text(f"note  {notice}") for notice in deployment.notices]
    for precision, report in deployment.parity.items():
        against = report.cases[0].reference
        lines.append(Text(f"{precision} against {against}: ") + parity_verdict(report))
    if deployment.inspection is not None:
        lines.append(_inspection(deployment.inspection, allowed=deployment.allowed_float_ops))
    if deployment.sensitivity is not None:
        lines.append(sensitivity_report(deployment.sensitivity))
    if deployment.budget is not None:
        lines.append(budget_verdict(deployment.budget))
    if deployment.verdict is not None:
        lines.append(Text(f"verdict: {deployment.verdict.text}"))
    for precision, path in deployment.files.items():
        size = Path(path).stat().st_size / 1e6
        lines.append(Text(f"wrote {path}  {precision}, {size:.1f} MB"))
    if not deployment.files:
        lines.append(Text("nothing was written: a check failed", style="bold"))
    lines.append(Text(f"took {deployment.seconds:.1f} s"))
    return Group(*lines)


def _inspection(inspection: Inspection, *, allowed: bool) -> Text:
    counts = ", ".join(f"{count} {op}" for op, count in inspection.op_counts.items())
    found = [one for one in inspection.float_ops if not one.requested]
    asked = len(inspection.float_ops) - len(found)
    suffix = f"; {asked} more in float for the excluded layers" if asked else ""
    if not found:
        return Text(f"int8 in ONNX Runtime: PASS  {counts}{suffix}")
    head = "in part," if allowed else "FAIL"
    text = Text(f"int8 in ONNX Runtime: {head}  {len(found)} operators in float{suffix}")
    for one in found[:_SHOWN_FLOAT_OPS]:
        text.append(f"\n      {one.layer}: {one.op_type}, {one.reason}")
    hidden = len(found) - _SHOWN_FLOAT_OPS
    if hidden > 0:
        text.append(f"\n      and {hidden} more: see --json")
    if not allowed:
        text.append("\n      --allow-float-ops writes the files all the same")
    return text
