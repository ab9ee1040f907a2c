from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from resnet_deploy.models.batchnorm_statistics import batchnorm_statistics
from resnet_deploy.models.registry import build
from resnet_deploy.spec import resnet_spec


def trained(affine: bool = True) -> tuple[nn.Sequential, torch.Tensor]:
    """Return a convolution, its BatchNorm, and the only batch that this has ever seen."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6, eps=0.1, momentum=None, affine=affine)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), norm, nn.ReLU())
    if affine:
        with torch.no_grad():
            norm.weight.normal_()
            norm.bias.normal_()
    x = torch.randn(8, 3, 16, 16)
    net(x)
    return net.eval(), x


@pytest.mark.parametrize("affine", [True, False])
def test_statistics_are_those_of_the_training_images(affine: bool) -> None:
    net, x = trained(affine)
    with torch.no_grad():
        values = net[1](net[0](x)).transpose(0, 1).flatten(1)
    statistics = batchnorm_statistics(net)
    assert list(statistics) == ["0"]
    found = statistics["0"]
    assert (found.mean.dtype.name, found.std.dtype.name) == ("float32", "float32")
    assert np.allclose(found.mean, values.mean(dim=1), atol=1e-5)
    # The running variance is the unbiased one.
    assert np.allclose(found.std, values.std(dim=1), rtol=1e-3)


def test_every_convolution_of_a_resnet_is_found_by_its_path() -> None:
    net = build(resnet_spec(20), seed=0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    statistics = batchnorm_statistics(net)
    assert set(statistics) == {
        name for name, child in net.named_modules() if isinstance(child, nn.Conv2d)
    }
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_batchnorm_that_was_never_trained_tells_nothing() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.ReLU())
    assert batchnorm_statistics(net) == {}


def test_a_batchnorm_that_cannot_be_folded_is_left_out() -> None:
    net, _ = trained()
    assert batchnorm_statistics(nn.Sequential(nn.ReLU(), net[1])) == {}
