"""What each layer would gain and cost in float, and what the search for a budget came to."""

from __future__ import annotations

from resnet_deploy.report.chart import Bar, Estimate, Forest
from resnet_deploy.report.document import (
    FAIL,
    PASS,
    Block,
    Cell,
    Document,
    Notes,
    Section,
    Table,
    Tile,
)
from resnet_deploy.report.views.layers import module_charts
from resnet_deploy.report.views.pareto import Candidate, pareto
from resnet_deploy.report.words import (
    decibels,
    file_name,
    milliseconds,
    ms,
    percent,
    plural,
    points,
    signed,
    some,
    times,
)
from resnet_deploy.results import (
    BudgetReport,
    Fidelity,
    LayerSensitivity,
    MixedTrial,
    SensitivityReport,
)

_SHOWN_LAYERS = 20
_NAMED_LAYERS = 3
_MOST_TIMES = 30


def view(report: SensitivityReport) -> Document:
    """Return the ranking of the layers."""
    return Document(
        topic="Sensitivity, layer by layer",
        title=file_name(report.model),
        tiles=tiles(report),
        sections=sections(report),
    )


def tiles(report: SensitivityReport) -> tuple[Tile, ...]:
    """Return the file without layers in float, and the first one to go there."""
    if not report.layers:
        return ()
    best = report.layers[0]
    gone = f"{best.noise_removed:.1%} of the noise"
    return (
        Tile("Signal to noise, all int8", decibels(best.int8.sqnr_db), _images(best.int8)),
        Tile("Same top-1 as fp32", percent(best.int8.agreement)),
        Tile("One run, all int8", milliseconds(best.times.int8_ms)),
        Tile("First to go to float", best.name, gone),
    )


def sections(report: SensitivityReport) -> tuple[Section, ...]:
    """Return what each layer would bring back in float, and what it would cost."""
    title = "What each layer would bring back in float"
    if not report.layers:
        lines = ("sensitivity: only one layer runs in int8, so there is nothing to rank",)
        return (Section(title, (Notes(lines),)),)
    cost = Section("What it would cost", (_cost(report),), detail=True)
    return Section(title, _noise(report)), cost


def fidelity(found: Fidelity) -> str:
    """Return in words how close a file is to the fp32 one."""
    words = f"SQNR {decibels(found.sqnr_db)}, same top-1 {percent(found.agreement)}"
    if found.paired is None:
        return words
    low, high = found.paired.interval
    return (
        f"top-1 {points(found.paired.difference)} points (95 % CI {points(low)} to "
        f"{points(high)}), {words}"
    )


def budget_line(report: BudgetReport) -> str:
    """Return what was asked for, PASS or FAIL, and what was reached with which layers in float."""
    best = report.best
    wanted = []
    if report.max_drop is not None:
        wanted.append(f"at most {report.max_drop:g} points of top-1 lost")
    if report.min_agreement is not None:
        # Rounded, 0.9999 would read as all of them.
        wanted.append(f"same top-1 on {100 * report.min_agreement:g}%")
    names = report.float_layers
    layers = "all int8"
    if names:
        layers = f"{plural(len(names), 'layer')} in float: {some(names, _NAMED_LAYERS)}"
    if best.times is not None:
        layers += f" ({best.times.lost_ms:+.3g} ms, {best.times.slowdown:.2f}x)"
    reached = f"{fidelity(best.fidelity)} on {_images(best.fidelity)}; {layers}"
    said = PASS if report.held else f"{FAIL}  the best file reaches"
    return f"budget ({' and '.join(wanted)}): {said}{'  ' if report.held else ' '}{reached}"


