"""What BatchNorms say of how a net is fed and built, on real pictures."""

from __future__ import annotations

from resnet_deploy.report.document import (
    UNKNOWN,
    Block,
    Cell,
    Document,
    Notes,
    Section,
    Table,
    Tone,
    Verdict,
)
from resnet_deploy.report.words import file_name, plural, some
from resnet_deploy.results import Candidate, Finding, Question, WitnessReport

_NAMED = 3
"""Answers named in a cell; pages and files have them all."""

_NOTICEABLE = 1.05
"""How many times better an answer fits that is named beside the one that is held."""

_TONES: dict[Finding, Tone] = {
    Finding.CONFIRMED: "good",
    Finding.CONTRADICTED: "bad",
    Finding.UNDECIDED: "dim",
}


def view(report: WitnessReport) -> Document:
    """Return the findings, what was tried, and every BatchNorm."""
    sections = (
        Section("Findings", (_findings(report),)),
        *(Section(f"Answers: {q.name}", (_answers(q),), detail=True) for q in report.questions),
        Section("Every BatchNorm", _layers(report), detail=True),
    )
    return Document(
        topic="BatchNorm as a witness",
        title=file_name(report.model),
        verdict=_verdict(report),
        sections=() if report.silent else sections,
        environment=report.environment,
    )


def sentences(report: WitnessReport) -> tuple[str, ...]:
    """Return what was found out, in one line a finding; what stays assumed in one line together."""
    if report.silent:
        return (f"no witness: {report.silent}",)
    told = [q for q in report.questions if q.finding is not Finding.UNDECIDED]
    open_ones = tuple(_open(q) for q in report.questions if q.finding is Finding.UNDECIDED)
    lines = [q.sentence for q in sorted(told, key=lambda q: q.finding is Finding.CONFIRMED)]
    if open_ones:
        lines.append(f"not told on {_pictures(report)}: {', '.join(open_ones)}")
    return (*lines, *report.hints)


def _open(question: Question) -> str:
    """Return the name of a question, and the answer that fits best if it is another than held."""
    best = question.candidates[0].name
    times = question.excess(question.held)
    if best == question.held or not question.credible or times < _NOTICEABLE:
        return question.name
    return f"{question.name} ({best} fits {times:.2g} times better)"


def _verdict(report: WitnessReport) -> Verdict:
    lines = sentences(report)
    if report.passed is None:
        return Verdict("plain", "No witness" if report.silent else "Undecided", lines)
    if report.passed:
        return Verdict("good", "Confirmed", lines)
    return Verdict("bad", "Contradicted", lines)


def _findings(report: WitnessReport) -> Table:
    return Table.of(
        f"What BatchNorms say on {_pictures(report)}",
        report.questions,
        [
            ("question", lambda q: q.name),
            ("held", lambda q: q.held),
            ("by", lambda q: "stated" if q.stated else "assumed"),
            ("finding", lambda q: Cell(q.finding.value, tone=_TONES[q.finding])),
            ("fits", _fits),
            ("margin", lambda q: q.margin, "{:.3g}x".format),
            ("needed", lambda q: q.needed, "{:.3g}x".format),
            ("from layer", lambda q: Cell(q.layers[0]) if q.layers else UNKNOWN),
        ],
        words=5,
    )


def _fits(question: Question) -> Cell:
    if not question.credible:
        return Cell("none that was tried")
    names = question.rivals
    return Cell(some(names, _NAMED), full=", ".join(names))


def _answers(question: Question) -> Table:
    def divergence(number: int, candidate: Candidate) -> float:
        return candidate.divergences[number]

    shown = range(min(len(question.layers), _NAMED))
    return Table.of(
        f"{question.name}: divergence in front of each BatchNorm",
        question.candidates,
        [
            ("answer", lambda candidate: candidate.name),
            *(
                (
                    question.layers[number],
                    lambda candidate, number=number: divergence(number, candidate),
                    "{:.2g}".format,
                )
                for number in shown
            ),
            ("all", lambda candidate: sum(candidate.divergences), "{:.3g}".format),
        ],
    )


def _layers(report: WitnessReport) -> tuple[Block, ...]:
    table = Table.of(
        "Divergence of what each BatchNorm is given from what it remembers, in nats",
        list(zip(report.layers, report.divergences, strict=True)),
        [("BatchNorm", lambda row: row[0]), ("divergence", lambda row: row[1], "{:.2g}".format)],
    )
    like = "are like" if report.alike else "differ from"
    return Notes((f"the pictures {like} those of the training; {report.crop} fit best",)), table


def _pictures(report: WitnessReport) -> str:
    return f"{plural(report.pictures, 'picture')} of {report.data}"
