import pytest
import torch
from torch import nn

from resnet_deploy.training.average import MovingAverage


def net(value: float) -> nn.Module:
    module = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    for tensor in module.state_dict().values():
        tensor.fill_(value)
    return module


def test_late_steps_keep_decay_of_the_old_average() -> None:
    average = MovingAverage(net(0), 0.9)
    average.update(net(1), 1000)
    state = average.module.state_dict()
    assert state["0.weight"].item() == pytest.approx(0.1)
    assert state["1.running_mean"].item() == pytest.approx(0.1)
    assert state["1.num_batches_tracked"].item() == 1


def test_early_steps_forget_the_start() -> None:
    average = MovingAverage(net(0), 0.999)
    average.update(net(1), 1)
    assert average.module.state_dict()["0.weight"].item() == pytest.approx(1 - 2 / 11)


def test_the_average_is_a_copy_that_needs_no_gradient() -> None:
    module = net(0)
    average = MovingAverage(module, 0.9)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(5)
    assert all((parameter == 0).all() for parameter in average.module.parameters())
    assert not any(parameter.requires_grad for parameter in average.module.parameters())
    assert all(parameter.requires_grad for parameter in module.parameters())
