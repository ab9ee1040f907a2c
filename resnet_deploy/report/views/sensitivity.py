"""What each layer would gain and cost in float, and what the search for a budget came to."""

from __future__ import annotations

from resnet_deploy.report import words
from resnet_deploy.report.chart import Bar, Bars, Estimate, Forest
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
from resnet_deploy.report.views.evaluation import points_lost
from resnet_deploy.report.views.pareto import candidate, pareto_front
from resnet_deploy.results import (
    BudgetReport,
    Fidelity,
    LayerSensitivity,
    MixedTrial,
    SensitivityReport,
)
from resnet_deploy.results.closeness import apart

_SHOWN_LAYERS = 20
_NAMED_LAYERS = 3
_MOST_TIMES = 30


def view(report: SensitivityReport) -> Document:
    """Return the ranking of the layers."""
    return Document(
        topic="Sensitivity, layer by layer",
        title=words.file_name(report.model),
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
        Tile("Signal to noise, all int8", words.decibels(best.int8.sqnr_db), _images(best.int8)),
        Tile("Same top-1 as fp32", words.percent(best.int8.agreement)),
        Tile("One run, all int8", words.milliseconds(best.times.int8_ms)),
        Tile("First to go to float", best.name, gone),
    )


def sections(report: SensitivityReport) -> tuple[Section, ...]:
    """Return what each layer would bring back in float, and what it would cost."""
    title = "What each layer would bring back in float"
    if not report.layers:
        line = "sensitivity: only one layer runs in int8, so there is nothing to rank"
        return (Section(title, (Notes((line,)),)),)
    cost = Section("What it would cost", (_cost(report),), detail=True)
    return Section(title, _noise(report)), cost


def _fidelity(found: Fidelity) -> str:
    close = f"SQNR {words.decibels(found.sqnr_db)}, same top-1 {words.percent(found.agreement)}"
    return close if found.paired is None else f"{points_lost(found.paired)}, {close}"


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
    layers = "the residual stream in float" if report.float_stream else "all int8"
    if names and report.float_stream:
        layers += f", and {words.plural(len(names), 'layer')}: {words.some(names, _NAMED_LAYERS)}"
    elif names:
        layers = f"{words.plural(len(names), 'layer')} in float: {words.some(names, _NAMED_LAYERS)}"
    if best.times is not None:
        layers += f" ({best.times.lost_ms:+.3g} ms, {best.times.slowdown:.2f}x)"
    said = f"{PASS} " if report.held else f"{FAIL}  the best file reaches"
    reached = f"{_fidelity(best.fidelity)} on {_images(best.fidelity)}"
    if not report.held:
        reached += just_missed(best.fidelity, report.max_drop, report.min_agreement)
    return f"budget ({' and '.join(wanted)}): {said} {reached}; {layers}"


def just_missed(found: Fidelity, max_drop: float | None, min_agreement: float | None) -> str:
    """Return what of a budget is missed by less than two decimals show, in digits that do."""
    close = []
    if max_drop is not None and found.drop is not None and found.drop > max_drop:
        lost, allowed = apart(found.drop, max_drop, "2f")
        if f"{found.drop:.2f}" != lost:
            close.append(f"{lost} points lost > {allowed}")
    if min_agreement is not None and found.agreement < min_agreement:
        same, wanted = apart(found.agreement, min_agreement, "2%")
        if words.percent(found.agreement) != same:
            close.append(f"same top-1 {same} < {wanted}")
    return f" ({'; '.join(close)})" if close else ""


def search_section(budget: BudgetReport) -> Section:
    """Return what was tried to keep the budget; nothing where the first file does."""
    title = "The search for the budget"
    if len(budget.trials) < 2:
        return Section(title, ())
    int8_ms = next((trial.times.int8_ms for trial in budget.trials if trial.times), 0.0)
    labelled = budget.trials[0].fidelity.drop is not None
    lost = "points of top-1 lost" if labelled else "% of images with another class than fp32"

    def taken(trial: MixedTrial) -> float:
        return int8_ms + (trial.times.lost_ms if trial.times else 0.0)

    def drop(trial: MixedTrial) -> float:
        found = trial.fidelity
        return 100 * (1 - found.agreement) if found.drop is None else found.drop

    candidates = [
        candidate(
            _in_float(trial),
            taken(trial),
            drop(trial),
            chosen=trial is budget.best,
        )
        for trial in budget.trials
    ]
    chart = pareto_front(candidates, title=title, lost=lost)
    table = Table.of(
        title,
        sorted(budget.trials, key=taken),
        [
            ("layers in float", lambda trial: _in_float(trial).removesuffix(" in float")),
            ("ms", taken, words.ms),
            (lost, drop, "{:.2f}".format),
            ("standing", lambda trial: "chosen" if trial is budget.best else ""),
        ],
    )
    return Section(title, (chart, table), detail=True)


def _in_float(trial: MixedTrial) -> str:
    """Return ``3 in float`` or ``stream + 3 in float``."""
    stream = "stream + " if trial.float_stream else ""
    return f"{stream}{len(trial.float_layers)} in float"


def _noise(report: SensitivityReport) -> tuple[Block, ...]:
    charts = Bars.by_module(
        "Noise gone when a layer stays in float",
        "% of the noise in the logits that is gone",
        [
            Bar(
                layer.name,
                100 * layer.noise_removed,
                words.signed("{:+.1f}%")(100 * layer.noise_removed),
                "plain" if layer.noise_removed >= 0 else "bad",
            )
            for layer in sorted(report.layers, key=lambda layer: _natural(layer.name))
        ],
        caption="One layer in float, all others in int8. Longer: the layer loses more in int8.",
    )
    best = report.layers[0]
    table = Table.of(
        f"One layer in float, all others in int8: {_images(best.int8)}; the one that gives most "
        "for its time first",
        report.layers,
        [
            ("layer", lambda layer: " + ".join(layer.modules)),
            ("SQNR gained", lambda layer: layer.sqnr_gain_db, words.signed("{:+.2f} dB")),
            ("agreement", lambda layer: layer.agreement_gain, words.signed("{:+.2f}")),
            None
            if best.top1_gain is None
            else ("top-1", lambda layer: layer.top1_gain, words.signed("{:+.2f}")),
            ("noise gone", lambda layer: layer.noise_removed, words.signed("{:+.1%}")),
            ("ms lost", _lost),
            ("noise per ms", lambda layer: layer.gain_per_ms, words.signed("{:+,.0%}")),
        ],
        shown=_SHOWN_LAYERS,
    )
    whole = f"all int8: {_fidelity(best.int8)}, {words.milliseconds(best.times.int8_ms)}"
    method = f"{report.method}; {report.seconds:.0f} s"
    return *charts, table, Notes((whole,)), Notes((method,), "dim")


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort ``layer1.10`` behind ``layer1.9``."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in name.split(".")
    )


def _lost(layer: LayerSensitivity) -> Cell:
    lost = layer.times.lost_ms
    return Cell("about 0" if _style(layer) == "muted" else words.signed("{:+.3f}")(lost), lost)


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
                words.times(layer.times.slowdown),
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
    return f"{words.plural(found.samples, 'image')} of {found.data}"
