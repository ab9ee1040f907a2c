"""Gradient descent: a step, an epoch, an evaluation, and the state between two steps.

A little long: it is the one class that all of a training's state lives in.
"""

from __future__ import annotations

import copy
import functools
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_deploy.errors import SpecError, TrainingError, one_line
from resnet_deploy.progress import ImageStage, Progress, silent
from resnet_deploy.results.training import Epoch
from resnet_deploy.spec.training import Precision, Recipe
from resnet_deploy.training.average import MovingAverage
from resnet_deploy.training.batches import (
    TrainingBatch,
    evaluation_batches,
    steps_per_epoch,
    training_batches,
)
from resnet_deploy.training.checkpoint import Best, Checkpoint, Position
from resnet_deploy.training.compiling import compiled
from resnet_deploy.training.data import TrainingData
from resnet_deploy.training.distributed import Crew
from resnet_deploy.training.network import TrainableNetwork, parameter_groups, to_train_mode
from resnet_deploy.training.qat import QatNet
from resnet_deploy.training.schedule import learning_rate

_ADVICE = "lower lr, warm up longer, or set clip_norm = 1 in the recipe"
_EVALUATION_BATCH = 250


@dataclass(kw_only=True)
class Training:
    """A network in training: everything between two steps, and how to do the next one.

    Args:
        trainable: the network, in train mode; its module is ``network`` unless ``qat`` wraps it.
        data: training and test images.
        recipe: how to train.
        seed: of the order and the augmentation of the images.
        crew: the processes that share every batch.
        precision: ``float32``, or ``bfloat16`` where PyTorch's autocast thinks it safe.
        qat: the fake-quantized network that is trained in place of the float one.

    Raises:
        SpecError: there are fewer images than one batch has.
    """

    trainable: TrainableNetwork
    data: TrainingData
    recipe: Recipe
    seed: int = 0
    crew: Crew = field(default_factory=Crew)
    precision: Precision = Precision.FLOAT32
    qat: QatNet | None = None
    position: Position = field(default_factory=Position)
    epochs: list[Epoch] = field(default_factory=list)
    best: Best | None = None

    def __post_init__(self) -> None:
        self.steps_per_epoch = steps_per_epoch(self.data.train, self.recipe)
        self.network: nn.Module = self.trainable.module if self.qat is None else self.qat
        if self.recipe.channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        parts = self.trainable.parts if self.qat is None else ((self.qat,),)
        self._trained = replace(self.trainable, module=self.network, parts=parts)
        to_train_mode(self._trained, self.recipe)
        self.optimizer = torch.optim.SGD(
            parameter_groups(self._trained, self.recipe),
            lr=self.recipe.peak_lr,
            momentum=self.recipe.momentum,
            nesterov=self.recipe.nesterov,
        )
        self.average = MovingAverage(self.network, self.recipe.ema) if self.recipe.ema else None
        self._wrapped = self.crew.wrap(self.network)
        if self.recipe.compile:
            self._wrapped = compiled(self._wrapped)

    @property
    def steps(self) -> int:
        """Updates done since the start of the run."""
        return self.position.epoch * self.steps_per_epoch + self.position.step

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.position.epoch >= self.recipe.epochs

    @property
    def evaluated(self) -> nn.Module:
        """The network whose accuracy counts: the moving average, where there is one."""
        return self.network if self.average is None else self.average.module

    @functools.cached_property
    def test_sha256(self) -> str:
        """The fingerprint of the test images, which takes a look at all of them."""
        return self.data.test.dataset.fingerprint()

    def train_epoch(self, after_step: Callable[[], bool], progress: Progress = silent) -> bool:
        """Do what is left of the epoch, and evaluate.

        Args:
            after_step: called between two steps; True asks to stop there.
            progress: told about the evaluation.

        Returns:
            False when ``after_step`` asked to stop in the middle.

        Raises:
            TrainingError: the loss is not finite.
            DatasetError: an image can't be read.
            SpecError: the network can't be trained on such batches.
        """
        position = self.position
        batches = training_batches(
            self.data.train,
            self.recipe,
            seed=self.seed,
            epoch=position.epoch,
            start=position.step,
            rank=self.crew.rank,
            world=self.crew.world,
        )
        with closing(batches):
            while position.step < self.steps_per_epoch:
                start = time.perf_counter()
                batch = next(batches)
                ready = time.perf_counter()
                self._step(batch)
                position.step += 1
                position.waited += ready - start
                position.seconds += time.perf_counter() - start
                if after_step():
                    return False
        self._finish_epoch(progress)
        return True

    def evaluate(self, network: nn.Module, progress: Progress = silent) -> tuple[float, float]:
        """Return mean loss and top-1, as a share, of ``network`` on the test images.

        In float32 whatever the training computes in: this is what the exported file will do. All
        processes must call it; ``network`` is left in eval mode.

        Raises:
            DatasetError: an image can't be read.
        """
        loss = right = count = 0.0
        network.eval()
        batches = evaluation_batches(
            self.data.test,
            batch_size=_EVALUATION_BATCH,
            rank=self.crew.rank,
            world=self.crew.world,
            channels_last=self.recipe.channels_last,
        )
        with torch.no_grad(), closing(batches):
            for batch in batches:
                logits = network(batch.images)
                loss += float(F.cross_entropy(logits, batch.labels, reduction="sum"))
                right += float((logits.argmax(1) == batch.labels).sum())
                count += len(batch.labels)
                progress(ImageStage("testing"), int(count), len(self.data.test) // self.crew.world)
        loss, right, count = self.crew.total(loss, right, count)
        return loss / count, right / count

    def checkpoint(self, settings: dict[str, object], card: str) -> Checkpoint:
        """Return everything that :meth:`restore` needs.

        Raises:
            TrainingError: a weight is not finite, so nothing could go on from here.
        """
        self._check_weights()
        return Checkpoint(
            settings=settings,
            card=card,
            position=replace(self.position),
            network=self.network.state_dict(),
            model=float_state(self.network),
            ema=None if self.average is None else float_state(self.average.module),
            average=None if self.average is None else self.average.module.state_dict(),
            optimizer=self.optimizer.state_dict(),
            best=self.best,
            crew=(torch.get_num_threads(), self.crew.world),
            epochs=list(self.epochs),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to the moment of ``checkpoint``, which fits."""
        self.network.load_state_dict(checkpoint.network)
        # The recipe says how it steps, not the file.
        groups = self.optimizer.state_dict()["param_groups"]
        momentum = checkpoint.optimizer["state"]
        self.optimizer.load_state_dict({"state": momentum, "param_groups": groups})
        if self.average is not None and checkpoint.average is not None:
            self.average.module.load_state_dict(checkpoint.average)
        self.position = replace(checkpoint.position)
        self.best = checkpoint.best
        self.epochs = list(checkpoint.epochs)
        torch.set_rng_state(checkpoint.rng)

    def _step(self, batch: TrainingBatch) -> None:
        rate = learning_rate(self.recipe, self.steps, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        logits = self._logits(batch.images)
        loss = batch.loss(logits, self.recipe.label_smoothing)
        total, right, count = self.crew.total(
            loss.item() * len(batch.labels),
            float((logits.detach().argmax(1) == batch.labels).sum()),
            len(batch.labels),
        )
        if not math.isfinite(total):
            names = [self.data.train.name_of(int(index)) for index in batch.indices[:3]]
            raise TrainingError(
                f"the loss is not finite in epoch {self.position.epoch + 1}, step "
                f"{self.position.step + 1} of {self.steps_per_epoch} (lr {rate:.4g}; the batch "
                f"begins with {', '.join(names)}): what was saved before is whole; {_ADVICE}"
            )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        if not self.recipe.sync_batchnorm:
            self.crew.average(self.network.buffers())
        if self.average is not None:
            self.average.update(self.network, self.steps + 1)
        self.position.loss += total
        self.position.right += right
        self.position.images += int(count)

    def _logits(self, images: Tensor) -> Tensor:
        name, shape = self.trainable.spec.name, tuple(images.shape)
        try:
            with torch.autocast(
                "cpu", torch.bfloat16, enabled=self.precision is Precision.BFLOAT16
            ):
                logits = self._wrapped(images)
        except (RuntimeError, ValueError) as error:
            if self.crew.world > 1 and isinstance(error, RuntimeError):
                raise  # this is how the loss of a process shows
            # BatchNorm refuses a single value per channel; a user's own net refuses anything.
            raise SpecError(
                f"{name} can't be trained on batches of shape {shape} ({one_line(error)}): choose "
                "others, with --batch-size or --image-size"
            ) from error
        wanted = (len(images), self.trainable.spec.num_classes)
        if not isinstance(logits, Tensor) or logits.shape != wanted:
            found = tuple(getattr(logits, "shape", ())) or type(logits).__name__
            raise SpecError(
                f"{name} returns {found} in train mode: it must return logits {wanted} as in eval"
            )
        return logits.float()

    def _finish_epoch(self, progress: Progress) -> None:
        position = self.position
        loss, top1 = self.evaluate(self.evaluated, progress)
        to_train_mode(self._trained, self.recipe)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss on the test images is not finite after epoch {position.epoch + 1}: "
                f"{_ADVICE}"
            )
        self.epochs.append(
            Epoch(
                number=position.epoch + 1,
                steps=self.steps,
                lr=learning_rate(self.recipe, self.steps - 1, self.steps_per_epoch),
                train_loss=position.loss / position.images,
                train_top1=position.right / position.images,
                test_loss=loss,
                test_top1=top1,
                images=position.images,
                seconds=position.seconds,
                waited=position.waited,
            )
        )
        if self.best is None or top1 > self.best.top1:
            state = copy.deepcopy(float_state(self.evaluated))
            self.best = Best(epoch=position.epoch + 1, top1=top1, state=state)
        self.position = Position(epoch=position.epoch + 1)

    def _check_weights(self) -> None:
        # A gradient, or BatchNorm's statistics, may overflow under a finite loss: a checkpoint of
        # the moment before the loss tells would be of no use.
        for name, tensor in self.network.state_dict().items():
            if not bool(torch.isfinite(tensor).all()):
                raise TrainingError(
                    f"{name} is not finite in epoch {self.position.epoch + 1}, after step "
                    f"{self.position.step} of {self.steps_per_epoch}: what was saved before is "
                    f"whole; {_ADVICE}"
                )


def float_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the float weights in ``network``, under torchvision's keys."""
    return network.float_state() if isinstance(network, QatNet) else network.state_dict()
