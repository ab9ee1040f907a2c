"""The fp32 file that an int8 file is made from: any network, with a card and its input."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.card import Card, WeightsSource
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import make
from resnet_deploy.artifact.output_kind import assumed_output
from resnet_deploy.errors import SpecError, UnsupportedGraphError
from resnet_deploy.fp32_baseline import quiet_session
from resnet_deploy.rewrites.bake_input import bake_input
from resnet_deploy.rewrites.channels_first_input import channels_first_input
from resnet_deploy.runners.base import infer_every
from resnet_deploy.runners.cpu import MAKERS, versions
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import Family, InputFormat, ModelSpec, OutputKind, OutputSpec
from resnet_deploy.version import __version__


def check_source(source: Artifact) -> None:
    """Refuse a file that can't be quantized, before minutes of work on it.

    Raises:
        UnsupportedGraphError: it is int8 already, resizes images itself, or answers in integers.
        RunnerError: ONNX Runtime can't run a foreign file, or it gives no row for each image.
    """
    path = source.path
    if source.quantized:
        raise UnsupportedGraphError(f"{path} is int8 already: give the fp32 file it came from")
    if source.preprocess.resize_in_graph:
        raise UnsupportedGraphError(
            f"{path} resizes images itself: quantize the file that export writes without "
            "--resize-in-graph"
        )
    if source.output.is_integer:
        raise UnsupportedGraphError(
            f"{path} gives {source.output}, and int8 is proved on values by class: export it "
            "without ArgMax, or choose another output with --output-name"
        )
    if source.card is None:
        # What is compared in the end is a row for each image.
        count = source.input.shape[0] or 1
        blank = np.zeros((count, *source.image_shape), source.input.dtype)
        with closing(OrtRunner(source.plain, quiet_session(1))) as runner:
            infer_every(runner, blank)


def with_first_card(source: Artifact) -> Artifact:
    """Return ``source`` with a card: a foreign file gets its first one."""
    return replace(source, card=_card_of(source))


def with_input(source: Artifact, wanted: InputFormat | None) -> Artifact:
    """Return ``source`` with the input ``wanted``, as another file if it has another one.

    Its SHA-256 stays that of ``source``: this is what the int8 file is made from.

    Raises:
        SpecError: bytes can't become another input.
        UnsupportedGraphError: the graph can't be fed bytes.
    """
    card, found = source.card, source.preprocess.format
    assert card is not None, "with_first_card gives one"
    if wanted is None or wanted is found:
        return source
    if not found.is_float or wanted is InputFormat.FLOAT_NHWC:
        raise SpecError(
            f"{source.path} takes {found.value} already: give the float-nchw file for "
            f"--input {wanted.value}"
        )
    contract = replace(card.preprocess, format=wanted)
    baked = (contract.baked_assumption,) if contract.baked_assumption else ()
    card = replace(card, preprocess=contract, assumed=(*card.assumed, *baked))
    graph = read_model(source.plain)
    if found is InputFormat.FLOAT_NHWC:
        graph = channels_first_input(graph)
    graph = bake_input(graph, card.preprocess)
    return replace(make(graph, card, source.path.name), sha256=source.sha256)


def _card_of(source: Artifact) -> Card:
    if source.card is not None:
        return source.card
    kind, last = source.output_kind, source.output.shape[-1] or 0
    if kind is OutputKind.BINARY:
        last = 2
    elif kind is not OutputKind.TOP_K:
        last = source.values or last
    by_name = kind.has_names and kind is not OutputKind.TOP_K
    return Card(
        model=ModelSpec(
            family=Family.CUSTOM,
            num_classes=last if by_name else 0,
            image_size=source.preprocess.side,
            in_channels=source.preprocess.channels,
        ),
        output=OutputSpec(kind=kind, k=(last or 1) if kind is OutputKind.TOP_K else 0),
        labels=source.class_names if source.labels and kind.has_names else (),
        preprocess=source.preprocess,
        weights=WeightsSource(kind="onnx", file=source.path.name, sha256=source.sha256),
        assumed=(assumed_output(kind),) if source.assumed_kind else (),
        versions={"resnet-deploy": __version__, **versions(MAKERS[1:])},
    )
