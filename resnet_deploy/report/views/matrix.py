"""What became of many nets for many targets: a row for each cell."""

from __future__ import annotations

from resnet_deploy.report.document import Cell, Document, Notes, Section, Table, Tone, Verdict
from resnet_deploy.report.words import file_name, plural
from resnet_deploy.results import CellResult, CellState, MatrixReport

_TONES: dict[CellState, Tone] = {
    CellState.PLANNED: "",
    CellState.DONE: "good",
    CellState.UNCHANGED: "dim",
    CellState.FAILED: "bad",
}


def line(cell: CellResult) -> str:
    """Return what became of one cell, in one line."""
    took = f", {cell.seconds:.1f} s" if cell.state in (CellState.DONE, CellState.FAILED) else ""
    why = f": {cell.reason}" if cell.reason else ""
    return f"{cell.name}: {cell.state.value}{took}{why}"


def view(report: MatrixReport) -> Document:
    """Return the cells in a table, and why some failed."""
    counts = [f"{len(report.of(state))} {state.value}" for state in CellState if report.of(state)]
    summary = f"{plural(len(report.cells), 'cell')}: {', '.join(counts)}"
    failed = tuple(f"{cell.name}: {cell.reason}" for cell in report.of(CellState.FAILED))
    if report.passed is None:
        verdict = Verdict("plain", "Planned", (f"{summary}; nothing was made",))
    else:
        verdict = Verdict.check(report.passed, summary)
    notes = tuple(f"{cell.name}: {note}" for cell in report.cells for note in cell.notices)
    table = Table.of(
        "Cells",
        report.cells,
        [
            ("net", lambda cell: cell.net),
            ("target", lambda cell: cell.target),
            ("state", lambda cell: Cell(cell.state.value, tone=_TONES[cell.state])),
            ("folder", lambda cell: cell.folder),
            ("where", lambda cell: "here" if cell.timed else "anywhere"),
            ("files", lambda cell: float(len(cell.files)), lambda count: f"{count:.0f}"),
            ("int8 dB", _decibels, lambda value: f"{value:.1f}"),
            ("seconds", lambda cell: cell.seconds or None, lambda value: f"{value:.1f}"),
        ],
        words=5,
    )
    return Document(
        topic="Matrix",
        title=file_name(report.matrix),
        verdict=verdict,
        sections=(
            Section("Cells", (table,)),
            Section("What failed", (Notes(failed, "bad"),)),
            Section("Notes", (Notes((*report.notices, *notes)),), detail=True),
            Section("Files", (Notes(tuple(report.written)),), detail=True),
        ),
        environment=report.environment,
    )


def _decibels(cell: CellResult) -> float | None:
    """Return how far the noise of the int8 file lies below its answers, where it was measured."""
    made = cell.deployment
    if made is None or "int8" not in made.parity:
        return None
    return made.parity["int8"].cases[-1].worst.sqnr_db
