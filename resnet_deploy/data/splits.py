"""The parts of a dataset, by the names that people give them."""

from __future__ import annotations

from collections.abc import Iterable

EVALUATION_SPLITS = ("test", "testing", "val", "valid", "validation", "dev", "eval")
"""Names of what a network is evaluated on, in any case; the first that is there counts."""

TRAINING_SPLITS = ("train", "training")

SPLITS = (*TRAINING_SPLITS, *EVALUATION_SPLITS)


def wanted_split(names: Iterable[str], *, train: bool) -> str | None:
    """Return which of ``names`` is the part to take, or None if none is.

    With ``train`` that is the training part, or else what there is.
    """
    known = {name.casefold(): name for name in names}
    wanted = (*TRAINING_SPLITS, *reversed(EVALUATION_SPLITS)) if train else EVALUATION_SPLITS
    return next((known[name] for name in wanted if name in known), None)


def is_split(name: str) -> bool:
    """Whether ``name`` is the usual name of a part."""
    return name.casefold() in SPLITS
