"""What a training leaves: weights with their card, and the command that deploys them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from resnet_deploy.artifact.card import Accuracy, WeightsSource
from resnet_deploy.artifact.weights_card import OVERFLOW_KEY, WeightsCard
from resnet_deploy.models.registry import build
from resnet_deploy.runners.cpu import versions
from resnet_deploy.spec import Overflow
from resnet_deploy.spec.train_request import TrainRequest
from resnet_deploy.training.folder import BEST_FILE
from resnet_deploy.training.loop import Training, float_state
from resnet_deploy.training.qat import QatNet
from resnet_deploy.training.recipe import to_values
from resnet_deploy.version import __version__
from resnet_deploy.visible import shell_line
from resnet_deploy.weights.weights_file import MODEL_FILE, write_weights

_MAKERS = ("torch", "numpy", "pillow")


def weights_card(training: Training, request: TrainRequest) -> WeightsCard:
    """Return the card of the weights as they are now: without accuracy inside an epoch."""
    data, network = training.data, training.evaluated
    quantized = isinstance(network, QatNet)
    evaluated = training.epochs[-1:] if training.position.step == 0 else ()
    found = tuple(_accuracy(training, epoch.test_top1) for epoch in evaluated)
    loaded = training.trainable.loaded
    new = WeightsSource(kind="factory" if request.model.is_custom else "random", seed=request.seed)
    start = new if loaded is None else loaded.source
    return WeightsCard(
        model=training.trainable.spec,
        preprocess=data.train.preprocess,
        labels=data.classes,
        accuracy=() if quantized else found,
        int8_accuracy=found if quantized else (),
        licence=request.licence,
        recipe=to_values(training.recipe),
        training={
            "data": data.name,
            "data_sha256": data.fingerprint,
            "train_images": len(data.train),
            "test_images": len(data.test),
            "epochs": len(training.epochs),
            "seed": request.seed,
            "precision": training.precision.value,
            "start": asdict(start),
            **({OVERFLOW_KEY: Overflow.NEVER.value} if isinstance(network, QatNet) else {}),
        },
        activation_ranges=network.activation_ranges() if isinstance(network, QatNet) else {},
        versions={"resnet-deploy": __version__, **versions(_MAKERS)},
    )


def write_outcome(
    training: Training, card: WeightsCard, out: Path, *, writes: bool = True
) -> dict[str, Path]:
    """Write the weights of the last epoch, and those of the best one where that was another.

    All processes must call it; the one that ``writes`` does.

    Returns:
        The files by role: ``model``, and ``best``.

    Raises:
        ArtifactError: a file can't be written.
    """
    files = {"model": out / MODEL_FILE}
    state = float_state(training.evaluated)
    if isinstance(training.evaluated, QatNet):
        network = build(training.trainable.spec)
        network.load_state_dict(state)
        _, top1 = training.evaluate(network)
        card = replace(card, accuracy=(_accuracy(training, top1),))
    if not writes:
        return {}
    write_weights(files["model"], state, card)
    best = training.best
    if best is not None and best.epoch != len(training.epochs):
        files["best"] = out / BEST_FILE
        found = (_accuracy(training, best.top1),)
        card = replace(card, training={**card.training, "epochs": best.epoch})
        if card.int8_accuracy:
            card = replace(card, accuracy=(), int8_accuracy=found)
        else:
            card = replace(card, accuracy=found)
        write_weights(files["best"], best.state, card)
    else:
        (out / BEST_FILE).unlink(missing_ok=True)
    return files


def export_command(request: TrainRequest, weights: Path) -> str:
    """Return the command that makes ONNX files of ``weights``."""
    words = ["resnet-deploy", "export", "--weights", str(weights)]
    if request.model.is_custom:
        words += ["--model", str(request.model.model)]
    # The ranges of --qat are in its card; images are for checking the accuracy all the same.
    words += ["--calibration", str(request.data), "-o", str(request.out / "deployed")]
    return shell_line(words)


def _accuracy(training: Training, top1: float) -> Accuracy:
    """Return what ``evaluate`` would record of the same images."""
    test = training.data.test
    return Accuracy(
        data=test.dataset.name,
        samples=len(test),
        top1=round(top1, 6),
        of=len(test.dataset),
        data_sha256=training.test_sha256,
    )
