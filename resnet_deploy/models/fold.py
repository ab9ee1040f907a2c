"""BatchNorm folded into the convolution before it, and put back.

At inference BatchNorm is an affine map per channel, so that with ``s = gamma / sqrt(var + eps)``

    BN(conv(x; W, b)) = conv(x; s W, s (b - mean) + beta)

(Ioffe and Szegedy, arXiv:1502.03167, and Jacob et al., arXiv:1712.05877, section 3.2). The
product is computed in float64 and rounded once.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnet_deploy.errors import one_line
from resnet_deploy.models.layouts import State
from resnet_deploy.models.resampling import BlurPool2d, MeanPool2d, SameBorder
from resnet_deploy.models.tracing import ONE_AT_A_TIME

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def fold_weights(
    weight: Tensor,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return weight and bias, in float64, of the convolution that includes its BatchNorm.

    Args:
        weight: ``(out_channels, in_channels / groups, *kernel)``.
        bias: ``(out_channels,)``; None is zero.
        mean: running mean, ``(out_channels,)``.
        var: running variance, ``(out_channels,)``.
        eps: added to the variance.
        gamma: scale, ``(out_channels,)``; None is one.
        beta: offset, ``(out_channels,)``; None is zero.
    """
    scale = 1 / torch.sqrt(var.double() + eps)
    if gamma is not None:
        scale = scale * gamma.double()
    shift = -mean.double() if bias is None else bias.double() - mean.double()
    folded_bias = shift * scale
    if beta is not None:
        folded_bias = folded_bias + beta.double()
    folded_weight = weight.double() * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    return folded_weight, folded_bias


