"""How often the BatchNorm witness is right: a study on small nets of many kinds.

Trains fifty ResNets on CIFAR-10 pictures, each in one thread and half a minute: with zeros on both
sides or behind (option A), projections, plain, with and without a max-pool, with the strides of v1
and v1.5, blurred and averaged halving, TensorFlow's padding, other activations, and fed in a dozen
ways. Then every net is given to the witness as it is and as it would be assumed to be, with 128
pictures of the test set. What counts: no choice is wrong. Pictures of one class, too few pictures
and scalings that nobody knows are tried as well.

Run it as ``python bench/witness.py --data CIFAR`` with the folders ``train`` and ``test`` in CIFAR,
one folder a class. Trained nets are kept in ``--nets``. It prints the margins, writes
``bench/results/witness.json``, and exits with 1 where a choice is wrong.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.batchnorm_witness.hypotheses import (
    ACTIVATIONS,
    WELL_KNOWN,
    Scaling,
    TrainingCrop,
    fed,
)
from resnet_deploy.batchnorm_witness.trial import rebuilt
from resnet_deploy.batchnorm_witness.witness import witness
from resnet_deploy.data.calibration import CalibrationImages, calibration_images
from resnet_deploy.data.datasets import opened
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.models.init import initialize
from resnet_deploy.models.resnet import NetOptions, ResNet
from resnet_deploy.results.witness import Finding, Question, WitnessReport, floor_of, times_worse
from resnet_deploy.spec import (
    BlockKind,
    ChannelOrder,
    Family,
    InputContract,
    InputFormat,
    ModelSpec,
    Padding,
    Pool,
    Shortcut,
    Stem,
    Variant,
    uniform_design,
)
from resnet_deploy.spec.model_request import ModelRequest

RESULT = Path(__file__).parent / "results" / "witness.json"
COMMAND = "python bench/witness.py --data CIFAR"
KNOWN = {scaling.name: scaling for scaling in WELL_KNOWN}
IMAGENET, HALF, UNIT, BYTES, CAFFE, _, CIFAR, _, CLIP = WELL_KNOWN
STRANGE = Scaling("strange", (0.0, 1.0), (0.3, 0.35, 0.55), (0.12, 0.15, 0.1))
OWN = Scaling("own", (0.0, 1.0), (0.42, 0.40, 0.36), (0.33, 0.33, 0.33))
BGR = ChannelOrder.BGR


@dataclass(frozen=True)
class Net:
    """One net of the study: how it is built, fed and trained."""

    name: str
    shortcut: Shortcut = Shortcut.B
    stem: Stem = Stem.CIFAR
    variant: Variant | None = None
    blocks: tuple[int, ...] = (1, 1, 1)
    activation: str = "ReLU"
    scaling: Scaling = IMAGENET
    order: ChannelOrder = ChannelOrder.RGB
    side: int = 32
    plain: bool = False
    crop: TrainingCrop = TrainingCrop.ZEROS
    pool: Pool = Pool.PLAIN
    padding: Padding = Padding.TORCH

    @property
    def spec(self) -> ModelSpec:
        """As the witness sees it; its depth stands for its blocks."""
        bottleneck = self.variant is not None
        return ModelSpec(
            family=Family.IMAGENET if bottleneck or self.stem is Stem.IMAGENET else Family.CIFAR,
            depth=50 if bottleneck else 18,
            num_classes=10,
            image_size=self.side,
            variant=self.variant or Variant.V1_5,
            shortcut=self.shortcut,
            stem=self.stem,
            plain=self.plain,
            pool=self.pool,
            padding=self.padding,
        )

    @property
    def contract(self) -> InputContract:
        """How its pictures are fed."""
        usual = replace(InputContract.for_size(self.side), resize=(self.side, self.side))
        return self.scaling.over(usual, self.order)

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return an untrained net of ``spec``, of the size of this one."""
        bottleneck = self.variant is not None
        kind, base = (BlockKind.BOTTLENECK, 8) if bottleneck else (BlockKind.BASIC, 16)
        return ResNet(
            uniform_design(kind, self.blocks, num_classes=10, base=base),
            NetOptions(
                stem=spec.stem,
                shortcut=spec.shortcut,
                variant=spec.variant,
                plain=spec.plain,
                pool=spec.pool,
                padding=spec.padding,
            ),
        )

    def rebuild(self, state: dict[str, Tensor], spec: ModelSpec) -> nn.Module:
        """Return the net of ``spec`` with the weights ``state``."""
        module = self.build(spec)
        module.load_state_dict(state)
        return module.eval()

    def load(self, state: dict[str, Tensor]) -> nn.Module:
        """Return the trained net."""
        return with_activation(self.rebuild(state, self.spec), self.activation)


