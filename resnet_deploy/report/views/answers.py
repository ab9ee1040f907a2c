"""What labels and embeddings are worth, and what changed."""

from __future__ import annotations

from resnet_deploy.report.document import (
    Block,
    Cell,
    Document,
    Notes,
    Section,
    Table,
    Tile,
    Verdict,
)
from resnet_deploy.report.words import cosine, decibels, file_name, percent, plural, some
from resnet_deploy.results import AnswerResult

_SHOWN = 20
_SKIPPED_SHOWN = 10


def view(result: AnswerResult) -> Document:
    """Return one evaluation of labels or embeddings."""
    return Document(
        topic="Labels" if result.output_kind == "multi-label" else "Embeddings",
        title=file_name(result.model),
        verdict=Verdict("plain", "Measured", (*_sentences(result), *_left_out(result))),
        tiles=_tiles(result),
        sections=(Section("What was measured", _blocks(result)),),
        environment=result.environment,
    )


def _sentences(result: AnswerResult) -> tuple[str, ...]:
    images = f"{plural(result.samples, 'image')} of {result.data}"
    found = []
    if result.mean_average_precision is not None:
        recall, precision = result.recall, result.precision
        found.append(
            f"mAP {percent(result.mean_average_precision)} on {images}; from a probability of 0.5 "
            f"on, precision {'-' if precision is None else percent(precision)}, recall "
            f"{'-' if recall is None else percent(recall)}"
        )
    if result.same_class is not None:
        found.append(
            f"the nearest other image is of the same class for {percent(result.same_class)} of "
            f"{images}"
        )
    other = result.against
    if other is not None:
        words = [f"values {decibels(other.sqnr_db)}"]
        if other.mean_cosine is not None and other.least_cosine is not None:
            mean, least = cosine(other.mean_cosine), cosine(other.least_cosine)
            words.append(f"cosine {mean} on average and {least} at least")
        if other.agreement is not None:
            same = "of the labels that either gives are the same"
            if result.output_kind == "embedding":
                same = "of images keep their nearest other image"
            words.append(f"{percent(other.agreement)} {same}")
        found.append(f"beside {file_name(other.model)} on {images}: {', '.join(words)}")
    return tuple(found)


def _left_out(result: AnswerResult) -> tuple[str, ...]:
    return tuple(f"not compared: {what}" for what in result.not_compared)


def _tiles(result: AnswerResult) -> tuple[Tile, ...]:
    other = result.against
    figures = (
        ("mAP", result.mean_average_precision, percent),
        ("Neighbour of the same class", result.same_class, percent),
        ("Same answers", None if other is None else other.agreement, percent),
        ("Least cosine", None if other is None else other.least_cosine, cosine),
    )
    return tuple(Tile(name, write(value)) for name, value, write in figures if value is not None)


def _blocks(result: AnswerResult) -> tuple[Block, ...]:
    notes = [f"{result.data}: {plural(result.samples, 'image')}, {result.seconds:.1f} s"]
    if result.labels:
        notes.append("an image has the label of its class, and no other")
    if result.skipped:
        notes.append(
            f"{plural(len(result.skipped), 'image')} left out, as they can't be read: "
            f"{some(result.skipped, _SKIPPED_SHOWN)}"
        )
    if not result.labels:
        return (Notes(tuple(notes)),)
    worst = sorted(result.labels, key=lambda one: (one.average_precision is None, one.name))
    if len(worst) > _SHOWN:
        worst.sort(key=lambda one: 2.0 if one.average_precision is None else one.average_precision)
    table = Table.of(
        f"The {_SHOWN} labels of {len(worst)} that are hardest"
        if len(worst) > _SHOWN
        else "Labels",
        worst[:_SHOWN],
        [
            ("label", lambda one: one.name),
            ("average precision", lambda one: Cell.of(one.average_precision, percent)),
            ("right", lambda one: Cell.of(one.true_positives, str)),
            ("wrongly given", lambda one: Cell.of(one.false_positives, str)),
            ("missed", lambda one: Cell.of(one.false_negatives, str)),
        ],
    )
    return Notes(tuple(notes)), table
