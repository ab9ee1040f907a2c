"""The parts of a dataset: the names that people give them, and the folders where they lie."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from resnet_deploy.data.listing import Tree
from resnet_deploy.data.places import Place
from resnet_deploy.errors import DatasetError

_DEEPEST = 8
"""How many folders in folders are looked through."""

_NUMBERED = re.compile(r"(.*?)(\d{1,9})(-of-\d{1,9}\b.*)", re.DOTALL | re.ASCII)
"""The name of a file of a set, as Hugging Face's datasets and TensorFlow's have it."""

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


def of_part(
    name: str, files: Sequence[Place], words: Callable[[str], Sequence[str]], *, train: bool
) -> tuple[str, Sequence[Place]]:
    """Return the files of the part that is wanted, and what they are called together.

    ``words`` gives the words of a file's name of which one may be that of a part.

    Raises:
        DatasetError: all are of another part.
    """
    parts = {
        place: next(filter(is_split, words(file.stem)), "") for place, file in enumerate(files)
    }
    named = [part for part in parts.values() if part]
    wanted = wanted_split(named, train=train)
    if wanted is not None:
        key = wanted.casefold()
        chosen = [file for place, file in enumerate(files) if parts[place].casefold() == key]
        return f"{name}/{wanted}", chosen
    if named and len(named) == len(files):
        kind = files[0].suffix.removeprefix(".")
        raise DatasetError(f"{name} holds {kind} files of {named[0]} only: name others")
    return name, files


def check_whole(name: str, files: Iterable[Place]) -> None:
    """Check that no file of a numbered set (``test-00000-of-00002.parquet``) is missing.

    Raises:
        DatasetError: one is; ``name`` is that of the folder.
    """
    sets: dict[tuple[str, str], set[int]] = {}
    for file in files:
        if numbered := _NUMBERED.fullmatch(file.name):
            before, number, behind = numbered.groups()
            sets.setdefault((before, behind), set()).add(int(number))
    for (before, behind), held in sets.items():
        total = int(behind.partition("-of-")[2].partition(".")[0])
        missing = next((number for number in range(total) if number not in held), None)
        if missing is not None:
            raise DatasetError(
                f"{name} holds {len(held)} of {total} files {before}…{behind}; number {missing} "
                "is missing: get it, or name files that are there, as 0000{0..3} stands for four"
            )


def find_part(root: Place, links: Tree, *, train: bool) -> tuple[Place, str]:
    """Return the folder that is meant by ``root``, and the name of the part that it is.

    Raises:
        DatasetError: there are training images only, and others are asked for.
    """
    place, split = root, ""
    for _ in range(_DEEPEST):
        folders = links.folders(place)
        splits = [] if split else _splits(folders, links)
        if splits:
            wanted = wanted_split(splits, train=train)
            if wanted is None:
                raise DatasetError(
                    f"{root} holds {splits[0]}/ but no test/ or val/ with class folders: name the "
                    "folder that holds the class folders"
                )
            place, split = place / wanted, wanted
        elif len(folders) == 1 and not links.images_beside(place) and _is_set(folders[0], links):
            place = folders[0]
        else:
            break
    return place, split


def _splits(folders: list[Place], links: Tree) -> list[str]:
    """Return the names of the folders that are parts of a dataset.

    That needs class folders inside, as a class may be called ``test``; or that nothing but parts
    is there.
    """
    named = [folder for folder in folders if is_split(folder.name) and links.holds_images(folder)]
    deep = [folder.name for folder in named if any(map(links.holds_images, links.folders(folder)))]
    others = (folder for folder in folders if not is_split(folder.name))
    if not deep and named and not any(map(links.holds_images, others)):
        return [folder.name for folder in named]
    return deep


def _is_set(folder: Place, links: Tree, depth: int = _DEEPEST) -> bool:
    """Whether a folder in a folder is a dataset, and no class with images of its own."""
    if not depth or links.images_beside(folder):
        return False
    filled = (child for child in links.folders(folder) if links.holds_images(child))
    inside = list(islice(filled, 2))
    if len(inside) == 1:
        return is_split(inside[0].name) or _is_set(inside[0], links, depth - 1)
    return bool(inside)
