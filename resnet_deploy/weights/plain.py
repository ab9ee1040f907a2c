"""What a pickle held, as plain data: dicts, lists, tuples, tensors; objects as their attributes."""

from __future__ import annotations

import re
from typing import Any

from resnet_deploy.pickles.bounds import LONGEST_NAME, Refused
from resnet_deploy.pickles.numpy_arrays import NumpyArray
from resnet_deploy.pickles.stand_ins import StandIn
from resnet_deploy.weights.whole_module import module_state, tensor_of

_DEEPEST = 24
"""Below, objects stay stand-ins: no weights lie there."""

_PARAMETER = re.compile(r".+\.(weight|bias|running_mean|running_var)")

_QUANTIZED = (
    "is of a quantized net: give the float weights that it was made of, and let this tool quantize "
    "them"
)
_SHARDED = (
    "is one part of a tensor on many devices (FSDP): save the full state dict "
    "(get_model_state_dict(model, options=StateDictOptions(full_state_dict=True)) of "
    "torch.distributed.checkpoint.state_dict)"
)

_UNREADABLE_KEYS = (
    (re.compile(r"(?:.*\.)?_packed_params(?:\..*)?"), _QUANTIZED),
    (re.compile(r"(?:.*\.)?_?flat_param(?:_\d+)?"), _SHARDED),
)
_UNREADABLE = (
    (re.compile(r"quantized|_rebuild_qtensor|ScriptObject|QU?Int", re.IGNORECASE), _QUANTIZED),
    (re.compile(r"DTensor|ShardedTensor|_shard|LocalTensor"), _SHARDED),
    (
        re.compile(r"meta_tensor|Uninitialized"),
        "has no values: the model was saved before its weights were loaded; save it again",
    ),
    (re.compile("sparse"), "is sparse: save tensor.to_dense()"),
)


def plain(content: Any) -> Any:
    """Return ``content`` with plain data for stand-ins, as far as they hold any; in place.

    A module becomes its state dict (:class:`ModuleState`), an array a tensor, another object the
    dict of its entries or attributes; what has neither stays a stand-in.

    Raises:
        Refused: a tensor of the weights is of a kind that isn't read: quantized, sharded.
    """
    return _Plain().of(content, 0)


class _Plain:
    """One walk over a content, whose parts may be shared, or hold themselves."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Any]] = {}  # with what the number is of, so that it stays

    def of(self, value: Any, depth: int) -> Any:
        if not isinstance(value, dict | list | tuple | StandIn | NumpyArray) or depth > _DEEPEST:
            return value
        if (known := self._known.get(id(value))) is not None:
            return known[1]
        self._known[id(value)] = (value, value)
        made = self._made(value, depth)
        self._known[id(value)] = (value, made)
        return made

    def _made(self, value: Any, depth: int) -> Any:
        if isinstance(value, tuple):
            parts = [self.of(part, depth + 1) for part in value]
            same = all(new is old for new, old in zip(parts, value, strict=True))
            return value if same else tuple(parts)
        if isinstance(value, list):
            value[:] = [self.of(part, depth + 1) for part in value]
            return value
        if isinstance(value, StandIn | NumpyArray):
            return self._of_object(value, depth)
        for key, part in value.items():
            value[key] = self.of(part, depth + 1)
            _check_parameter(key, part)
        return value

    def _of_object(self, value: StandIn | NumpyArray, depth: int) -> Any:
        found = tensor_of(value)
        if not isinstance(found, StandIn):
            return found
        if (state := module_state(found)) is not None:
            for key, part in state.items():
                _check_parameter(key, part)
            return state
        inner = found.entries or found.elements or found.attributes
        return found if not inner else self.of(inner, depth + 1)


def _check_parameter(key: Any, value: Any) -> None:
    """Refuse what is not a plain tensor where one of the weights should be."""
    if not isinstance(key, str) or len(key) > LONGEST_NAME:  # whoever takes it for a name refuses
        return
    for pattern, reason in _UNREADABLE_KEYS:
        if pattern.fullmatch(key):
            raise Refused(f"can't be read: {key!r:.100} {reason}")
    if not isinstance(value, StandIn) or not _PARAMETER.fullmatch(key):
        return
    for pattern, reason in _UNREADABLE:
        if pattern.search(value.of):
            raise Refused(f"can't be read: {key!r:.100} {reason}")
    if tensor_of(value) is value:
        raise Refused(
            f"can't be read: {key!r:.100} is a {value.of}, no plain tensor; save "
            "model.state_dict() of plain tensors"
        )
