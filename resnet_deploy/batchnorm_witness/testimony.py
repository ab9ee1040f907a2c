"""What follows from a witness: the contract, the spec and the network that fit its findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import onnx
from torch import nn

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.batchnorm_witness.hypotheses import BYTES, Guess, answers, scalings
from resnet_deploy.batchnorm_witness.trial import rebuilt
from resnet_deploy.batchnorm_witness.witness import witness
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.interpreter.module import module_from_onnx
from resnet_deploy.models.network import Network
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results.witness import WitnessReport
from resnet_deploy.spec import (
    ChannelOrder,
    InputContract,
    InputFormat,
    InputOptions,
    Learned,
    ModelSpec,
)

ORDER, SCALING = "channel order", "scaling"


def ask_network(
    network: Network,
    images: CalibrationImages,
    *,
    stated: frozenset[str] = frozenset(),
    progress: Progress = silent,
) -> WitnessReport:
    """Return what the BatchNorms of ``network`` say of its contract and spec.

    The other arguments are those of :func:`resnet_deploy.batchnorm_witness.witness.witness`.

    Raises:
        SpecError: the net can't run on these pictures.
        DatasetError: a picture can't be read.
    """
    name = network.source.file or network.spec.name
    if network.source.kind == "random":
        return _silent(name, images, "random weights remember no training")
    # The module takes floats, whatever the file that is made of it will take.
    contract = replace(network.preprocess, format=InputFormat.FLOAT_NCHW)
    return witness(
        network.module, images, contract, network.spec, name=name, stated=stated, progress=progress
    )


def ask_file(
    artifact: Artifact,
    images: CalibrationImages,
    *,
    simplify: Callable[[onnx.ModelProto], onnx.ModelProto],
    progress: Progress = silent,
) -> WitnessReport:
    """Return what the BatchNormalization nodes of an ONNX file say of its contract.

    Of a file that takes bytes they say whether it normalises as it was trained. ``simplify`` is
    for graphs that can't be rebuilt as they are; it must leave the BatchNormalizations alone.

    Raises:
        SpecError: the net can't run on these pictures.
        DatasetError: a picture can't be read.
        ArtifactError: the file can't be read.
    """
    model, name = read_model(artifact.plain), artifact.path.name
    if not any(node.op_type == "BatchNormalization" for node in model.graph.node):
        return _silent(name, images, "its BatchNorms are folded: ask its checkpoint")
    try:
        module = _module(model, simplify)
    except UnsupportedGraphError as error:
        return _silent(name, images, str(error))
    contract = artifact.preprocess
    if contract.format is InputFormat.UINT8_S2D:
        return _silent(name, images, "it takes blocks of pixels: ask its checkpoint")
    if contract.channel_order is ChannelOrder.BANDS:
        return _silent(name, images, "it takes bands, and these are not pictures")
    if not contract.format.is_float:
        count = contract.channels
        contract = replace(contract, range=BYTES, mean=(0.0,) * count, std=(1.0,) * count)
    return witness(module, images, contract, name=name, progress=progress)


def _module(
    model: onnx.ModelProto, simplify: Callable[[onnx.ModelProto], onnx.ModelProto]
) -> nn.Module:
    """Return ``model`` in PyTorch; the sums of shapes that exporters leave in it are done first."""
    try:
        return module_from_onnx(model)
    except UnsupportedGraphError:
        return module_from_onnx(simplify(model))


def _silent(name: str, images: CalibrationImages, why: str) -> WitnessReport:
    return WitnessReport(model=name, data=images.name, pictures=len(images), silent=why)


def told_of_pictures(report: WitnessReport, contract: InputContract) -> InputOptions:
    """Return what ``report``, made for ``contract``, clearly says of how pictures are fed.

    With another channel order, mean and std turn round as well. What is not clear is None.
    """
    order, scaling = report.winner(ORDER), report.winner(SCALING)
    options = InputOptions(channel_order=order)
    turned = order is not None and order != contract.channel_order.value
    if scaling is None and not turned:
        return options
    known = scalings(contract)
    name = scaling or next(iter(known))
    found = known[name].over(contract, ChannelOrder(order or contract.channel_order))
    return replace(options, range=found.range, mean=found.mean, std=found.std)


def told_of_file(artifact: Artifact, report: WitnessReport) -> InputContract:
    """Return the contract of ``artifact`` as ``report`` clearly says, where it was assumed."""
    return _contract(artifact.preprocess, report)


def told_of_spec(report: WitnessReport, spec: ModelSpec) -> ModelSpec:
    """Return ``spec`` as ``report`` clearly says that the net is built; else as it is."""
    for question in answers(Guess(spec)):
        winner = report.winner(question)
        if winner is not None and question != "activation":
            spec = answers(Guess(spec))[question][winner].spec
    return spec


def as_told(network: Network, report: WitnessReport) -> Network:
    """Return ``network`` as ``report``, made for it, clearly says that it is fed and built.

    That is where it was assumed. What somebody stated stays: of a contradiction its user decides.
    """
    contract = _contract(network.preprocess, report)
    spec = told_of_spec(_about_open(report), network.spec)
    module = network.module if spec == network.spec else rebuilt(network.module)(spec)
    return replace(network, module=module, spec=spec, preprocess=contract)


def _about_open(report: WitnessReport) -> WitnessReport:
    """Return ``report`` without the questions whose answers somebody stated."""
    return replace(report, questions=tuple(q for q in report.questions if not q.stated))


def _contract(contract: InputContract, report: WitnessReport) -> InputContract:
    open_ones = _about_open(report)
    before = contract.learned
    contract = told_of_pictures(open_ones, contract).over(contract, Learned.WITNESS)
    if open_ones.winner(SCALING) is None:  # turned round, and as well known as before
        for name in ("range", "mean", "std"):
            if name in before:
                contract = contract.learned_from(before[name], [name])
    return contract