def fold_batchnorm(module: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """Return a copy of ``module`` in eval mode without the BatchNorms that could be folded.

    Classes and names stay as they are: a folded BatchNorm becomes an ``nn.Identity``, and the
    convolution before it gains a bias. The second value names every BatchNorm that is left,
    with the reason, such as ``layer1.0.bn1: its convolution feeds 2 consumers``.
    """
    with ONE_AT_A_TIME:  # a module may keep what it computes
        folded = copy.deepcopy(module).eval()
    pairs, left = pair_batchnorms(folded)
    for name, convolution in pairs.items():
        _fold_into(folded.get_submodule(convolution), folded.get_submodule(name))
        folded.set_submodule(name, nn.Identity().eval())
    return folded, left


def pair_batchnorms(module: nn.Module) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return, by the path of each BatchNorm, the path of the convolution it can be folded into.

    The second value names every other BatchNorm, with the reason.
    """
    names = [name for name, child in module.named_modules() if isinstance(child, _BatchNorm)]
    if not names:
        return {}, ()
    try:
        with ONE_AT_A_TIME:
            graph = _Tracer().trace(module)
    except Exception as error:  # tracing runs the module's own code on stand-ins
        reason = one_line(error, 120)
        return {}, tuple(f"{name}: torch.fx can't trace the model ({reason})" for name in names)
    uses = _Uses(module, graph)
    pairs, left = {}, []
    for name in names:
        try:
            pairs[name] = uses.convolution_before(name)
        except _CannotFoldError as error:
            left.append(f"{name}: {error}")
    return pairs, tuple(left)


@dataclass(frozen=True)
class FoldedNorm:
    """A BatchNorm's path, the convolution it was folded into, and its epsilon."""

    path: str
    convolution: str
    eps: float


def folded_norms(module: nn.Module, pairs: Mapping[str, str]) -> tuple[FoldedNorm, ...]:
    """Return the BatchNorms of ``module``; ``pairs`` are those of ``pair_batchnorms``."""
    return tuple(
        FoldedNorm(path, convolution, float(getattr(module.get_submodule(path), "eps")))  # noqa: B009
        for path, convolution in pairs.items()
    )


def unfold(state: State, folded: State, norms: tuple[FoldedNorm, ...]) -> State:
    """Return ``state`` with the weights of ``folded``, such that folding gives these exactly.

    A BatchNorm in evaluation multiplies by ``gamma / sqrt(var + eps)``. With gamma 1 and the
    variance ``1 - eps``, rounded to float32, this factor is 1 to within 2^-26 or so: multiplied in
    float64 and rounded once, as :func:`fold_weights` does, every float32 weight comes back to its
    last bit. The bias becomes beta, and the mean is 0. The statistics are no longer those of the
    layer's input: such a state is for evaluation.

    Args:
        state: of the network with its BatchNorms; its keys stay.
        folded: weights and biases of all convolutions and linear layers, float32.
        norms: what was folded.
    """
    result = {
        key: folded[key].detach().clone() if key in folded else value.clone()
        for key, value in state.items()
    }
    for norm in norms:
        bias = folded[f"{norm.convolution}.bias"].detach()
        mean, variance = f"{norm.path}.running_mean", f"{norm.path}.running_var"
        result[mean] = torch.zeros_like(bias)
        result[variance] = torch.full_like(bias, 1 - norm.eps)
        if f"{norm.path}.weight" in state:
            result[f"{norm.path}.weight"] = torch.ones_like(bias)
            result[f"{norm.path}.bias"] = bias.clone()
        else:  # without an offset of its own, the mean takes it
            result[mean] = -bias
        if f"{norm.convolution}.bias" in state:
            result[f"{norm.convolution}.bias"] = torch.zeros_like(bias)
    return result


class _Tracer(fx.Tracer):
    """Keeps subclasses of BatchNorm and convolutions whole; their code may not be traceable.

    So is code that depends on the size of what it is given.
    """

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        whole = (_BatchNorm, *_CONVOLUTIONS, BlurPool2d, MeanPool2d, SameBorder)
        return isinstance(m, whole) or super().is_leaf_module(m, module_qualified_name)


class _CannotFoldError(Exception):
    """Why one BatchNorm has to stay."""


class _Uses:
    """How often and by whom the parts of a traced module are used."""

    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        self._module = module
        self._calls = {str(node.target): node for node in graph.nodes if node.op == "call_module"}
        # Counted by identity: one module may have two names, one weight two modules.
        self._call_counts = Counter(
            id(module.get_submodule(str(node.target)))
            for node in graph.nodes
            if node.op == "call_module"
        )
        self._owners = Counter(
            id(parameter)
            for child in module.modules()
            for parameter in child.parameters(recurse=False)
        )
        self._read = {str(node.target) for node in graph.nodes if node.op == "get_attr"}

    def convolution_before(self, name: str) -> str:
        """Return the path of the convolution that the BatchNorm at ``name`` can be folded into.

        Raises:
            _CannotFoldError: there is none.
        """
        norm = self._module.get_submodule(name)
        # A subclass may do more than its base, such as apply an activation.
        if type(norm) not in _BATCH_NORMS:
            raise _CannotFoldError(f"{type(norm).__name__} is not a plain BatchNorm")
        assert isinstance(norm, _BatchNorm)
        if norm.running_mean is None or norm.running_var is None:
            raise _CannotFoldError("it keeps no running statistics")
        call = self._calls.get(name)
        if call is None:
            raise _CannotFoldError("it is never called as a module")
        self._check_single_use(norm, name, "it")

        before = call.args[0] if call.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module":
            what = before.target if isinstance(before, fx.Node) else "no tensor"
            name_of_input = getattr(what, "__name__", what)
            raise _CannotFoldError(f"its input is {name_of_input}, not a convolution")
        convolution = self._module.get_submodule(str(before.target))
        if type(convolution) not in _CONVOLUTIONS:
            raise _CannotFoldError(
                f"its input is a {type(convolution).__name__}, not a convolution that it folds into"
            )
        if len(before.users) != 1:
            raise _CannotFoldError(f"its convolution feeds {len(before.users)} consumers")
        self._check_single_use(convolution, str(before.target), "its convolution")
        return str(before.target)

    def _check_single_use(self, child: nn.Module, name: str, what: str) -> None:
        calls = self._call_counts[id(child)]
        if calls != 1:
            raise _CannotFoldError(f"{what} is called {calls} times")
        if child._forward_hooks or child._forward_pre_hooks:
            raise _CannotFoldError(f"{what} has hooks, which may change its weights or values")
        for parameter_name, parameter in child.named_parameters(recurse=False):
            if self._owners[id(parameter)] != 1 or f"{name}.{parameter_name}" in self._read:
                raise _CannotFoldError(f"{what} shares its {parameter_name} with other code")


def _fold_into(convolution: nn.Module, norm: nn.Module) -> None:
    assert isinstance(convolution, _CONVOLUTIONS)
    assert isinstance(norm, _BatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    dtype = convolution.weight.dtype
    with torch.no_grad():
        weight, bias = fold_weights(
            convolution.weight,
            convolution.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        convolution.weight = nn.Parameter(weight.to(dtype))
        convolution.bias = nn.Parameter(bias.to(dtype))
