"""The tests' memory of traced graphs gives the files that tracing gives."""

from collections.abc import Callable
from inspect import unwrap
from typing import Any

import pytest
import torch
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

from resnet_deploy.exporter import export_graph
from resnet_deploy.models.fold import fold_batchnorm
from resnet_deploy.models.registry import build
from resnet_deploy.spec import residual_spec
from tests.support.designs import DESIGNS
from tests.support.traced_once import traced_once

POOLED = residual_spec(DESIGNS["d"], image_size=32)
"""What PyTorch's exporter has to write: a layer is not a plain one."""


@pytest.fixture
def traces(torch_export: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """Give this test a memory of its own; return the modules that are traced for it."""
    traced: list[nn.Module] = []

    def export(module: nn.Module, *args: object, **options: object) -> torch.onnx.ONNXProgram:
        traced.append(module)
        return torch_export(module, *args, **options)  # type: ignore[no-any-return]

    monkeypatch.setattr("torch.onnx.export", traced_once(export))
    return traced


def exported(module: nn.Module, size: int = 32) -> bytes:
    return export_graph(module, image_size=size, opset=18).SerializeToString(deterministic=True)


def test_other_weights_in_a_remembered_graph_give_the_file_that_tracing_gives(
    torch_export: Callable[..., Any], traces: list[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (fold_batchnorm(build(POOLED, seed=seed).eval())[0] for seed in (0, 1))
    remembered = [exported(module) for module in (first, second, first)]
    assert traces == [first]

    monkeypatch.setattr("torch.onnx.export", torch_export)
    monkeypatch.setattr(ONNXRegistry, "from_torchlib", unwrap(ONNXRegistry.from_torchlib))
    assert remembered[0] == remembered[2] == exported(first)
    assert remembered[1] == exported(second) != remembered[0]


class Head(nn.Module):
    """A layer, tied or not, with a constant that is neither parameter nor buffer, and a number."""

    def __init__(self, constant: float = 1.0, slope: float = 0.1, *, tied: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = self.first if tied else nn.Linear(4, 4)
        self.constant = torch.full((4,), constant)
        self.slope = slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, 0, :, 0] * self.constant
        return nn.functional.leaky_relu(self.second(self.first(x)), self.slope)


def test_what_else_differs_is_traced(traces: list[nn.Module]) -> None:
    class Local(Head):
        pass

    other = [Head(), Head(2.0), Head(slope=0.2), Head(tied=True), Local(), Local()]
    for head in (*other, Head(), Head(2.0)):
        exported(head.eval(), 4)
    assert traces == other


def test_tied_weights_are_put_in_at_both_places(
    torch_export: Callable[..., Any], traces: list[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Head(tied=True).eval(), Head(tied=True).eval()
    exported(first, 4)
    remembered = exported(second, 4)
    assert traces == [first]

    monkeypatch.setattr("torch.onnx.export", torch_export)
    assert remembered == exported(second, 4)


def test_another_forward_in_a_class_is_traced(
    traces: list[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    head = Head().eval()
    before = exported(head, 4)
    monkeypatch.setattr(Head, "forward", lambda self, x: self.first(x[:, 0, :, 0]))
    assert exported(head, 4) != before
    assert traces == [head, head]
