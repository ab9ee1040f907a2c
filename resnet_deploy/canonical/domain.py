"""The domain ``ai.onnx``  =>  its other name, which is empty.

Both are the default operator set (docs/Versioning.md); ONNX Runtime takes either, onnx's checker
knows operators by the empty one.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from resnet_deploy.canonical.order import every_node

_SPELLED_OUT = "ai.onnx"


def name_default_domain(model: onnx.ModelProto) -> int:
    """Let ``model`` name the default domain one way; return how many names changed."""
    changed = _rename(model.graph.node)
    changed += _merge(model)
    for function in model.functions:
        changed += _rename(function.node)
        changed += _merge(function)
    return changed


def _rename(nodes: Iterable[onnx.NodeProto]) -> int:
    named = [node for node in every_node(nodes) if node.domain == _SPELLED_OUT]
    for node in named:
        node.domain = ""
    return len(named)


def _merge(owner: onnx.ModelProto | onnx.FunctionProto) -> int:
    """Leave one import of the default domain: the highest, where there are two."""
    ours = [entry for entry in owner.opset_import if entry.domain in ("", _SPELLED_OUT)]
    if not any(entry.domain for entry in ours):
        return 0
    kept = [entry for entry in owner.opset_import if entry.domain not in ("", _SPELLED_OUT)]
    version = max(entry.version for entry in ours)
    del owner.opset_import[:]
    owner.opset_import.extend([onnx.helper.make_opsetid("", version), *kept])
    return len(ours)
