"""What tuning tried, what to ship, and how."""

from __future__ import annotations

import math
import shlex

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from resnet_deploy.results import Trial, TuningReport
from resnet_deploy.spec import Objective


def render_tuning(report: TuningReport, file: str, page: str) -> Group:
    """Return the table of trials, the verdict, the command that runs ``file``, and the ``page``."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{report.model} on {report.data}",
        title_justify="left",
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    table.add_column("file", overflow="fold", style="bold")
    table.add_column("run by", overflow="fold")
    for header in ("ms/image", "times as fast", "top-1 = fp32", "lost", "MB"):
        table.add_column(header, justify="right", no_wrap=True)
    front, best = report.front, report.best
    for trial in sorted(report.trials, key=lambda one: -one.speed):
        mark = "▶" if trial is best else "•" if trial in front else ""
        style = None if report.holds(trial) else "dim"
        table.add_row(mark, *_cells(trial, report), style=style)
    lines = [Text(f"  {line}") for line in tuning_notes(report)]
    verdict = Text(f"  {tuning_verdict(report)}", style="bold")
    how = [] if best is None else [Text(f"  {line}") for line in shipping(best, file)]
    drawn = Text(f"  see    {page}: the Pareto front, and all of this")
    return Group(table, verdict, *how, drawn, Text(""), *lines)


def tuning_verdict(report: TuningReport) -> str:
    """Return in one sentence what to ship and what it brings, or why there is nothing."""
    best, reference = report.best, report.trials[0]
    if best is None:
        closest = max(report.trials, key=lambda one: one.fidelity.agreement)
        return (
            f"FAIL  nothing keeps the budget ({_budget(report)}); the closest is {closest.name}: "
            f"{_loss(closest)}"
        )
    low, high = best.speed_interval
    if best is reference:
        gain = "nothing that was tried is measurably faster than the default"
    elif low > 1:
        gain = f"{best.speed:.2f} times as fast as the default ({low:.2f} to {high:.2f})"
    else:
        gain = f"no difference in speed to the default can be told ({low:.2f} to {high:.2f})"
    if report.spec.objective is Objective.SIZE:
        gain = f"{best.file_bytes / 1e6:.2f} MB; {gain}"
    return f"PASS  {best.name}: {gain}; {_loss(best)} ({_budget(report)})"


def shipping(best: Trial, file: str) -> list[str]:
    """Return the command that runs ``file`` as ``best`` was, and ONNX Runtime's options for it."""
    setting = best.setting
    command = ["resnet-deploy", "bench", file, "--runner", setting.runner]
    command += ["--threads", str(setting.threads)]
    if setting.instances > 1 or setting.batch_size > 1:
        command += ["--throughput", "--instances", str(setting.instances)]
        command += ["--batch-size", str(setting.batch_size)]
    for key, value in setting.options:
        command += ["--session-option", f"{key}={value}"]
    lines = [f"ship   {file}", f"try    {shlex.join(command)}"]
    if setting.runner.startswith("ort"):
        options = [f"intra_op_num_threads = {setting.threads}"]
        options += [
            f'add_session_config_entry("{key}", "{value}")' for key, value in setting.options
        ]
        lines.append(f"with   SessionOptions: {'; '.join(options)}")
    elif setting.runner == "openvino":
        lines.append(
            f"with   OpenVINO: PERFORMANCE_HINT=LATENCY, INFERENCE_NUM_THREADS={setting.threads}"
        )
    return lines


def tuning_notes(report: TuningReport) -> list[str]:
    """Return what was left out, how it was measured and how to repeat it."""
    notes = [f"skipped {name}: {reason}" for name, reason in report.skipped.items()]
    if not report.complete:
        notes.append(
            f"the time limit of {report.spec.time_limit:g} s ended the search early: the same "
            "command with a longer --time-limit goes on from here"
        )
    environment = report.environment
    fidelity = report.trials[0].fidelity
    notes += [
        "▶ to ship, • on the Pareto front (speed, agreement, size), dim: over the budget",
        f"accuracy on {fidelity.samples} images that set no range",
        "speeds are paired with the default's, in processes of their own, in turns; times are "
        "those of the default divided by them",
        f"{environment.cpu}, {environment.cores} cores allowed ({' '.join(environment.isa)})",
        f"{len(report.trials)} trials in {report.seconds:.0f} s",
        f"repeat: {environment.command}",
    ]
    return notes


def _cells(trial: Trial, report: TuningReport) -> tuple[str, ...]:
    low, high = trial.speed_interval
    speed = "reference" if trial.ratio is None else f"{trial.speed:.2f} ({low:.2f}-{_end(high)})"
    drop = trial.fidelity.drop
    return (
        trial.recipe.name,
        trial.setting.name,
        f"{report.latency_ms(trial):.3f}",
        speed,
        f"{trial.fidelity.agreement:.2%}",
        "-" if drop is None else f"{drop:+.2f}",
        f"{trial.file_bytes / 1e6:.2f}",
    )


def _end(high: float) -> str:
    return f"{high:.2f}" if math.isfinite(high) else "?"


def _loss(trial: Trial) -> str:
    fidelity = trial.fidelity
    same = f"the class of fp32 on {fidelity.agreement:.2%} of {fidelity.samples} images"
    return same if fidelity.drop is None else f"top-1 {0 - fidelity.drop:+.2f} points, {same}"


def _budget(report: TuningReport) -> str:
    spec, parts = report.spec, []
    if spec.max_drop is not None:
        parts.append(f"at most {spec.max_drop:g} points lost")
    if spec.min_agreement is not None:
        parts.append(f"at least {spec.min_agreement:.1%} the same class")
    return ", ".join(parts)