A, END, B = Shortcut.A, Shortcut.A_END, Shortcut.B
POOL, V1, V15 = Stem.CIFAR_POOL, Variant.V1, Variant.V1_5
WHOLE, BLACK = TrainingCrop.NONE, TrainingCrop.BLACK
BLUR, AVG, TF = Pool.BLUR, Pool.AVG, Padding.TF
FOUR = (1, 1, 1, 1)
large: Callable[..., Net] = partial(Net, blocks=FOUR, stem=Stem.IMAGENET, side=64)
NETS = (
    Net("a-imagenet", A),
    Net("aend-imagenet", END),
    Net("b-imagenet"),
    Net("a-half", A, scaling=HALF),
    Net("aend-unit", END, scaling=UNIT),
    Net("b-raw", scaling=BYTES),
    Net("a-caffe", A, scaling=CAFFE, order=BGR),
    Net("aend-bgr", END, order=BGR),
    Net("a-cifar", A, scaling=CIFAR),
    Net("a-clip", A, scaling=CLIP, crop=WHOLE),
    Net("a-pool", A, POOL),
    Net("b-pool-half", B, POOL, scaling=HALF),
    Net("aend-pool-bgr", END, POOL, scaling=UNIT, order=BGR),
    Net("v15", variant=V15),
    Net("v1", variant=V1),
    Net("v1-caffe", variant=V1, scaling=CAFFE, order=BGR),
    Net("v15-pool", B, POOL, V15),
    Net("v1-pool-half", B, POOL, V1, scaling=HALF),
    Net("v15-unit-noaug", variant=V15, scaling=UNIT, crop=WHOLE),
    Net("a-relu6", A, activation="ReLU6"),
    Net("b-silu", activation="SiLU"),
    Net("a-leaky", A, activation="LeakyReLU 0.1", scaling=CIFAR),
    Net("b-leaky01", activation="LeakyReLU 0.01"),
    Net("a14-imagenet", A, blocks=(2, 2, 2)),
    Net("aend14-bgr-half", END, blocks=(2, 2, 2), scaling=HALF, order=BGR),
    large("i18-imagenet"),
    large("i18-caffe", scaling=CAFFE, order=BGR),
    large("i50-v1", variant=V1, scaling=CAFFE, order=BGR),
    large("i50-v15", variant=V15, scaling=HALF),
    Net("a-raw-noaug", A, scaling=BYTES, crop=WHOLE),
    Net("aend-noaug", END, crop=WHOLE),
    Net("a-black", A, crop=BLACK),
    Net("b-half-black", scaling=HALF, crop=BLACK),
    Net("aend-bgr-black", END, order=BGR, crop=BLACK),
    Net("plain", A, plain=True),
    Net("b-gelu", activation="GELU", scaling=HALF),
    Net("a-blur", A, pool=BLUR),
    Net("b-avg", pool=AVG, scaling=CIFAR),
    Net("v15-blur-pool", B, POOL, V15, pool=BLUR),
    Net("v1-avg", variant=V1, pool=AVG),
    large("i18-avg", pool=AVG, scaling=HALF),
    large("i50-blur", variant=V15, pool=BLUR),
    Net("a-tf", A, padding=TF),
    Net("v15-tf", variant=V15, padding=TF, scaling=HALF),
    large("i18-tf", padding=TF, scaling=CAFFE, order=BGR),
    large("i50-tf", variant=V15, padding=TF, scaling=HALF),
    Net("a-strange", A, scaling=STRANGE),
    Net("b-strange-bgr", scaling=STRANGE, order=BGR),
    Net("a-own", A, scaling=OWN),
    Net("b-own-bgr", scaling=OWN, order=BGR, crop=BLACK),
)


def with_activation(module: nn.Module, name: str) -> nn.Module:
    """Put an activation in the place of every ReLU."""
    for parent in list(module.modules()):
        for child_name, child in list(parent.named_children()):
            if type(child) is nn.ReLU:
                parent.add_module(child_name, ACTIVATIONS[name]())
    return module


def pixels_of(folder: Path, count: int) -> tuple[Tensor, Tensor]:
    """Return pictures, uint8 ``(N, 3, 32, 32)``, and their classes."""
    dataset = opened(folder, train=True)
    plain = replace(InputContract.for_size(32), format=InputFormat.UINT8_NCHW)
    images = calibration_images(dataset, plain, samples=count)
    labels = [dataset.label(index) for index in images.indices]
    return torch.cat([torch.from_numpy(batch) for batch in images]), torch.tensor(labels)


