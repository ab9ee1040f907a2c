"""Names of classes: ImageNet's own, a user's list, and which output means which folder."""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from resnet_deploy.errors import DatasetError

_WNID = re.compile(r"(n\d{8})(?=$|[_ -])")


def imagenet_labels() -> tuple[str, ...]:
    """Return the names of ImageNet's 1000 classes in the order of the models' outputs.

    Each is the first WordNet lemma of its synset, with a word in brackets where two classes
    share one (``crane``, ``maillot``).
    """
    return tuple(label for _, label in _imagenet_classes())


def imagenet_wnids() -> tuple[str, ...]:
    """Return the WordNet ids (``n01440764``) of the same classes; they are sorted."""
    return tuple(wnid for wnid, _ in _imagenet_classes())


def read_labels_file(path: Path) -> tuple[str, ...]:
    """Return the class names in a text file, one a line; blank lines at the end don't count.

    Raises:
        DatasetError: the file can't be read, is no UTF-8 text, is empty, or has a blank line
            among the names.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is no UTF-8 text: give one class name a line") from error
    except OSError as error:
        raise DatasetError(f"cannot read labels from {path}: {error.strerror}") from error
    labels = tuple(line.strip() for line in text.rstrip().splitlines())
    if not labels:
        raise DatasetError(f"{path} is empty: give one class name a line")
    if "" in labels:
        raise DatasetError(f"{path} has a blank line {labels.index('') + 1}: name that class")
    return labels


def match_classes(
    dataset_classes: Sequence[str], labels: Sequence[str], num_classes: int
) -> tuple[int, ...]:
    """Return which model output each class of a dataset is.

    Tried in this order: all classes are among the model's labels (case and underscores don't
    matter); all are WordNet ids, plain or as ``n01440764_tench``, and the model is an ImageNet
    one; the classes are the plain numbers ``0 1 2 …`` and the model has at least as many; there
    are as many classes as outputs, which then match in their order.

    Raises:
        DatasetError: none of these holds, or some names match at other positions.
    """
    by_name = _by_name(dataset_classes, labels)
    found = tuple(index for index in by_name if index is not None)
    if len(found) == len(by_name):
        return found
    wnids = [match and match[1] for match in map(_WNID.match, dataset_classes)]
    if _is_imagenet(labels, num_classes):
        known = {wnid: index for index, wnid in enumerate(imagenet_wnids())}
        if all(wnid in known for wnid in wnids):
            return tuple(known[wnid] for wnid in wnids if wnid)
    numbers = [str(index) for index in range(len(dataset_classes))]
    if list(dataset_classes) == numbers and len(numbers) <= num_classes:
        return tuple(range(len(numbers)))
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
    own = {_folded(label.partition(",")[0]) for label in labels}
    return not labels or len(own & {_folded(name) for name in imagenet_labels()}) >= 500
