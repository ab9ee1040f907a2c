"""What the ONNX format promises of a parsed file and protobuf does not check.

Names that are no UTF-8 come out of protobuf as bytes, and numbers of types and sizes as they are.
Nothing behind this door expects either.
"""

from __future__ import annotations

from typing import Any, Final

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_TYPES: Final = frozenset(onnx.TensorProto.DataType.values())
_TYPE_FIELDS: Final = frozenset(("data_type", "elem_type"))
_LARGEST: Final = 2**40
"""Of one dimension: a tensor of bytes that long has a terabyte."""


def fault_of(message: Message) -> str | None:
    """Return what is wrong with a model, or with a part of one, in words; None: nothing is."""
    for field, value in message.ListFields():
        parts = value if _is_list(value) else (value,)
        for part in parts:
            if (fault := _fault(field, part)) is not None:
                return fault
    return None


def _is_list(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str | bytes | Message)


def _fault(field: FieldDescriptor, value: Any) -> str | None:
    if isinstance(value, Message):
        return fault_of(value)
    if field.type == FieldDescriptor.TYPE_STRING and not isinstance(value, str):
        return f"a {field.name.replace('_', ' ')} that is no UTF-8 text: {value[:40]!r}"
    if field.name in _TYPE_FIELDS and value not in _TYPES:
        return f"a tensor of type {value}, which ONNX does not know"
    if field.name == "dims" and not 0 <= value <= _LARGEST:
        return f"a tensor with a dimension of {value}"
    if field.name == "dim_value" and not -_LARGEST <= value <= _LARGEST:
        return f"an input or output with a dimension of {value}"
    return None
