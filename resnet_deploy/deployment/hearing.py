"""BatchNorm is heard before anything is made: how pictures are fed, how the net is built."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec

import onnx

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.told import as_contract
from resnet_deploy.data.calibration import calibration_images
from resnet_deploy.data.datasets import Data
from resnet_deploy.models.network import Network
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results import Finding, WitnessReport
from resnet_deploy.simplify import simplify
from resnet_deploy.spec import Learned

_PICTURES, _SMALL_PICTURES = 128, 512
"""Of nets for small pictures more are needed to tell the channel order, and cheap."""

_SMALL = 64 * 64

_FALLIBLE = (Learned.ASSUMED, Learned.OPTION, Learned.CONFIG)
_OF_VALUES = ("channel_order", "range", "mean", "std")

_NOT_BUILT = "activation"
"""What can be told, and not be built."""

_STRUCTURE = ("shortcut", "stem", "variant", "pool", "padding", _NOT_BUILT)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A network or a file, fed and built as the witness clearly says where it was assumed.

    ``report`` is None where nobody could be asked.
    """

    source: Network | Artifact
    report: WitnessReport | None = None

    @property
    def contradicted(self) -> bool:
        """Whether something does not fit that was stated, or that nothing clearly better is for."""
        if self.report is None:
            return False
        return any(
            q.stated or q.winner is None or q.name == _NOT_BUILT for q in self.report.contradicted
        )

    @property
    def artifact(self) -> Artifact:
        """The file that was asked."""
        assert isinstance(self.source, Artifact), "the caller asked a file"
        return self.source

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is assumed of a file's pictures still, and what is contradicted."""
        contract, report = self.source.preprocess, self.report
        found = []
        if contract.assumed and isinstance(self.source, Artifact):
            found.append(contract.assumption(self.source.path.name))
        if self.contradicted and report is not None:
            found.append(f"BatchNorm contradicts {report.reason}")
        return tuple(found)

    @property
    def facts(self) -> dict[str, object]:
        """The findings, for the card."""
        report = self.report
        assert report is not None, "the caller looked"
        return {
            "data": report.data,
            "pictures": report.pictures,
            "findings": {q.name: q.winner or Finding.UNDECIDED.value for q in report.questions},
            "margins": {q.name: float(f"{q.margin:.3g}") for q in report.questions},
        }


def hear(
    source: Network | Artifact,
    pictures: Data | None,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> Heard:
    """Ask the BatchNorms of ``source`` on real ``pictures``, if there are both.

    Raises:
        DatasetError: the pictures can't be read.
    """
    if pictures is None or not may_know(source):
        return Heard(source=source)
    from resnet_deploy.batchnorm_witness.testimony import (
        as_told,
        ask_file,
        ask_network,
        told_of_file,
    )

    contract = source.preprocess
    samples = _SMALL_PICTURES if contract.pixels <= _SMALL else _PICTURES
    images = calibration_images(pictures, contract, samples=samples, seed=seed)
    if isinstance(source, Artifact):
        report = ask_file(source, images, simplify=unfolded, progress=progress)
        if report.silent:
            return Heard(source=source)
        return Heard(source=as_contract(source, told_of_file(source, report)), report=report)
    stated = frozenset(_STRUCTURE) - source.assumed.keys()
    report = ask_network(source, images, stated=stated, progress=progress)
    if report.silent:
        return Heard(source=source)
    told = as_told(source, report)
    settled = {q.name for q in report.questions if q.winner is not None}
    assumed = {name: said for name, said in source.assumed.items() if name not in settled}
    return Heard(source=replace(told, assumed=assumed), report=report)


def unfolded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return ``model`` simplified, with its BatchNormalizations."""
    return simplify(model, fold_batchnorm=False)[0]


def may_know(source: Network | Artifact) -> bool:
    """Whether there can be BatchNorms that remember, and something that they are asked about.

    What a card or a published file's hash says needs no witness, and asking a ResNet-50 takes a
    minute.
    """
    learned = source.preprocess.learned
    if isinstance(source, Network):
        told = any(learned.get(field) in _FALLIBLE for field in _OF_VALUES)
        return source.source.kind != "random" and (told or bool(source.assumed))
    if source.quantized or source.card is not None or find_spec("torch") is None:
        return False
    # Before torch is imported: most files have them folded.
    nodes = read_model(source.plain).graph.node
    return any(node.op_type == "BatchNormalization" for node in nodes)
