"""A bundle's README: how a picture is prepared, what comes out, where the weights come from."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_deploy.artifact.card import Card
from resnet_deploy.bundles.contract import Contract
from resnet_deploy.bundles.outputs import Output
from resnet_deploy.bundles.rendering import Written, markdown
from resnet_deploy.spec import ChannelOrder, InputContract, OutputKind, ResizeMode
from resnet_deploy.spec.input_words import listed

_OPTIONS = {"size": "image-size"}
"""Of the fields of an input contract that have another name than their option."""

_MOST_NAMED = 8
"""So many outputs a sentence has room for."""


def preparation(spec: InputContract) -> Written:
    """Return how a picture is prepared, for a sentence: "resized so that …"."""
    grey = ["made grey as Pillow's mode L"] if spec.channel_order is ChannelOrder.GREY else []
    order = ["put in the order blue, green, red"] if spec.channel_order is ChannelOrder.BGR else []
    if spec.resize_in_graph:
        said = [*grey, *order, "given to the network in its own size"]
        return Written(", ".join(said) + ": the network resizes and normalises it itself")
    return Written(", ".join([*grey, *_geometry(spec), *order, _values(spec)]))


def _geometry(spec: InputContract) -> list[str]:
    rows, columns = spec.resize
    area = f"{rows}x{columns} pixels"
    if spec.resize_mode is ResizeMode.SQUASH:
        resized = f"squashed to {area}"
    elif spec.resize_mode is ResizeMode.PAD:
        resized = f"resized so that it fits into {area}, on black"
    elif rows == columns:
        resized = f"resized so that its shorter side has {rows} pixels"
    else:
        resized = f"resized so that it covers {area}"
    # Pillow's filters are stretched where they make smaller; nearest is none.
    kind = "nearest" if spec.interpolation == "nearest" else f"{spec.interpolation}, antialiased"
    size = (spec.height, spec.width)
    if spec.resize_mode is not ResizeMode.CROP and size == spec.resize:
        return [f"{resized} ({kind})"]
    return [f"{resized} ({kind})", f"cropped to the {size[0]}x{size[1]} in the middle"]


def _values(spec: InputContract) -> str:
    if not spec.format.is_float:
        return "and its bytes are handed over: the network normalises them itself"
    scaled = "and grey levels become {:g} to {:g}".format(*spec.range)
    if not spec.normalises:
        return scaled
    return f"{scaled}, normalised with mean {listed(spec.mean)} and std {listed(spec.std)}"


def assumption(spec: InputContract) -> Written:
    """Return sentences on what nothing told about the input; empty where all is known."""
    if not spec.assumed:
        return Written()
    names = ", ".join(name.replace("_", " ") for name in spec.assumed)
    options = " ".join(f"--{_OPTIONS.get(name, name).replace('_', '-')}" for name in spec.assumed)
    return Written(
        f"{names}: nothing told them. Where the network was trained otherwise, its answers are "
        f"wrong: make the bundle again with `{options}`."
    )


def role(contract: Contract) -> Written:
    """Return what the code of a bundle is, such as "an image classifier"."""
    if contract.has_classes:
        return Written("an image classifier")
    is_embedding = contract.output_kind is OutputKind.EMBEDDING
    return Written("an image encoder" if is_embedding else "image features")


def title(contract: Contract) -> Written:
    """Return the same for a heading: "An image classifier"."""
    said = role(contract)
    return Written(f"{said[0].upper()}{said[1:]}")


def described_outputs(contract: Contract, outputs: Sequence[Output]) -> Written:
    """Return in Markdown what the network gives: "10 classes", "c2 (64 x 56 x 56) and …"."""
    if contract.has_classes:
        return Written(f"{contract.num_classes} classes")
    named = [
        f"{markdown(output.name)} ({' x '.join(map(str, output.shape))})" for output in outputs
    ]
    if len(named) > _MOST_NAMED:
        named[_MOST_NAMED - 1 :] = [f"{len(named) - _MOST_NAMED + 1} others"]
    return Written(" and ".join([", ".join(named[:-1]), named[-1]]) if named[1:] else named[0])


def weights(card: Card | None) -> Written:
    """Return sentences, in Markdown, on where a bundle's weights come from and their licence."""
    if card is None:
        return Written(
            "The weights are those of a file without a model card: nothing told their source or "
            "their licence. Find out both before you pass them on."
        )
    source, digest = card.weights, card.weights.sha256
    named = markdown(source.file) if source.file else "a file"
    said = {
        "random": f"The weights are random (seed {source.seed}), for tests",
        "factory": "The weights are those that the network's own code returned",
        "imagenet": f"The weights are torchvision's for ImageNet, {named}",
    }.get(source.kind, f"The weights come from {named}")
    if digest:
        said += f" (SHA-256 {markdown(digest)})"
    if card.licence:
        return Written(f"{said}; their licence, as their card states it: {markdown(card.licence)}.")
    if source.kind == "random":
        return Written(f"{said}.")
    return Written(
        f"{said}. Nothing told their licence: find it out before you pass them on, and state it "
        "with `export --licence`."
    )
