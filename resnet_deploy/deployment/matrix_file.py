"""The file of ``deploy --matrix``: TOML, in which nothing is passed over that it says."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args, get_origin

from resnet_deploy.errors import SpecError, one_line
from resnet_deploy.parsing import strict_converter, structured
from resnet_deploy.plain_values import read_text, strict_toml
from resnet_deploy.spec.matrix import CellOptions, Matrix, MatrixCell

MOST_CELLS = 10_000

_MOST_BYTES = 1 << 20
_TABLES = ("defaults", "nets", "targets", "exclude", "include")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
_OF_WINDOWS = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")
"""Names of devices there, in every folder."""

_OF_THE_COMMAND = {
    "calibration-cache": "where it lies is the user's to say, by RESNET_DEPLOY_CACHE: drop it",
}
"""Words of ``export`` that no file may say: it would be written there."""

_FIELDS = {field.name.replace("_", "-"): field.name for field in fields(CellOptions)}
_PAIR = ("net", "target")

_NO_OPTIONS = CellOptions()


def read_matrix(path: Path) -> Matrix:
    """Return the cells that the TOML file ``path`` describes.

    ``[defaults]`` holds for all of them, ``[nets.NAME]`` and ``[targets.NAME]`` for those of a
    network or a target: there is a cell for each pair. ``[[exclude]]`` takes away those whose
    ``net`` and ``target`` match; ``[[include]]`` names one pair, which it adds where it was taken
    away, and says what holds for it alone. What is said of less goes before what is said of more; a
    network and a target must not contradict each other.

    Raises:
        SpecError: it can't be read, or says what no matrix can; the message says where.
    """
    try:
        text = read_text(path, _MOST_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise SpecError(f"cannot read the matrix {path}: {reason}") from error
    try:
        values = strict_toml(text)
    except ValueError as error:
        raise SpecError(f"the matrix {path} is not TOML: {one_line(error)}") from error
    try:
        return Matrix(file=str(path), cells=_cells(values))
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error


def _cells(values: Mapping[str, Any]) -> tuple[MatrixCell, ...]:
    _check_known(values, _TABLES, "the matrix")
    defaults = _options(values.get("defaults", {}), "[defaults]")
    nets, targets = _named(values, "nets"), _named(values, "targets")
    if len(nets) * len(targets) > MOST_CELLS:
        raise SpecError(
            f"{len(nets)} nets for {len(targets)} targets are more than {MOST_CELLS} cells: "
            "use several files"
        )
    pairs = dict.fromkeys((net, target) for net in nets for target in targets)
    left = set(pairs)
    for where, entry in _entries(values, "exclude"):
        left -= _excluded(entry, where, pairs)
    own: dict[tuple[str, str], CellOptions] = {}
    for where, entry in _entries(values, "include"):
        pair, options = _included(entry, where, nets, targets)
        if pair in own:
            raise SpecError(f"{where}: {pair[0]} x {pair[1]} is there twice: make it one entry")
        own[pair] = options
        left.add(pair)
    if not left:
        raise SpecError("[[exclude]] takes all cells away: leave some")
    found = []
    for net, target in (pair for pair in pairs if pair in left):
        first = own.get((net, target), _NO_OPTIONS)
        _check_agree(first, nets[net], targets[target], net, target)
        options = first.over(nets[net], targets[target], defaults)
        found.append(MatrixCell(net=net, target=target, options=options))
    return tuple(found)


def _check_agree(
    first: CellOptions, of_net: CellOptions, of_target: CellOptions, net: str, target: str
) -> None:
    settled, theirs = first.said, of_target.said
    for name, value in of_net.said.items():
        if name not in settled and theirs.get(name, value) != value:
            word = name.replace("_", "-")
            raise SpecError(
                f"[nets.{net}] and [targets.{target}] both say {word!r}, and not the same: leave "
                "it out of one, or say it in an [[include]] of the two"
            )


def _named(values: Mapping[str, Any], kind: str) -> dict[str, CellOptions]:
    """Return the options of each network or target, by its name."""
    tables = values.get(kind, {})
    if not isinstance(tables, dict) or not tables:
        raise SpecError(f"there are no {kind}: name at least one, as [{kind}.{kind[:-1]}1]")
    seen: dict[str, str] = {}
    for name in tables:
        if not _NAME.fullmatch(name) or _OF_WINDOWS.fullmatch(name):
            raise SpecError(
                f"[{kind}] has the name {name[:80]!r}, which becomes the name of a folder: use up "
                "to 64 letters, digits, dots, hyphens and underscores"
            )
        if other := seen.get(name.lower()):
            raise SpecError(
                f"[{kind}] has {other!r} and {name!r}, which are one folder where upper and lower "
                "case are the same: rename one"
            )
        seen[name.lower()] = name
    return {name: _options(table, f"[{kind}.{name}]") for name, table in tables.items()}


def _entries(values: Mapping[str, Any], kind: str) -> Iterable[tuple[str, dict[str, Any]]]:
    entries = values.get(kind, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SpecError(f"{kind!r} is not a list of tables: write [[{kind}]]")
    if len(entries) > MOST_CELLS:
        raise SpecError(f"{len(entries)} times [[{kind}]]: there are at most {MOST_CELLS} cells")
    return [(f"[[{kind}]] {number}", entry) for number, entry in enumerate(entries, 1)]


def _excluded(
    entry: Mapping[str, Any], where: str, pairs: Iterable[tuple[str, str]]
) -> set[tuple[str, str]]:
    _check_known(entry, _PAIR, where)
    if not entry:
        raise SpecError(f"{where} says neither 'net' nor 'target': name what is left out")
    net, target = (_text(entry.get(key, "*"), f"{where} {key!r}") for key in _PAIR)
    found = {pair for pair in pairs if fnmatchcase(pair[0], net) and fnmatchcase(pair[1], target)}
    if not found:
        raise SpecError(f"{where} matches no cell: there is no {net} x {target}")
    return found


def _included(
    entry: Mapping[str, Any],
    where: str,
    nets: Mapping[str, CellOptions],
    targets: Mapping[str, CellOptions],
) -> tuple[tuple[str, str], CellOptions]:
    for key, known in zip(_PAIR, (nets, targets), strict=True):
        if key not in entry:
            raise SpecError(f"{where} says no {key!r}: name the pair")
        name = _text(entry[key], f"{where} {key!r}")
        if name not in known:
            raise SpecError(f"{where}: no {key} is called {name[:80]!r}{_near(name, known)}")
    own = {key: value for key, value in entry.items() if key not in _PAIR}
    return (entry["net"], entry["target"]), _options(own, where, _PAIR)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise SpecError(f"{where} is not text")
    return value


def _options(table: object, where: str, besides: tuple[str, ...] = ()) -> CellOptions:
    if not isinstance(table, dict):
        raise SpecError(f"{where} is not a table of options")
    _check_known(table, (*_FIELDS, *besides), where)
    for key, value in table.items():
        if value == "":  # to a path that is the folder in which the command runs
            raise SpecError(f"{where} {key!r} is empty: say what, or leave it out")
    try:
        return structured(
            _CONVERTER, {_FIELDS[key]: value for key, value in table.items()}, CellOptions
        )
    except ValueError as error:
        name, _, said = one_line(error).partition(": ")
        raise SpecError(f"{where} {name.replace('_', '-')!r}: {said}") from error


def _check_known(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    names = tuple(known)
    for key in table:
        if key in _OF_THE_COMMAND:
            raise SpecError(f"{where} says {key!r}: {_OF_THE_COMMAND[key]}")
        if key not in names:
            raise SpecError(f"{where} has no {key[:80]!r}{_near(key, names)}")


def _near(name: str, known: Iterable[str]) -> str:
    names = tuple(known)
    near = difflib.get_close_matches(name[:80], names, n=1, cutoff=0.5)
    if near:
        return f": the nearest is {near[0]!r}"
    return f": there are {', '.join(names)}" if len(names) <= len(_TABLES) else ""


def _is_choice(kind: Any) -> bool:
    """Whether ``kind`` is a union of two plain kinds, besides None, which cattrs takes for none."""
    named = [each for each in get_args(kind) if each is not type(None)]
    return get_origin(kind) is types.UnionType and len(named) > 1


def _choice_hook(kind: Any) -> Any:
    number, other = (each for each in get_args(kind) if each is not type(None))

    def hook(value: Any, _: Any) -> Any:
        is_number = isinstance(value, int | float)
        return (
            None if value is None else _CONVERTER.structure(value, number if is_number else other)
        )

    return hook


_CONVERTER = strict_converter()
_CONVERTER.register_structure_hook_factory(_is_choice)(_choice_hook)
