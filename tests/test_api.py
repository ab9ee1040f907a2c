"""What the functions of the API say to a source, a name or a number that they can't take."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from resnet_deploy import api
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.errors import SpecError
from resnet_deploy.spec import InputOptions, SessionSpec
from resnet_deploy.spec.deploy import ExportSpec
from tests.support.tiny_model import COLOURS, save_colour_model


@pytest.mark.parametrize("network", [api.load(depth=8), None, 5])
def test_what_is_no_file_is_refused_by_name(network, tmp_path):
    calls = (
        lambda: api.quantize(network),
        lambda: api.verify(network),
        lambda: api.bench(network),
        lambda: api.evaluate(network, tmp_path),
        lambda: api.bundle(network, "cpp", tmp_path),
    )
    for call in calls:
        with pytest.raises(SpecError, match=f"a {type(network).__name__} is none"):
            call()


def test_what_is_no_network_is_refused(tiny_export: Path) -> None:
    for given in ("cifar10", load(tiny_export / "resnet8.onnx")):
        with pytest.raises(SpecError, match="is not a network: export takes what load makes"):
            api.export(given)  # type: ignore[arg-type]


def test_one_name_need_not_be_in_a_list(tiny_export: Path) -> None:
    """A string is a sequence of strings, too: of its letters."""
    fp32 = tiny_export / "resnet8.onnx"
    with pytest.raises(SpecError, match=r"'nothing\.like' matches no layer"):
        api.quantize(fp32, exclude="nothing.like")
    with pytest.raises(SpecError, match="no runner 'fortran'"):
        api.bench(fp32, runner="fortran")
    with pytest.raises(SpecError, match="no ISA 'vax'"):
        api.verify_isa(fp32, "vax")
    with pytest.raises(SpecError, match="'spin' has no value"):
        api.bench(fp32, session_option="spin")


def test_numbers_that_mean_nothing_are_refused(tiny_export: Path) -> None:
    fp32 = tiny_export / "resnet8.onnx"
    with pytest.raises(SpecError, match="threads must be at least 0, not -1"):
        SessionSpec(threads=-1)
    with pytest.raises(SpecError, match="threads must be at least 0, not -1"):
        api.quantize(fp32, threads=-1, no_calibration_cache=True)
    with pytest.raises(SpecError, match="batch_size must be at least 1, not 0"):
        ExportSpec(batch_size=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"mean": (0.5, 0.5)}, "--mean has 2 numbers, and pictures are RGB: give 3"),
        ({"std": (1.0, 0.0, 1.0)}, "--std must be positive, not 0"),
        ({"resize": -1}, "--resize must be at least 1 and at most 8192 pixels, not -1"),
        ({"interpolation": "cubic"}, "'cubic' is unknown: use nearest, box, bilinear"),
    ],
    ids=lambda words: next(iter(words)),
)
def test_preprocessing_that_means_nothing_is_refused(words, message):
    with pytest.raises(SpecError, match=message):
        api.load(depth=8, input_options=InputOptions(**words))


def test_what_may_be_lost_is_a_share(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="above 0 and below 1, not -2"):
        api.compare(tmp_path / "old.json", tmp_path / "new.json", max_regress=-2)


def test_resizing_needs_bytes_and_says_so() -> None:
    with pytest.raises(SpecError, match="add --input uint8-nhwc"):
        api.export(api.load(depth=8), resize_in_graph=True)


def test_nothing_is_written_beside_a_file_that_is_not_saved(tiny_export: Path) -> None:
    """The folder would be gone with the artifact."""
    made = api.quantize(tiny_export / "resnet8.onnx", input="uint8-nhwc")
    with pytest.raises(SpecError, match=r"int8\.onnx is not saved yet: name the folder"):
        api.deploy(made)
    with pytest.raises(SpecError, match=r"int8\.onnx is not saved yet: name the folder"):
        api.tune(made, data=tiny_export, min_agreement=0.9)


def test_ranges_of_synthetic_images_are_not_silent(tiny_export, caplog):
    api.quantize(tiny_export / "resnet8.onnx")
    assert "int8 ranges come from synthetic images" in caplog.text


@pytest.mark.usefixtures("traced_anew")
def test_two_threads_export_at_once() -> None:
    network = api.load(depth=8)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: api.export(network).sha256, range(2)))
    assert made[0] == made[1]


def test_an_onnx_file_says_itself_what_it_is(tiny_export: Path, tmp_path: Path) -> None:
    fp32 = tiny_export / "resnet8.onnx"
    for words in (
        {"depth": 8},
        {"input_options": InputOptions(mean=0.0)},
        {"labels": ["a"]},
        {"licence": "MIT"},
    ):
        with pytest.raises(SpecError, match="says itself what it is"):
            api.load(fp32, **words)
    assert api.load(fp32, seed=3) == load(fp32)


@pytest.mark.parametrize(
    "words",
    [
        {"name": "other"},
        {"int8": False},
        {"output": "softmax"},
        {"batch_size": 2},
        {"opset": 13},
        {"fold": False},
        {"resize_in_graph": True, "input": "uint8-nhwc"},
    ],
    ids=lambda words: next(iter(words)),
)
def test_what_only_a_network_can_become_is_not_ignored(words, tiny_export, tmp_path):
    with pytest.raises(SpecError, match=r"resnet8\.onnx is exported already: drop --name"):
        api.deploy(tiny_export / "resnet8.onnx", tmp_path, verify=False, **words)
    assert list(tmp_path.iterdir()) == []


def test_only_what_was_found_about_a_file_goes_into_its_card(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for colour in COLOURS:
        (data / colour).mkdir(parents=True)
        Image.new("RGB", (9, 9), colour).save(data / colour / "0.png")
    model = save_colour_model(tmp_path / "model.onnx")
    result = api.evaluate(model, data)
    other = replace(model, sha256="another file's")
    with pytest.raises(SpecError, match=r"is not the file that was evaluated: model\.onnx"):
        api.record(other, result, data=data)
    with pytest.raises(SpecError, match="what evaluate and verify_isa found, no ModelSummary"):
        api.record(model, api.summary(model), data=data)  # type: ignore[arg-type]
