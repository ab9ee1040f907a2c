"""What a bundle says of the licences of its code, its weights and what it ships."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from pathlib import Path

import pytest

from resnet_deploy.artifact.card import WeightsSource
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.bundles.contract import Contract
from resnet_deploy.bundles.kit import Kit, Network
from resnet_deploy.bundles.licences import licence_files
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.bundles.wording import weights
from resnet_deploy.spec import BundleRuntime, BundleTarget
from tests.support.requirements import ROOT


def runtime(kind: BundleRuntime) -> Runtime:
    return Runtime(kind=kind, min_version="1.20", made_with="1.31.1")


@pytest.fixture(scope="module")
def kit(tiny_export: Path, tiny_contract: Contract) -> Kit:
    """Of the tiny network on both runtimes, without cases."""
    network = Network(
        file="model.onnx",
        data=b"",
        artifact=load(tiny_export / "resnet8.onnx"),
        runtimes=(runtime(BundleRuntime.OPENVINO), runtime(BundleRuntime.ORT)),
        answers=((), ()),
        tolerances=(0.0, 0.0),
    )
    return Kit(
        target=BundleTarget.CPP,
        contract=tiny_contract,
        networks=(network,),
        cases=(),
        min_onnxruntime="1.20",
        max_onnxruntime="1.31.1",
    )


def on_onnxruntime(kit: Kit, target: BundleTarget) -> Kit:
    network = replace(kit.network, runtimes=kit.runtimes[1:], answers=((),), tolerances=(0.0,))
    return replace(kit, target=target, networks=(network,))


@pytest.mark.parametrize("target", BundleTarget)
def test_every_bundle_has_its_licence_and_those_of_others(kit, target):
    files = licence_files(on_onnxruntime(kit, target))
    assert files["LICENSE"] == (ROOT / "LICENSE").read_bytes()
    text = files["THIRD_PARTY_LICENSES"].decode()
    assert "MIT-CMU License" in text
    assert "Copyright (c) Microsoft Corporation" in text
    # Whoever ships the bundle ships ONNX Runtime, except for the server.
    shipped = target is not BundleTarget.TRITON
    assert ("THIRD PARTY SOFTWARE NOTICES AND INFORMATION" in text) == shipped
    assert ("libjpeg-turbo" in text.partition("=" * 80)[0]) == (target is BundleTarget.CPP)
    assert "OpenVINO" not in text.partition("=" * 80)[0]
    assert ("sharp" in text.partition("=" * 80)[0]) == (target is BundleTarget.NODE)


def test_openvino_brings_the_notices_on_what_is_inside(kit):
    text = licence_files(kit)["THIRD_PARTY_LICENSES"].decode()
    for name in (
        "oneAPI Deep Neural Network Library",
        "Portable Hardware Locality",
        "ONNX Runtime",
    ):
        assert name in text


def test_notices_that_are_not_installed_are_named(kit, monkeypatch):
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    text = licence_files(kit)["THIRD_PARTY_LICENSES"].decode()
    assert "ThirdPartyNotices.txt of release 1.31.1: https://" in text
    assert "folder licensing of https://" in text


def test_weights_are_named_with_what_is_known_of_them(kit):
    card = kit.network.artifact.card
    assert card is not None

    def said(licence: str, **source: object) -> str:
        return weights(replace(card, licence=licence, weights=WeightsSource(**source)))  # type: ignore[arg-type]

    assert "nothing told their source or their licence" in weights(None)
    assert "`export --licence`" in said("", kind="file", file="mine.pth", sha256="ab" * 32)
    stated = said("CC-BY-4.0", kind="imagenet", file="resnet50-11ad3fa6.pth", sha256="cd" * 32)
    assert "torchvision's for ImageNet, resnet50-11ad3fa6.pth (SHA-256 cdcd" in stated
    assert stated.endswith("as their card states it: CC-BY-4.0.")
    hostile = said("MIT", kind="file", file="`a`\n# [x](y) <b>")
    assert hostile == (
        "The weights come from &#96;a&#96; &#35; &#91;x&#93;(y) &#60;b&#62;; their licence, as "
        "their card states it: MIT."
    )
