"""What tuning tried, what to ship, and how."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, replace

from resnet_deploy.report.chart import Estimate, Forest
from resnet_deploy.report.document import Cell, Document, Section, Table, Tile, Tone, Verdict
from resnet_deploy.report.views.pareto import Candidate, pareto
from resnet_deploy.report.words import (
    file_name,
    megabytes,
    milliseconds,
    ms,
    percent,
    plural,
    signed,
    times,
)
from resnet_deploy.results import Trial, TuningReport
from resnet_deploy.spec import Objective

_MOST_SPEEDS = 30


@dataclass(frozen=True, kw_only=True)
class _Standing:
    """A trial, its ``number`` in the order of the search, and what became of it."""

    number: int
    trial: Trial
    best: bool
    front: bool
    holds: bool

    @property
    def tone(self) -> Tone:
        return "strong" if self.best else "" if self.holds else "dim"

    @property
    def words(self) -> str:
        if self.best:
            return "to ship"
        return ", ".join(["over budget"] * (not self.holds) + ["front"] * self.front)


def _standings(report: TuningReport) -> list[_Standing]:
    """Return all trials, the fastest first."""
    best, front = report.best, report.front
    found = [
        _Standing(
            number=number,
            trial=trial,
            best=trial is best,
            front=any(trial is other for other in front),
            holds=report.holds(trial),
        )
        for number, trial in enumerate(report.trials, 1)
    ]
    return sorted(found, key=lambda one: (-one.trial.speed, one.number))


def view(report: TuningReport) -> Document:
    """Return the trials with their Pareto front, and the command that runs the best one."""
    ordered = _standings(report)
    best = report.best
    title = "Speed against accuracy"
    chart = pareto(
        [_candidate(one, report) for one in ordered],
        title=title,
        lost="% of images with another class than fp32",
    )
    return Document(
        topic="Tuning",
        title=file_name(report.model),
        verdict=Verdict.check(report.passed, _sentence(report)),
        tiles=() if best is None else _tiles(report, best),
        sections=(
            Section(title, (chart, _table(ordered, report))),
            Section("How many times as fast", (_speeds(ordered[:_MOST_SPEEDS]),), detail=True),
        ),
        steps=() if best is None else _shipping(best, report.shipped or best.file),
        method=_method(report),
        environment=report.environment,
        timed=True,
    )


def _sentence(report: TuningReport) -> str:
    """Return what to ship and what it brings, or why there is nothing."""
    best, reference = report.best, report.trials[0]
    if best is None:
        closest = max(report.trials, key=lambda trial: trial.fidelity.agreement)
        return (
            f"nothing keeps the budget ({_budget(report)}); the closest is {closest.name}: "
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
    return f"{best.name}: {gain}; {_loss(best)} ({_budget(report)})"


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


def _tiles(report: TuningReport, best: Trial) -> tuple[Tile, ...]:
    drop = best.fidelity.drop
    faster = f"{times(best.speed)} as fast as the default"
    images = plural(best.fidelity.samples, "image")
    lost = "no labels" if drop is None else f"{drop:.2f}"
    return (
        Tile("One image", milliseconds(report.latency_ms(best)), faster),
        Tile("Same top-1 as fp32", percent(best.fidelity.agreement), images),
        Tile("Top-1 lost", lost, "" if drop is None else "points"),
        Tile("File", megabytes(best.file_bytes), best.recipe.name),
    )


def _candidate(one: _Standing, report: TuningReport) -> Candidate:
    return Candidate(
        label=one.trial.name,
        # Names are too long for the chart; the table has both.
        mark=f"#{one.number}",
        latency_ms=report.latency_ms(one.trial),
        accuracy_drop=100 * (1 - one.trial.fidelity.agreement),
        file_mb=one.trial.file_bytes / 1e6,
        on_front=one.front,
        chosen=one.best,
    )


def _table(ordered: list[_Standing], report: TuningReport) -> Table:
    table = Table.of(
        f"{report.model} on {report.data}",
        ordered,
        [
            ("file", lambda one: f"#{one.number} {one.trial.recipe.name}"),
            ("run by", lambda one: one.trial.setting.name),
            ("ms/image", lambda one: Cell.of(report.latency_ms(one.trial), ms)),
            ("times as fast", lambda one: _speed(one.trial)),
            ("top-1 = fp32", lambda one: Cell.of(one.trial.fidelity.agreement, percent)),
            ("points lost", lambda one: Cell.of(one.trial.fidelity.drop, _points)),
            ("size", lambda one: Cell.of(one.trial.file_bytes, megabytes)),
            ("standing", lambda one: one.words),
        ],
        words=2,
    )
    rows = (
        tuple(replace(cell, tone=one.tone) for cell in row)
        for row, one in zip(table.rows, ordered, strict=True)
    )
    return replace(table, rows=tuple(rows))


def _points(lost: float) -> str:
    return signed(lost, "{:+.2f}")


def _speed(trial: Trial) -> Cell:
    if trial.ratio is None:
        return Cell("reference", 1.0)
    low, high = trial.speed_interval
    end = f"{high:.2f}" if math.isfinite(high) else "?"
    return Cell(f"{trial.speed:.2f} ({low:.2f}-{end})", trial.speed)


def _speeds(ordered: list[_Standing]) -> Forest:
    styles: dict[Tone, str] = {"strong": "chosen", "": "plain", "dim": "muted"}
    return Forest(
        "Speed of each trial against the default",
        "times as fast as the default",
        [
            Estimate(
                f"#{one.number} {one.trial.name}",
                one.trial.speed,
                one.trial.speed_interval,
                "reference" if one.trial.ratio is None else times(one.trial.speed),
                styles[one.tone],
            )
            for one in ordered
        ],
        caption="Measured in turns with the default. Where the interval crosses the dashed line at "
        "1, no difference can be told. Muted ones lose more than was allowed.",
        reference=1.0,
        log=True,
    )


def _shipping(best: Trial, file: str) -> tuple[str, ...]:
    """Return the command that runs ``file`` as ``best`` was, and the runtime's options for it."""
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
    return tuple(lines)


def _method(report: TuningReport) -> tuple[str, ...]:
    """Return what was left out, and how the others were measured."""
    notes = [f"skipped {name}: {reason}" for name, reason in report.skipped.items()]
    if not report.complete:
        notes.append(
            f"the time limit of {report.spec.time_limit:g} s ended the search early: the same "
            "command with a longer --time-limit goes on from here"
        )
    return (
        *notes,
        "front: nothing beats it in speed, agreement and size at once",
        f"accuracy on {plural(report.trials[0].fidelity.samples, 'image')} that set no range",
        "speeds are paired with the default's, in processes of their own, in turns; times are "
        "those of the default divided by them",
        f"{plural(len(report.trials), 'trial')} in {report.seconds:.0f} s",
    )
