"""Several processes that train one network, started by ``torchrun``; gloo, on the CPU.

Every process has a slice of each batch. Gradients are averaged by DistributedDataParallel, and
BatchNorm takes its statistics over the whole batch
(:mod:`resnet_deploy.training.whole_batchnorm`), so that the number of processes does not change
what is learned.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from resnet_deploy.errors import SpecError, ToldError, TrainingError, one_line

_TIMEOUT = timedelta(minutes=10)
_NEEDED = ("RANK", "MASTER_ADDR", "MASTER_PORT")
_FAILURES = "resnet_deploy/failures"
_ADVICE = "start the processes with torchrun, or unset WORLD_SIZE to train in one"


@dataclass(frozen=True)
class Crew:
    """Which process this is of how many, and how many there are on this machine."""

    rank: int = 0
    world: int = 1
    local: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files and talks."""
        return self.rank == 0

    def total(self, *values: float) -> tuple[float, ...]:
        """Return the sums of ``values`` over all processes."""
        if self.world == 1:
            return values
        sums = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(sums)
        return tuple(sums.tolist())

    def check_equal(self, what: str, value: int) -> None:
        """Make sure that all processes have the same ``value``, an integer up to 2**24.

        Raises:
            SpecError: they have not; ``what`` names what they disagree on.
        """
        total, squares = self.total(value, value * value)
        if total != value * self.world or squares != value * value * self.world:
            raise SpecError(
                f"the {self.world} processes see different {what}: --data and -o must name the "
                "same files on every machine"
            )

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace floating-point ``tensors`` by their means over all processes, in place."""
        if self.world == 1:
            return
        chosen = [tensor for tensor in tensors if tensor.is_floating_point()]
        if not chosen:
            return
        flat = torch.cat([tensor.detach().flatten() for tensor in chosen])
        dist.all_reduce(flat)
        flat /= self.world
        parts = torch.split(flat, [tensor.numel() for tensor in chosen])
        for tensor, part in zip(chosen, parts, strict=True):
            tensor.detach().copy_(part.view_as(tensor))

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return ``module`` with averaged gradients."""
        if self.world == 1:
            return module
        return DistributedDataParallel(module)


@contextmanager
def crew_of_environment(environment: Mapping[str, str] = os.environ) -> Iterator[Crew]:
    """Join the processes that ``torchrun`` started; alone where it started none.

    Of several processes the first one to fail tells why; the others fail because of it.

    Raises:
        SpecError: the environment variables are not those that ``torchrun`` sets, or the network
            has parameters without gradients, for which the others would wait.
        TrainingError: another process was lost, or can't be reached.
        ToldError: another process failed before.
    """
    crew = _crew(environment)
    if crew.world == 1:
        yield crew
        return
    store = _join(crew)
    try:
        yield crew
    except BaseException as error:
        if not _is_first(store):
            raise ToldError(f"process {crew.rank} ends as another one failed") from error
        # torchrun may see the loss as well, and its SIGTERM arrive while the error is on its way.
        cause = error.__context__ if isinstance(error, KeyboardInterrupt) else error
        # gloo tells of a closed connection by a plain RuntimeError that names its source file;
        # DistributedDataParallel of idle parameters, at the second step, by another.
        reason = str(cause) if isinstance(cause, RuntimeError) else ""
        if isinstance(cause, dist.DistError) or "gloo" in reason:
            raise TrainingError(
                f"process {crew.rank} of {crew.world} lost another one: the last checkpoint is "
                "whole; --resume continues from it"
            ) from error
        if "finished reduction in the prior" in reason:
            raise SpecError(
                "the network has parameters that its logits do not depend on: several processes "
                "can't train it; set requires_grad = False on them, or train in one process"
            ) from error
        raise
    finally:
        dist.destroy_process_group()


def _crew(environment: Mapping[str, str]) -> Crew:
    world = _number(environment, "WORLD_SIZE", 1)
    if world == 1:
        return Crew()
    for name in _NEEDED:
        if not environment.get(name):
            raise SpecError(f"WORLD_SIZE is {world}, but {name} is not set: {_ADVICE}")
    rank = _number(environment, "RANK", 0)
    local = _number(environment, "LOCAL_WORLD_SIZE", 1)
    if world < 1 or local < 1 or not 0 <= rank < world:
        raise SpecError(
            f"RANK {rank} of WORLD_SIZE {world} (LOCAL_WORLD_SIZE {local}) names no process: "
            f"{_ADVICE}"
        )
    return Crew(rank, world, local)


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise SpecError(f"{name} is {text!r}, not a number: {_ADVICE}") from None


def _join(crew: Crew) -> Store:
    try:
        store: Store
        store, _, _ = next(rendezvous("env://", crew.rank, crew.world, timeout=_TIMEOUT))
        dist.init_process_group(
            "gloo", store=store, rank=crew.rank, world_size=crew.world, timeout=_TIMEOUT
        )
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"process {crew.rank} of {crew.world} can't reach the others ({one_line(error, 160)}): "
            "start as many as torchrun was told to"
        ) from error
    return store


def _is_first(store: Store) -> bool:
    """Return whether no process failed before this one."""
    try:
        failures: int = store.add(_FAILURES, 1)
    except RuntimeError:  # the process that kept the store is gone
        return True
    return failures == 1
