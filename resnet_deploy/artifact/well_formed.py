"""What the ONNX format promises of a parsed file and protobuf does not check.

Names that are no UTF-8 come out of protobuf as bytes, numbers of types and sizes as they are, and
maps as lists, in which a key may stand twice.
Nothing behind this door expects either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from resnet_deploy.graph.skeleton import ITEM_SIZES

_TYPES: Final = frozenset(onnx.TensorProto.DataType.values())
_TYPE_FIELDS: Final = frozenset(("data_type", "elem_type"))
_KEYED: Final = frozenset(("external_data",))
"""Lists of keys and values; of metadata the last one counts, as ONNX Runtime has it."""

_LARGEST: Final = 2**40
"""Of one dimension: a tensor of bytes that long has a terabyte."""


def fault_of(message: Message, *, in_function: bool = False) -> str | None:
    """Return what is wrong with a model, or with a part of one, in words; None: nothing is.

    An attribute ``in_function`` may be the caller's.
    """
    in_function = in_function or isinstance(message, onnx.FunctionProto)
    if (fault := _together(message, in_function=in_function)) is not None:
        return fault
    for field, value in message.ListFields():
        if field.name in _KEYED and (key := _differing(value)) is not None:
            return f"two values for {key[:40]!r} in its {field.name.replace('_', ' ')}"
        parts = value if _is_list(value) else (value,)
        for part in parts:
            if (fault := _fault(field, part, in_function=in_function)) is not None:
                return fault
    return None


def _together(message: Message, *, in_function: bool) -> str | None:
    """Return what is wrong with fields of ``message`` that are each as they may be."""
    if isinstance(message, onnx.TensorProto):
        return _wrong_size(message)
    if isinstance(message, onnx.GraphProto) and (name := _twice(message)) is not None:
        return f"two nodes of the name {name[:40]!r}"
    if isinstance(message, onnx.AttributeProto) and message.ref_attr_name and not in_function:
        return f"an attribute {message.name[:40]!r} that is another one's, outside of a function"
    return None


def _wrong_size(tensor: onnx.TensorProto) -> str | None:
    """Return what is wrong with the bytes of a tensor: onnx's checker lets it have too many."""
    size = ITEM_SIZES.get(tensor.data_type, 0)
    if not size or not tensor.HasField("raw_data"):
        return None
    wanted = math.prod(tensor.dims) * size
    if len(tensor.raw_data) <= wanted or any(length < 0 for length in tensor.dims):
        return None
    return f"a tensor {tensor.name[:40]!r} of {len(tensor.raw_data)} bytes, where {wanted} are due"


def _twice(graph: onnx.GraphProto) -> str | None:
    """Return a name that two nodes have, which ONNX Runtime refuses."""
    found: set[str] = set()
    for node in graph.node:
        if isinstance(node.name, str) and node.name in found:
            return node.name
        found.add(node.name or f"\0{len(found)}")
    return None


def _differing(entries: Iterable[Any]) -> str | bytes | None:
    """Return a key of ``entries`` that has two values, of which each reader takes another."""
    found: dict[str | bytes, object] = {}
    for entry in entries:
        if found.setdefault(entry.key, entry.value) != entry.value:
            key: str | bytes = entry.key
            return key
    return None


def _is_list(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str | bytes | Message)


def _fault(field: FieldDescriptor, value: Any, *, in_function: bool) -> str | None:
    if isinstance(value, Message):
        return fault_of(value, in_function=in_function)
    if field.type == FieldDescriptor.TYPE_STRING and not isinstance(value, str):
        return f"a {field.name.replace('_', ' ')} that is not UTF-8 text: {value[:40]!r}"
    if field.name in _TYPE_FIELDS and value not in _TYPES:
        return f"a tensor of type {value}, which ONNX does not know"
    if field.name == "dims" and not 0 <= value <= _LARGEST:
        return f"a tensor with a dimension of {value}"
    if field.name == "dim_value" and not -_LARGEST <= value <= _LARGEST:
        return f"an input or output with a dimension of {value}"
    return None
