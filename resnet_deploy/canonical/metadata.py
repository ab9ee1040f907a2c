"""Metadata that says one thing twice  =>  what it says last.

ONNX Runtime reads the entries one after the other, so that the last one of a key is what programs
get; onnx's checker refuses such a file.
"""

from __future__ import annotations

import onnx


def last_metadata(model: onnx.ModelProto) -> int:
    """Leave the last entry of each key in the metadata of ``model``; return how many went."""
    entries = [(entry.key, entry.value) for entry in model.metadata_props]
    kept = dict(entries)
    if len(kept) < len(entries):
        onnx.helper.set_model_props(model, kept)
    return len(entries) - len(kept)