def search_section(budget: BudgetReport) -> tuple[Section, ...]:
    """Return what was tried to keep the budget."""
    if len(budget.trials) < 2:
        return ()
    int8_ms = next((one.times.int8_ms for one in budget.trials if one.times), 0.0)
    title = "The search for the budget"
    labelled = budget.trials[0].fidelity.drop is not None
    lost = "points of top-1 lost" if labelled else "% of images with another class than fp32"

    def taken(trial: MixedTrial) -> float:
        return int8_ms + (trial.times.lost_ms if trial.times else 0.0)

    def drop(trial: MixedTrial) -> float:
        found = trial.fidelity
        return 100 * (1 - found.agreement) if found.drop is None else found.drop

    chart = pareto(
        [
            Candidate(
                label=f"{len(trial.float_layers)} in float",
                latency_ms=taken(trial),
                accuracy_drop=drop(trial),
                chosen=trial is budget.best,
            )
            for trial in budget.trials
        ],
        title=title,
        lost=lost,
    )
    table = Table.of(
        title,
        sorted(budget.trials, key=taken),
        [
            ("layers in float", lambda trial: str(len(trial.float_layers))),
            ("ms", lambda trial: Cell.of(taken(trial), ms)),
            (lost, lambda trial: Cell.of(drop(trial), "{:.2f}".format)),
            ("standing", lambda trial: "chosen" if trial is budget.best else ""),
        ],
    )
    return (Section(title, (chart, table), detail=True),)


def _noise(report: SensitivityReport) -> tuple[Block, ...]:
    charts = module_charts(
        [
            Bar(
                layer.name,
                100 * layer.noise_removed,
                signed(100 * layer.noise_removed, "{:+.1f}%"),
                "plain" if layer.noise_removed >= 0 else "bad",
            )
            for layer in sorted(report.layers, key=lambda layer: _natural(layer.name))
        ],
        what="Noise gone when a layer stays in float",
        axis="% of the noise in the logits that is gone",
        caption="One layer in float, all others in int8. Longer: the layer loses more in int8.",
    )
    best = report.layers[0]
    table = Table.of(
        f"One layer in float, all others in int8: {_images(best.int8)}; the one that gives most "
        "for its time first",
        report.layers,
        [
            ("layer", lambda layer: " + ".join(layer.modules)),
            ("SQNR gained", lambda layer: _signed(layer.sqnr_gain_db, "{:+.2f} dB")),
            ("agreement", lambda layer: _signed(layer.agreement_gain, "{:+.2f}")),
            ("top-1", lambda layer: _signed(layer.top1_gain, "{:+.2f}"))
            if best.top1_gain is not None
            else None,
            ("noise gone", lambda layer: _signed(layer.noise_removed, "{:+.1%}")),
            ("ms lost", _lost),
            ("noise per ms", lambda layer: _signed(layer.gain_per_ms, "{:+,.0%}")),
        ],
        shown=_SHOWN_LAYERS,
    )
    whole = f"all int8: {fidelity(best.int8)}, {milliseconds(best.times.int8_ms)}"
    method = f"{report.method}; {report.seconds:.0f} s"
    return *charts, table, Notes((whole,)), Notes((method,), "dim")


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort ``layer1.10`` behind ``layer1.9``."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in name.split(".")
    )


def _signed(value: float | None, form: str) -> Cell:
    return Cell.of(value, lambda number: signed(number, form))


def _lost(layer: LayerSensitivity) -> Cell:
    low, high = layer.times.interval
    cell = _signed(layer.times.lost_ms, "{:+.3f}")
    return Cell("about 0", cell.value) if low <= 1 <= high else cell


def _cost(report: SensitivityReport) -> Forest:
    first = f"The first {_MOST_TIMES} layers of the ranking. " * (len(report.layers) > _MOST_TIMES)
    return Forest(
        "How many times as long a run takes with one layer in float",
        "times as long as all int8",
        [
            Estimate(
                layer.name,
                layer.times.slowdown,
                layer.times.interval,
                times(layer.times.slowdown),
                _style(layer),
            )
            for layer in report.layers[:_MOST_TIMES]
        ],
        caption=f"{first}Where the interval crosses 1, no cost can be told.",
        reference=1.0,
    )


def _style(layer: LayerSensitivity) -> str:
    low, high = layer.times.interval
    return "muted" if low <= 1 <= high else "bad" if low > 1 else "good"


def _images(found: Fidelity) -> str:
    return f"{plural(found.samples, 'image')} of {found.data}"