def train(net: Net, pixels: Tensor, labels: Tensor, *, epochs: int) -> nn.Module:
    """Train for a few epochs with one cycle of the rate, SGD, and the net's own crops and flips."""
    torch.manual_seed(0)
    chance, size = random.Random(0), 64
    module = with_activation(net.build(net.spec), net.activation)
    initialize(module, 0)
    module.train()
    steps = epochs * (len(pixels) // size)
    optimizer = torch.optim.SGD(
        module.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(pixels))
        for start in range(0, len(pixels) - size + 1, size):
            chosen = order[start : start + size]
            x = cropped(net, pixels[chosen], chance)
            loss = F.cross_entropy(module(x), labels[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return module.eval()


def cropped(net: Net, pixels: Tensor, chance: random.Random) -> Tensor:
    """Return a batch of inputs, cropped as ``net`` wants it, the same for the whole batch."""
    down, right, flipped = chance.randrange(9), chance.randrange(9), chance.random() < 0.5
    window = (..., slice(down, down + 32), slice(right, right + 32))
    if net.crop is TrainingCrop.BLACK:
        pixels = F.pad(pixels, (4, 4, 4, 4))[window]
    x = fed(pixels, net.contract, TrainingCrop.NONE)
    if net.crop is TrainingCrop.ZEROS:
        x = F.pad(x, (4, 4, 4, 4))[window]
    if net.crop is not TrainingCrop.NONE and flipped:
        x = x.flip(3)
    if net.side != 32:
        x = F.interpolate(x, size=net.side, mode="bilinear", align_corners=False)
    return x


def trained(net: Net, given: argparse.Namespace) -> dict[str, Tensor]:
    """Return the weights of ``net``, trained now or in an earlier run."""
    path = given.nets / f"{net.name}.pt"
    if not path.exists():
        started = time.perf_counter()
        data = training_pictures(given.data / "train", given.train)
        torch.save(train(net, *data, epochs=given.epochs).state_dict(), path)
        print(f"trained {net.name} in {time.perf_counter() - started:.0f} s", flush=True)
    state: dict[str, Tensor] = torch.load(path, weights_only=True)
    return state


@dataclass(frozen=True)
class Case:
    """One question about one net, on one set of pictures."""

    net: str
    pictures: str
    held: str
    truth: str
    question: Question
    alike: bool

    @property
    def outcome(self) -> str:
        """``right``, ``undecided``, or ``wrong``: another than the true answer was chosen, or the
        true one contradicted."""
        chosen = self.question.winner
        if chosen is not None:
            return "right" if chosen == self.truth else "wrong"
        against_truth = self.question.held == self.truth
        if against_truth and self.question.finding is Finding.CONTRADICTED:
            return "wrong"
        return "undecided"

    @property
    def leaning(self) -> float:
        """How many times worse the best wrong answer fits than the true one; below 1: better."""
        known = {c.name: c.divergences for c in self.question.candidates}
        if self.truth not in known:
            return float("nan")
        return min(
            times_worse(known[self.truth], values, floor_of(self.question.pictures))
            for name, values in known.items()
            if name != self.truth
        )


def truths(net: Net) -> dict[str, str]:
    """Return the true answers."""
    known = net.scaling.name in KNOWN
    return {
        "channel order": net.order.value,
        "scaling": net.scaling.name if known else "none of them",
        "stem": net.stem.value,
        "shortcut": "none" if net.plain else net.shortcut.value,
        "variant": "" if net.variant is None else net.variant.value,
        "activation": net.activation,
        "pool": net.pool.value,
        "padding": net.padding.value,
    }


def judged(
    net: Net, state: dict[str, Tensor], images: CalibrationImages, pictures: str, held: str
) -> tuple[WitnessReport, list[Case]]:
    """Ask about one net, as it is (``truth``) or as it would be assumed to be (``assumed``)."""
    contract, spec = net.contract, net.spec
    if held == "assumed":
        contract = IMAGENET.over(contract, ChannelOrder.RGB).as_assumed()
        stem = Stem.IMAGENET if net.stem is Stem.IMAGENET else Stem.CIFAR
        shortcut = B if net.shortcut is B else A
        spec = replace(
            spec,
            stem=stem,
            shortcut=shortcut,
            variant=V15,
            plain=False,
            pool=Pool.PLAIN,
            padding=Padding.TORCH,
        )
    report = witness(
        net.rebuild(state, spec),
        replace(images, preprocess=contract),
        contract,
        spec,
        name=net.name,
        rebuild=partial(net.rebuild, state),
    )
    return report, cases_of(report, truths(net), pictures, held)


def cases_of(report: WitnessReport, true: dict[str, str], pictures: str, held: str) -> list[Case]:
    """Return the questions of ``report`` with their true answers."""
    if held == "truth":  # a scaling that nobody knows has a name of its own then
        true = {**true, **{q.name: q.held for q in report.questions if q.name == "scaling"}}
    return [
        Case(report.model, pictures, held, true[q.name], q, report.alike) for q in report.questions
    ]


def published(
    weights: str, images: CalibrationImages, pictures: str, held: str
) -> tuple[WitnessReport, list[Case]]:
    """Ask about a published ResNet of He et al., as it is or as all wrong."""
    network = resolve(ModelRequest(), weights)
    contract, spec, module = network.preprocess, network.spec, network.module
    if held == "assumed":
        contract = HALF.over(contract, BGR).as_assumed()
        spec = replace(spec, shortcut=END, stem=POOL)
        module = rebuilt(module)(spec)
    images = replace(images, preprocess=contract)
    report = witness(module, images, contract, spec, name=Path(weights).name)
    true = truths(Net(report.model, Shortcut.A))
    return report, cases_of(report, true, pictures, held)


def sets_of_pictures(data: Path) -> Iterator[tuple[str, Path, int]]:
    """Yield the name of a set of pictures, its folder, and how many to take."""
    test = data / "test"
    yield "128", test, 128
    yield "16", test, 16
    for name in sorted(path.name for path in test.iterdir())[::6]:
        yield f"128 of {name}", test / name, 128


def summary(cases: list[Case]) -> list[dict[str, Any]]:
    """Return, by set of pictures and question, what came out, and the margins."""
    rows = []
    for pictures in dict.fromkeys(case.pictures for case in cases):
        for name in dict.fromkeys(case.question.name for case in cases):
            some = [c for c in cases if c.pictures == pictures and c.question.name == name]
            if not some:
                continue
            counted = Counter(case.outcome for case in some)
            right = sorted(c.question.margin for c in some if c.outcome == "right")
            leaning = sorted(c.leaning for c in some if c.leaning == c.leaning)
            rows.append(
                {
                    "pictures": pictures,
                    "question": name,
                    "cases": len(some),
                    "right": counted["right"],
                    "undecided": counted["undecided"],
                    "wrong": counted["wrong"],
                    "least right margin": right[0] if right else None,
                    "median right margin": statistics.median(right) if right else None,
                    "largest lean to a wrong answer": max(1 / leaning[0], 1.0) if leaning else None,
                }
            )
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    table = Table(*rows[0], title="The BatchNorm witness")
    for row in rows:
        table.add_row(
            *(f"{v:.2f}" if isinstance(v, float) else str(v or "-") for v in row.values())
        )
    Console(width=150).print(table)


@functools.cache
def training_pictures(folder: Path, count: int) -> tuple[Tensor, Tensor]:
    """Return what nets are trained on, read once in each process."""
    return pixels_of(folder, count)


def interview(given: argparse.Namespace, subject: Net | str) -> tuple[str, list[Case], list[float]]:
    """Ask one net on every set of pictures; return what to print, the cases, and CPU seconds."""
    torch.set_num_threads(1)
    if isinstance(subject, Net):
        contract = subject.contract
        ask = partial(judged, subject, trained(subject, given))
    else:
        contract = InputContract.for_size(32)
        ask = partial(published, subject)
    lines, cases, seconds = [], [], []
    for name, folder, count in sets_of_pictures(given.data):
        images = calibration_images(folder, contract, samples=count, seed=1)
        for held in ("truth", "assumed") if name == "128" else ("assumed",):
            started = time.process_time()
            report, found = ask(images, name, held)
            seconds.append(time.process_time() - started)
            cases += found
            first, middle = report.divergences[:3], statistics.median(report.divergences)
            lines.append(
                f"{report.model}, {name}, {held}: first {statistics.fmean(first):.4f} median "
                f"{middle:.4f} alike {report.alike}, {report.crop}, {seconds[-1]:.1f} s"
            )
            for case in found:
                figures = f"{case.outcome} {case.leaning:.2f} {case.question.margin:.2f}"
                lines.append(f"  {figures}  {case.question.sentence}")
    return "\n".join(lines), cases, seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and test/")
    parser.add_argument("--nets", type=Path, default=Path("bench/.witness"), help="trained nets")
    parser.add_argument("--train", type=int, default=5000, help="pictures to train on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--checkpoints", nargs="*", default=[], help="published CIFAR ResNets")
    parser.add_argument("--only", nargs="*", help="nets to judge; by default all")
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    given = parser.parse_args()
    given.nets.mkdir(parents=True, exist_ok=True)
    subjects: list[Net | str] = [net for net in NETS if not given.only or net.name in given.only]
    if not given.only:
        subjects += ["cifar10", *given.checkpoints]
    cases: list[Case] = []
    seconds: list[float] = []
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        for text, found, took in pool.imap(partial(interview, given), subjects):
            cases += found
            seconds += took
            if given.verbose:
                print(text, flush=True)
    rows = summary(cases)
    show(rows)
    if not given.only:
        record = {
            "command": COMMAND,
            "nets": len(subjects),
            "median_cpu_seconds": statistics.median(seconds),
            "rows": rows,
        }
        write_atomically(RESULT, (json.dumps(record, indent=1) + "\n").encode())
    return int(any(row["wrong"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
