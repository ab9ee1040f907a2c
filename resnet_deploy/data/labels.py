"""Names of classes: ImageNet's own, a user's list, and which output means which folder."""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from resnet_deploy.errors import DatasetError

_WNID = re.compile(r"(n\d{8})(?:$|[_ ,:\t-]+)")
BACKGROUND = "background"
"""What TensorFlow's ImageNet nets call their first output of 1001."""

_BACKGROUNDS = (BACKGROUND, "dummy", "__background__")
_NUMBER = re.compile(r"[0-9]{1,9}")


def imagenet_labels() -> tuple[str, ...]:
    """Return the names of ImageNet's 1000 classes in the order of the models' outputs.

    Each is the first WordNet lemma of its synset, with a word in brackets where two classes
    share one (``crane``, ``maillot``).
    """
    return tuple(label for _, label in _imagenet_classes())


def imagenet_wnids() -> tuple[str, ...]:
    """Return the WordNet ids (``n01440764``) of the same classes; they are sorted."""
    return tuple(wnid for wnid, _ in _imagenet_classes())


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct ``names`` in the order in which they are classes.

    Numbers are sorted as such: they are outputs, and 10 comes after 9. Everything else is sorted
    as text, as torchvision does.
    """
    distinct = set(names)
    if all(map(_NUMBER.fullmatch, distinct)):
        return tuple(sorted(distinct, key=lambda name: (int(name), name)))
    return tuple(sorted(distinct))


def output_names(labels: Sequence[str], num_classes: int) -> tuple[str, ...]:
    """Return what to call each output: ``labels``, or ImageNet's names where there are none.

    They are empty where nobody knows. 1000 outputs without a name are ImageNet's in all likelihood,
    and so are 1001, of which TensorFlow's nets have the background first; whoever shows the names
    should say that.
    """
    if labels:
        return tuple(labels)
    known = imagenet_labels()
    return {len(known): known, len(known) + 1: (BACKGROUND, *known)}.get(num_classes, ())


def has_background(labels: Sequence[str], num_classes: int) -> bool:
    """Whether output 0 is TensorFlow's background, and the others are ImageNet's classes."""
    if num_classes != len(imagenet_labels()) + 1:
        return False
    return not labels or (_folded(labels[0]) in _BACKGROUNDS and _is_imagenet(labels[1:], 1000))


def match_classes(
    dataset_classes: Sequence[str], labels: Sequence[str], num_classes: int
) -> tuple[int, ...]:
    """Return which model output each class of a dataset is.

    Tried in this order: all classes are among the model's labels (case and underscores don't
    matter); all are WordNet ids, plain or as ``n01440764_tench``, and the model is an ImageNet
    one, of 1000 outputs or of 1001 with the background first; all are labels when a WordNet id in
    front, or the words after a comma, may be left out; all are numbers, which are outputs; there
    are as many classes as outputs, which then match in their order.

    Raises:
        DatasetError: none of these holds, numbers are not outputs, or some names match at other
            positions.
    """
    by_name = _by_name(dataset_classes, labels)
    wnids = [match and match[1] for match in map(_WNID.match, dataset_classes)]
    background = has_background(labels, num_classes)
    if (background or _is_imagenet(labels, num_classes)) and None in by_name:
        known = {wnid: index for index, wnid in enumerate(imagenet_wnids(), int(background))}
        by_wnid = [None if wnid is None else known.get(wnid) for wnid in wnids]
        by_name = by_name if None in by_wnid else by_wnid
    if None in by_name:
        by_name = _by_parts(dataset_classes, output_names(labels, num_classes)) or by_name
    if None not in by_name:
        _check_differ(dataset_classes)
        return tuple(index for index in by_name if index is not None)
    if all(map(_NUMBER.fullmatch, dataset_classes)):
        if background and min(map(int, dataset_classes), default=1) == 0:
            raise DatasetError(
                "the data has a class 0, and output 0 of 1001 is the background in TensorFlow's "
                "nets: call the class folders by their WordNet ids, or number them from 1"
            )
        return _by_number(dataset_classes, num_classes)
    if len(dataset_classes) != num_classes:
        hint = f" (such as {dataset_classes[by_name.index(None)]!r})" if labels else ""
        raise DatasetError(
            f"the data has {len(dataset_classes)} classes, the model {num_classes}, and not all "
            f"class names are among the model's labels{hint}: rename the class folders"
        )
    for position, index in enumerate(by_name):
        if index not in (None, position):
            raise DatasetError(
                f"class {dataset_classes[position]!r} is number {position} in the data but "
                f"{index} in the model, and {dataset_classes[by_name.index(None)]!r} is not among "
                "the model's labels: rename the class folders"
            )
    return tuple(range(num_classes))


def _check_differ(classes: Sequence[str]) -> None:
    """Refuse two classes of one name, of which one would count as the other.

    Raises:
        DatasetError: there are two.
    """
    name, count = Counter(classes).most_common(1)[0] if classes else ("", 0)
    if count > 1:
        raise DatasetError(
            f"the data has {count} classes that are called {name!r}: name them differently"
        )


def _by_number(classes: Sequence[str], num_classes: int) -> tuple[int, ...]:
    """Return classes that are numbers as outputs.

    Numbers of which some are not an output count classes from 1, or are years: their order tells
    which output each is, if text and numbers sort alike and all are there.

    Raises:
        DatasetError: there are numbers that are not outputs, and their order tells nothing.
    """
    outputs = tuple(map(int, classes))
    if max(outputs, default=0) < num_classes:
        return outputs
    if len(classes) == num_classes and list(classes) == sorted(classes):
        return tuple(range(num_classes))
    raise DatasetError(
        f"the data has {len(classes)} classes, the model {num_classes}, and class {classes[-1]!r} "
        f"is none of its outputs, 0 to {num_classes - 1}: rename the class folders"
    )


@functools.cache
def _imagenet_classes() -> tuple[tuple[str, str], ...]:
    file = importlib.resources.files("resnet_deploy.data") / "imagenet_classes.txt"
    lines = file.read_text(encoding="utf-8").splitlines()
    return tuple((line[:9], line[10:]) for line in lines)


def _by_name(classes: Sequence[str], labels: Sequence[str]) -> list[int | None]:
    """Return the label each class is, exactly or else up to case; None where there is none."""
    exact = _unique([label.replace("_", " ").strip() for label in labels])
    folded = _unique([_folded(label) for label in labels])
    found = []
    for name in classes:
        index = exact.get(name.replace("_", " ").strip())
        found.append(folded.get(_folded(name)) if index is None else index)
    return found


def _by_parts(classes: Sequence[str], labels: Sequence[str]) -> list[int | None] | None:
    """Return the label each class is by its WordNet id or by a part of its name.

    None if one is not a label, or two are the same one: then the parts don't tell them apart.
    """
    parts = [_parts(label) for label in labels]
    ids, *names = (_unique([part[way] for part in parts]) for way in range(3))
    found = []
    for wnid, *words in map(_parts, classes):
        if wnid and any(part[0] for part in parts):  # two cranes have one name, but not one id
            found.append(ids.get(wnid))
        else:
            tried = (way.get(word) for way, word in zip(names, words, strict=True))
            found.append(next((index for index in tried if index is not None), None))
    return found if None not in found and len(set(found)) == len(found) else None


def _parts(name: str) -> tuple[str, str, str]:
    """Return the WordNet id, the name without it, and the first of its words for one thing."""
    wnid = _WNID.match(name)
    words = name[wnid.end() :] if wnid else name
    return wnid[1] if wnid else "", _folded(words), _folded(words.partition(",")[0])


def _unique(names: list[str]) -> dict[str, int]:
    """Map each name to its place; names that occur twice mean nothing and are left out."""
    counts = Counter(names)
    return {name: index for index, name in enumerate(names) if counts[name] == 1}


def _folded(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def _is_imagenet(labels: Sequence[str], num_classes: int) -> bool:
    """Whether outputs are ImageNet's: published lists word up to half of the names otherwise."""
    if num_classes != 1000:
        return False
    own = {_parts(label)[2] for label in labels}
    return not labels or len(own & {_folded(name) for name in imagenet_labels()}) >= 500
