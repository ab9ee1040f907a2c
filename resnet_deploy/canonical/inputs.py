"""Initializers that are listed among the inputs  =>  constants.

Up to IR version 3 every initializer had to be an input as well, and exporters put them in front of
the image or behind it. From IR version 4 on such an initializer is only the default of an input
that may be overridden (ONNX, docs/IR.md), which nobody does with the weights of a classifier.
"""

from __future__ import annotations

import onnx

_FIRST_WITH_CONSTANTS = 4
"""IR version from which an initializer need not be an input."""


def allow_unlisted(model: onnx.ModelProto) -> None:
    """Raise the IR version of a file with initializers that are not inputs, as it says they are.

    Tools that drop the inputs leave the version as it was; ONNX Runtime does not mind.
    """
    listed = {value.name for value in model.graph.input}
    if any(tensor.name not in listed for tensor in model.graph.initializer):
        model.ir_version = max(model.ir_version, _FIRST_WITH_CONSTANTS)


def unlist_initializers(model: onnx.ModelProto) -> int:
    """Drop inputs that have a value already."""
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = list(model.graph.input)
    kept = [value for value in inputs if value.name not in stored]
    if len(kept) < len(inputs):
        del model.graph.input[:]
        model.graph.input.extend(kept)
        model.ir_version = max(model.ir_version, _FIRST_WITH_CONSTANTS)
    return len(inputs) - len(kept)
