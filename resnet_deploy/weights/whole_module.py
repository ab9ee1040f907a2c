"""Whole modules that were pickled, or compiled to TorchScript: their weights, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resnet_deploy.pickles.bounds import LONGEST_NAME, Damaged, Refused
from resnet_deploy.pickles.numpy_arrays import NumpyArray
from resnet_deploy.pickles.stand_ins import StandIn

_DEEPEST = 64
_MOST_PARTS = 100_000
"""A module that holds another twice, which holds a third twice, … has 2 ** n parts, named or not.
"""

_MOST_LOOKED_AT = 10_000
"""Dicts and lists around modules, which may hold each other as often."""

_SCRIPT = "__torch__."
_MANGLED = re.compile(r"___torch_mangle_\d+\.")


class ModuleState(dict[str, Any]):
    """The state dict of a module of the class ``of``, as ``module.state_dict()`` would give it."""

    def __init__(self, of: str, *, script: bool) -> None:
        super().__init__()
        self.of = of
        self.script = script


def tensor_of(value: Any) -> Any:
    """Return the tensor that an array, or a variable of PyTorch before 0.4, stands for.

    All else comes back as it is.
    """
    if isinstance(value, NumpyArray):
        array = value.array()
        if array is None or (array.dtype.kind == "u" and array.itemsize > 1):
            return StandIn("numpy.ndarray")  # text, objects, numbers that PyTorch hardly has
        return torch.from_numpy(array)
    if isinstance(value, StandIn) and isinstance(value.state, tuple) and value.state:
        kind, inner = value.of.rpartition(".")[2], value.state[0]
        if kind in ("Parameter", "Variable", "Buffer") and isinstance(inner, Tensor):
            return inner
    return value


def module_state(stand_in: StandIn) -> ModuleState | None:
    """Return the weights of the module that ``stand_in`` is; None if it is none.

    Raises:
        Refused: the module is quantized.
        Damaged: it holds itself.
    """
    if not _is_module(stand_in):
        return None
    script = stand_in.of.startswith(_SCRIPT)
    state = ModuleState(_class_of(stand_in), script=script)
    state.update(_tensors(stand_in, "", 0, [_MOST_PARTS]))
    return state


def notices_of(path: Path, content: Any, state: dict[str, Tensor]) -> tuple[str, ...]:
    """Return what is worth telling of the modules in ``content`` that ``state`` was taken from."""
    taken = {id(tensor) for tensor in state.values()}
    found: list[str] = []
    for module in _modules(content, 0, [_MOST_LOOKED_AT]):
        if not taken.isdisjoint(id(value) for value in module.values()):
            kind = "a TorchScript archive of" if module.script else "a whole pickled model,"
            found.append(
                f"{path.name} is {kind} {module.of}: its weights were read, none of its code was "
                "run"
            )
    return tuple(dict.fromkeys(found))


def _modules(content: Any, depth: int, left: list[int]) -> Iterator[ModuleState]:
    """Yield the modules in ``content``; ``left`` bounds the search."""
    if isinstance(content, ModuleState):
        yield content
    elif depth < 4 and isinstance(content, dict | list | tuple):
        parts = content.values() if isinstance(content, dict) else content
        for part in islice(parts, 1000):
            left[0] -= 1
            if left[0] < 0:
                return
            yield from _modules(part, depth + 1, left)


def _attributes(stand_in: StandIn) -> dict[Any, Any]:
    attributes = stand_in.attributes
    if attributes is None and stand_in.arguments and isinstance(stand_in.arguments[0], dict):
        attributes = stand_in.arguments[0]  # torch.fx's graph modules
    return attributes or {}


def _class_of(stand_in: StandIn) -> str:
    if stand_in.of == "torch.fx.graph_module.reduce_graph_module":
        return "torch.fx.GraphModule"
    return _MANGLED.sub("", stand_in.of.removeprefix(_SCRIPT))


def _is_module(stand_in: StandIn) -> bool:
    return stand_in.of.startswith(_SCRIPT) or "_modules" in _attributes(stand_in)


def _tensors(
    stand_in: StandIn, prefix: str, depth: int, left: list[int]
) -> Iterator[tuple[str, Any]]:
    """Yield names and tensors (or what stands for them) in the order of ``state_dict()``.

    ``left`` bounds how many parts are looked at, of all modules together.
    """
    if depth > _DEEPEST:
        raise Damaged("a module that holds itself")
    if ".quantized." in stand_in.of:
        raise Refused(
            f"holds a quantized net ({_class_of(stand_in)}): give the float weights that "
            "it was made of, and let this tool quantize them"
        )
    attributes = _attributes(stand_in)
    if stand_in.of.startswith(_SCRIPT):
        own, parts = attributes, attributes
    else:
        buffers, passing = _dict(attributes.get("_buffers")), _passing(attributes)
        left[0] -= len(buffers) + len(passing)
        own = {
            **_dict(attributes.get("_parameters")),
            **{name: value for name, value in buffers.items() if name not in passing},
        }
        parts = _dict(attributes.get("_modules"))
    left[0] -= 1 + len(own) + len(parts)
    if left[0] < 0:
        raise Damaged("a module of endless parts")
    if not all(isinstance(name, str) and len(name) <= LONGEST_NAME for name in (*own, *parts)):
        raise Damaged("a module with a part of an unusual name")
    for name, value in own.items():
        found = tensor_of(value)
        script_part = isinstance(found, StandIn) and stand_in.of.startswith(_SCRIPT)
        if isinstance(found, Tensor | StandIn) and not script_part:
            yield f"{prefix}{name}", found
    for name, value in parts.items():
        if isinstance(value, StandIn):
            yield from _tensors(value, f"{prefix}{name}.", depth + 1, left)


def _passing(attributes: Mapping[Any, Any]) -> frozenset[str]:
    """Return the names of buffers that a state dict leaves out."""
    names = attributes.get("_non_persistent_buffers_set")
    found = names if isinstance(names, list) else ()
    return frozenset(name for name in found if isinstance(name, str))


def _dict(value: Any) -> dict[Any, Any]:
    """Return the entries of a dict, or of a class of dicts that is not known here."""
    if isinstance(value, StandIn):
        value = value.entries
    return value if isinstance(value, dict) else {}
