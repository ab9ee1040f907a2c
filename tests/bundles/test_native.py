from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import resnet_deploy.bundles.native as native
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.bundles.bundling import pack
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.spec import BundleRuntime, BundleTarget, Overflow


@pytest.fixture(scope="module")
def bundle(tiny_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a file whose name would leave a C string, open a comment, or spell a trigraph."""
    folder = tmp_path_factory.mktemp("native")
    evil = folder / 'a"; int b = 1; *é ??= \\ {{ 7 * 7 }}.onnx'
    shutil.copy(tiny_export / "resnet8.onnx", evil)
    pack(evil, BundleTarget.CPP, folder / "bundle")
    return folder / "bundle"


def test_names_stay_inside_their_strings(bundle):
    text = (bundle / "include/resnet/contract.hpp").read_text()
    (name,) = re.findall(r"/\* name \*/ (.*)", text)
    assert re.fullmatch(r'"([^"\\?{}\n]|\\[0-7]{3})*",', name)
    assert "49" not in name
    decoded = re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), name.encode())
    assert decoded.decode() == '"a"; int b = 1; *é ??= \\ {{ 7 * 7 }}",'


def test_constants_are_those_of_the_manifest(bundle, tiny_contract):
    text = (bundle / "include/resnet/contract.hpp").read_text()
    spec = tiny_contract.preprocess
    for line in (
        f"/* height */ {spec.height},",
        f"/* width */ {spec.width},",
        f"/* rows */ {spec.resize[0]},",
        f"/* columns */ {spec.resize[1]},",
        "ResizeMode::crop,",
        "Interpolation::bilinear,",
        "ChannelOrder::rgb,",
        "Format::float_nchw,",
        "OutputKind::logits,",
        "/* classes */ 10,",
        "/* k */ 0,",
        "/* batch */ 0,",
    ):
        assert f"    {line}\n" in text
    numbers = re.findall(r"static_cast<float>\((.*?)\)", text)
    assert np.array_equal(
        np.array([float(number) for number in numbers], np.float32),
        np.array([255, 0, *spec.mean, *spec.std], np.float32),
    )


def test_headers_include_only_what_is_there(bundle):
    sources = [*(bundle / "include").rglob("*.h*"), *(bundle / "src").iterdir()]
    assert len(sources) > 15
    for file in sources:
        for name in re.findall(r'#include "(.*)"', file.read_text()):
            assert (bundle / "include" / name).is_file(), (file, name)


@pytest.mark.parametrize(
    ("isa", "found"),
    [
        ((), Overflow.UNKNOWN),
        ((), Overflow.POSSIBLE),
        ((), Overflow.NEVER),
        (("x86-avx2",), Overflow.UNKNOWN),
    ],
)
def test_saturation_is_named_where_nothing_rules_it_out(isa, found, tiny_export):
    class Int8:
        precision = "int8"

        class card:  # noqa: N801
            proven_isas = isa
            overflow = found

    ort = Runtime(kind=BundleRuntime.ORT, min_version="1.14", made_with="1.31")
    openvino = replace(ort, kind=BundleRuntime.OPENVINO)
    sentences = native.cpus(Int8, (ort,))  # type: ignore[arg-type]
    never = bool(isa) or found is Overflow.NEVER
    assert ("without VNNI" in sentences) == (not never)
    assert ("as right, but slower, on all others." in sentences) == never
    assert "fast on x86 CPUs with VNNI" in sentences
    assert ("proven on x86-avx2." in sentences) == bool(isa)
    # What was proven was so on ONNX Runtime, and says nothing of OpenVINO.
    sentences = native.cpus(Int8, (openvino,))  # type: ignore[arg-type]
    assert "proven" not in sentences
    saturates = "needs ONNX Runtime and a file exported without --allow-overflow" in sentences
    assert saturates == (found is not Overflow.NEVER)
    assert ("OpenVINO rounds in other places" in sentences) == (not saturates)
    assert native.cpus(load(tiny_export / "resnet8.onnx"), (ort, openvino)) == ""
