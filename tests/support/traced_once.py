"""Remembers what PyTorch's exporter made of a module, and puts other weights in the next time.

Tracing takes most of the time of a small export, and tests export the same few nets again and again
with other weights. The graph does not depend on the values of parameters and buffers, so a module
that differs from a traced one in nothing else has the same graph. What follows the tracing, which
does look at weights, runs every time. ``tests/test_traced_once.py`` compares the files.

Before it traces, the exporter parses the source of the ONNX functions for all of PyTorch's
operators, each time. They do not depend on the module either.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from functools import cache
from typing import Any

import onnx_ir as ir
import pytest
import torch
from onnx_ir.tensor_adapters import TorchTensor
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

Export = Callable[..., torch.onnx.ONNXProgram | None]


class _Blueprint(pickle.Pickler):
    """All of a module but the values of its parameters and buffers."""

    def __init__(self, file: io.BytesIO, module: nn.Module) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._names: dict[int, str] = {}
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            self._names.setdefault(id(tensor), name)

    def persistent_id(self, thing: object) -> object:
        """Return what stands for a tensor; None lets anything else be as it is."""
        if not isinstance(thing, torch.Tensor):
            return None
        layout = (str(thing.dtype), tuple(thing.shape), thing.stride(), thing.requires_grad)
        name = self._names.get(id(thing))
        if name is not None:
            return (name, layout)
        # Any other tensor becomes a constant of the graph. (PyTorch's own pickles of it differ.)
        return (thing.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes(), layout)


def _blueprint(module: nn.Module) -> bytes | None:
    """Return the same bytes for modules of the same graph; None for one that can't be told."""
    file = io.BytesIO()
    try:
        _Blueprint(file, module).dump(module)
    except (pickle.PicklingError, AttributeError, TypeError, RuntimeError):
        # A local class, a hook that is a closure, a tensor without plain memory.
        return None
    return file.getvalue()


def traced_once(export: Export) -> Export:
    """Return ``torch.onnx.export`` with a memory.

    It takes what ``exporter.export_graph`` gives it: a module, inputs of which only shape and type
    matter, and ``optimize=True`` among the options.
    """
    graphs: dict[object, ir.Model] = {}

    def once(
        module: nn.Module, args: tuple[torch.Tensor, ...], **options: Any
    ) -> torch.onnx.ONNXProgram | None:
        blueprint = _blueprint(module)
        if blueprint is None or not options.get("optimize"):
            return export(module, args, **options)
        # Methods are pickled by the name of their class: a test may have put another in its place.
        code = tuple(type(child).forward for child in module.modules())
        inputs = tuple((tuple(one.shape), one.dtype) for one in args)
        key = (blueprint, code, inputs, repr(options))
        tensors: dict[str, torch.Tensor] = {
            **dict(module.named_parameters(remove_duplicate=False)),
            **dict(module.named_buffers(remove_duplicate=False)),
        }
        if key not in graphs:
            program = export(module, args, **{**options, "optimize": False})
            assert program is not None, "dynamo=True returns a program"
            graphs[key] = program.model.clone()
            for name, value in graphs[key].graph.initializers.items():
                if name in tensors:
                    value.const_value = None  # it would keep the weights alive
        else:
            program = torch.onnx.ONNXProgram(graphs[key].clone(), None)
            for name, value in program.model.graph.initializers.items():
                if name in tensors:
                    value.const_value = TorchTensor(tensors[name], name=name)
        program.optimize()
        return program

    return once


def operators_once(patch: pytest.MonkeyPatch) -> None:
    """Let the exporter make the table of its operators once per process."""
    patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
