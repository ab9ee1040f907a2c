"""What follows from a witness: the contract, the spec and the network that fit its findings."""

from __future__ import annotations

from dataclasses import replace

from resnet_deploy.models.hypotheses import Guess, answers, scalings
from resnet_deploy.models.network import Network
from resnet_deploy.models.trial import rebuilt
from resnet_deploy.results.witness import WitnessReport
from resnet_deploy.spec import ChannelOrder, InputContract, InputOptions, Learned, ModelSpec

ORDER, SCALING = "channel order", "scaling"


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
    contract = network.preprocess
    kept = {q.name for q in report.questions if q.stated}
    open_ones = replace(report, questions=tuple(q for q in report.questions if q.name not in kept))
    told = told_of_pictures(open_ones, contract)
    before = contract.learned
    contract = told.over(contract, Learned.WITNESS)
    if open_ones.winner(SCALING) is None:  # turned round, and as well known as before
        for name in ("range", "mean", "std"):
            if name in before:
                contract = contract.learned_from(before[name], [name])
    spec = told_of_spec(open_ones, network.spec)
    module = network.module if spec == network.spec else rebuilt(network.module)(spec)
    return replace(network, module=module, spec=spec, preprocess=contract)
