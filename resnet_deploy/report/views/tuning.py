"""What tuning tried, what to ship, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from resnet_deploy.report import words
from resnet_deploy.report.chart import Estimate, Forest
from resnet_deploy.report.document import Cell, Document, Section, Table, Tile, Tone, Verdict
from resnet_deploy.report.views.pareto import candidate, pareto_front
from resnet_deploy.report.views.sensitivity import just_missed
from resnet_deploy.results import Trial, TuningReport
from resnet_deploy.spec import Objective
from resnet_deploy.visible import operand, shell_line

_MOST_SPEEDS = 30
_UNTRIED_SHOWN = 12


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
            front=any(trial is kept for kept in front),
            holds=report.holds(trial),
        )
        for number, trial in enumerate(report.trials, 1)
    ]
    return sorted(found, key=lambda row: (-row.trial.speed, row.number))


def view(report: TuningReport) -> Document:
    """Return the trials with their Pareto front, and the command that runs the best one."""
    ordered = _standings(report)
    best = report.best
    title = "Speed against accuracy"
    largest = max(trial.file_bytes for trial in report.trials)
    candidates = [
        candidate(
            row.trial.name,
            report.latency_ms(row.trial),
            100 * (1 - row.trial.fidelity.agreement),
            front=row.front,
            chosen=row.best,
            size=row.trial.file_bytes / largest,
            mark=f"#{row.number}",  # names are too long for the chart; the table has both
        )
        for row in ordered
    ]
    chart = pareto_front(
        candidates,
        title=title,
        lost="% of images with another class than fp32",
        caption=" A larger dot is a larger file.",
    )
    return Document(
        topic="Tuning",
        title=words.file_name(report.model),
        verdict=Verdict.check(report.passed, _sentence(report)),
        tiles=() if best is None else _tiles(report, best),
        sections=(
            Section(title, (chart, _table(ordered, report))),
            Section("How many times as fast", (_speeds(ordered[:_MOST_SPEEDS]),), detail=True),
        ),
        steps=() if best is None else _steps(best, report),
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
            f"{just_missed(closest.fidelity, report.spec.max_drop, report.spec.min_agreement)}"
        )
    low, high = best.speed_interval
    if best is reference and len(report.trials) == 1:
        gain = "the default, and nothing else was tried"
    elif best is reference:
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
        # Rounded, 0.9999 would read as all of them.
        parts.append(f"at least {100 * spec.min_agreement:g}% the same class")
    return ", ".join(parts)


def _tiles(report: TuningReport, best: Trial) -> tuple[Tile, ...]:
    drop = best.fidelity.drop
    faster = f"{words.times(best.speed)} as fast as the default"
    images = words.plural(best.fidelity.samples, "image")
    lost = "no labels" if drop is None else f"{drop:.2f}"
    return (
        Tile("One image", words.milliseconds(report.latency_ms(best)), faster),
        Tile("Same top-1 as fp32", words.percent(best.fidelity.agreement), images),
        Tile("Top-1 lost", lost, "" if drop is None else "points"),
        Tile("File", words.megabytes(best.file_bytes), best.recipe.name),
    )


def _table(ordered: list[_Standing], report: TuningReport) -> Table:
    table = Table.of(
        f"{report.model} on {report.data}",
        ordered,
        [
            ("file", lambda row: f"#{row.number} {row.trial.recipe.name}"),
            ("run by", lambda row: row.trial.setting.name),
            ("ms/image", lambda row: report.latency_ms(row.trial), words.ms),
            ("times as fast", lambda row: _speed(row.trial)),
            ("top-1 = fp32", lambda row: row.trial.fidelity.agreement, words.percent),
            ("points lost", lambda row: row.trial.fidelity.drop, words.signed("{:+.2f}")),
            ("size", lambda row: row.trial.file_bytes, words.megabytes),
            ("standing", lambda row: row.words),
        ],
        words=2,
    )
    rows = (
        tuple(replace(cell, tone=row.tone) for cell in cells)
        for cells, row in zip(table.rows, ordered, strict=True)
    )
    return replace(table, rows=tuple(rows))


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
                f"#{row.number} {row.trial.name}",
                row.trial.speed,
                row.trial.speed_interval,
                "reference" if row.trial.ratio is None else words.times(row.trial.speed),
                styles[row.tone],
            )
            for row in ordered
        ],
        caption="Measured alternately with the default. Where the interval crosses the dashed line "
        "at 1, no difference can be told. Muted ones lose more than was allowed.",
        reference=1.0,
        log=True,
    )


def _steps(best: Trial, report: TuningReport) -> tuple[str, ...]:
    """Return what to do with ``best``, line by line to be copied."""
    if report.shipped is None:
        return _shipping(best, best.file)
    file = Path(report.shipped)
    out = f"{file.name.removesuffix('.tuned.onnx')}-cpp"
    command = ["resnet-deploy", "bundle", operand(str(file.parent)), "--target", "cpp", "-o", out]
    return (*_shipping(best, report.shipped), f"bundle {shell_line(command)}")


def _shipping(best: Trial, file: str) -> tuple[str, ...]:
    """Return the command that runs ``file`` as ``best`` was, and the runtime's options for it."""
    setting = best.setting
    command = ["resnet-deploy", "bench", operand(file), "--runner", setting.runner]
    command += ["--threads", str(setting.threads)]
    if setting.instances > 1 or setting.batch_size > 1:
        command += ["--throughput", "--instances", str(setting.instances)]
        command += ["--batch-size", str(setting.batch_size)]
    for key, value in setting.options:
        command += ["--session-option", f"{key}={value}"]
    lines = [f"ship   {file}", f"try    {shell_line(command)}"]
    threads = setting.threads
    if setting.runner.startswith("ort"):
        entries = [
            f'; add_session_config_entry("{key}", "{value}")' for key, value in setting.options
        ]
        lines.append(f"with   SessionOptions: intra_op_num_threads = {threads}{''.join(entries)}")
    elif setting.runner == "openvino":
        own = {"INFERENCE_PRECISION_HINT": "f32", **dict(setting.options)}
        hints = ", ".join(f"{key}={value}" for key, value in own.items())
        lines.append(
            f"with   OpenVINO: PERFORMANCE_HINT=LATENCY, INFERENCE_NUM_THREADS={threads}, {hints}"
        )
    return tuple(lines)


def _method(report: TuningReport) -> tuple[str, ...]:
    notes = [f"skipped {name}: {reason}" for name, reason in report.skipped.items()]
    if not report.complete:
        notes.append(
            f"the time limit of {report.spec.time_limit:g} s ended the search early: the same "
            "command with a longer --time-limit goes on from here"
        )
    if report.untried:
        named, more = report.untried[:_UNTRIED_SHOWN], len(report.untried) - _UNTRIED_SHOWN
        notes.append(f"not tried: {'; '.join(named)}{f'; and {more} more' * (more > 0)}")
    if report.least_seconds is not None and report.least_seconds > report.spec.time_limit:
        notes.append(
            f"the default file comes first, and was estimated to take {report.least_seconds:.0f} s"
        )
    return (
        *notes,
        "front: nothing beats it in speed, agreement and size at once",
        f"accuracy on {words.plural(report.trials[0].fidelity.samples, 'image')} that set no range",
        "speeds are paired with the default's, in processes of their own, interleaved; times are "
        "those of the default divided by them",
        f"{words.plural(len(report.trials), 'trial')} in {report.seconds:.0f} s",
    )
