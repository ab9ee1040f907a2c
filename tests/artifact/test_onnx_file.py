from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from resnet_deploy.artifact.card import Accuracy, Card, Step
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import check_replaceable, load, save
from resnet_deploy.errors import ArtifactError, SpecError
from resnet_deploy.spec.licence import check_licence
from tests.support.cards import card, saved, tiny, tiny_card
from tests.support.contracts import square
from tests.support.graphs import parse
from tests.support.tiny_model import save_colour_model

GOLDEN = Path(__file__).parents[1] / "golden"


def test_a_card_comes_back_as_it_was(tmp_path: Path) -> None:
    artifact = saved(tmp_path)
    again = load(artifact.path)
    assert again == artifact
    assert again.card == tiny_card(min_onnxruntime="1.12")
    assert (again.input.name, again.input.shape, again.precision) == (
        "input",
        (None, 3, 4, 4),
        "fp32",
    )


def test_the_card_in_the_file_is_the_recorded_one() -> None:
    """Files in the field hold this text: reading it must keep working."""
    recorded = (GOLDEN / "card.json").read_text(encoding="utf-8").strip()
    accuracy = Accuracy(data="test", samples=500, of=5000, top1=0.83, data_sha256="cd")
    full = card(accuracy=(accuracy,), proven_isas=("arm64",), licence="MIT", min_onnxruntime="1.12")
    assert full.to_json() == recorded
    assert Card.from_json(recorded) == full


def test_a_card_of_format_3_is_read() -> None:
    """It knew only square images in RGB, and not where anything was learned."""
    recorded = (GOLDEN / "card-format-3.json").read_text(encoding="utf-8").strip()
    assert Card.from_json(recorded).preprocess == card().preprocess
    assert Card.from_json(recorded).preprocess.assumed == ()
    foreign = recorded.replace('"kind": "file"', '"kind": "onnx"')
    assert "mean" in Card.from_json(foreign).preprocess.assumed


@pytest.mark.parametrize("number", [1, 2])
def test_a_card_of_an_older_format_is_read(number: int) -> None:
    """Format 1 is of logits and floats, format 2 has no licence and no record."""
    recorded = (GOLDEN / f"card-format-{number}.json").read_text(encoding="utf-8").strip()
    assert Card.from_json(recorded) == card()


def test_the_isas_of_format_2_are_in_its_verdict() -> None:
    verdict = Step(name="verdict", options={"text": "t", "proven_isas": ["x86-vnni", "arm64"]})
    text = replace(card(steps=(verdict,)), format=2).to_json()
    assert Card.from_json(text).proven_isas == ("arm64", "x86-vnni")


def test_isas_that_fail_later_are_taken_back() -> None:
    proven = card().with_isas(["x86-vnni", "arm64"])
    assert proven.proven_isas == ("arm64", "x86-vnni")
    assert proven.with_isas(["x86-avx2"], ["arm64"]).proven_isas == ("x86-avx2", "x86-vnni")


@pytest.mark.parametrize(
    "text", ["", "MIT", "Apache-2.0", "GPL-2.0-or-later WITH X", "(MIT OR 0BSD) AND LicenseRef-a.b"]
)
def test_licences_are_spdx_expressions(text: str) -> None:
    check_licence(text)


@pytest.mark.parametrize("text", [" ", "MIT OR", "Apache License 2.0", "MIT\n", "MIT, BSD", "©"])
def test_other_licences_are_refused(text: str) -> None:
    with pytest.raises(SpecError, match="is not an SPDX expression"):
        check_licence(text)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (save(tiny(), tmp_path / name, tiny_card()) for name in ("a.onnx", "b.onnx"))
    assert first.sha256 == second.sha256


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no ONNX graph"),
        (b"\xff\xd8\xff\xe0 a jpeg", "not an ONNX file|holds no ONNX graph"),
        (b"PK\x03\x04" + bytes(100), "not an ONNX file|holds no ONNX graph"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=message):
        load(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    path = saved(tmp_path).path
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ArtifactError):
        load(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist"):
        load(tmp_path / "none.onnx")
    with pytest.raises(ArtifactError, match="is not a file"):
        load(tmp_path)


def test_a_card_of_another_format_says_what_to_do() -> None:
    text = card().to_json().replace('"format": 4', '"format": 6')
    with pytest.raises(ArtifactError, match="format 6, this version reads up to 5"):
        Card.from_json(text)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "5", '{"format": 1}', '{"format": 1, "model": 3}']
)
def test_a_damaged_card(text: str) -> None:
    with pytest.raises(ArtifactError, match="damaged"):
        Card.from_json(text)


@pytest.mark.parametrize(
    "location", ["../secret.data", "/etc/hostname", "sub/../../secret.data", "", "..\\secret"]
)
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    model = tiny()
    (tmp_path / "model").mkdir()
    (tmp_path / "secret.data").write_bytes(bytes(1000))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path = tmp_path / "model" / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match="points outside the model's folder"):
        load(path)


def test_external_data_in_the_folder_is_read(tmp_path: Path) -> None:
    model = tiny()
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0])
    path = tmp_path / "m.onnx"
    onnx.save_model(
        model, str(path), save_as_external_data=True, location="m.data", size_threshold=0
    )
    read = onnx.numpy_helper.to_array(read_model(path).graph.initializer[0])
    np.testing.assert_array_equal(read, weights)
    (tmp_path / "m.data").unlink()
    with pytest.raises(ArtifactError, match="second file"):
        read_model(path)


def test_own_files_are_replaced_others_only_by_force(tmp_path: Path) -> None:
    check_replaceable(tmp_path / "new.onnx", force=False)
    check_replaceable(saved(tmp_path).path, force=False)
    foreign = tmp_path / "foreign.onnx"
    onnx.save(tiny(), foreign)
    with pytest.raises(ArtifactError, match="use --force"):
        check_replaceable(foreign, force=False)
    check_replaceable(foreign, force=True)
    with pytest.raises(ArtifactError, match="is a folder"):
        check_replaceable(tmp_path, force=True)


def test_a_model_that_is_no_image_classifier(tmp_path: Path) -> None:
    text = "g (float[N,3] a) => (float[N,3] y) { y = Relu(a) }"
    onnx.save(parse(text), tmp_path / "m.onnx")
    with pytest.raises(ArtifactError, match="takes an input of shape"):
        load(tmp_path / "m.onnx")
    text = "g (float[N,3,2,2] a, float[N,3,2,2] b) => (float[N,3,2,2] y) { y = Add(a, b) }"
    onnx.save(parse(text), tmp_path / "m.onnx")
    with pytest.raises(ArtifactError, match="2 inputs and 1 outputs"):
        load(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"resize": [32, 32]', '"resize": [32, 0]'),
        ('"resize": [32, 32]', '"resize": [32, 2000000]'),
        ('"resize": [32, 32]', '"resize": [32, NaN]'),
        ('"proven_isas": []', '"proven_isas": ["\\ud800"]'),
        ('"proven_isas": []', f'"proven_isas": {"[" * 100_000}'),
    ],
    ids=["nothing", "huge", "nan", "surrogate", "deep"],
)
def test_a_card_of_nonsense_is_refused_in_one_line(old: str, new: str) -> None:
    text = card().to_json()
    assert old in text
    with pytest.raises(ArtifactError, match="the model card is damaged"):
        Card.from_json(text.replace(old, new))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 0), "what type"),
        (lambda m: setattr(m.opset_import[0], "version", 999), "operator set 999"),
        (
            lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[2], "dim_value", 2**31),
            "no picture is as large",
        ),
    ],
    ids=["input", "opset", "size"],
)
def test_what_no_classifier_has_is_one_line(change, message, tmp_path: Path) -> None:
    model = tiny()
    change(model)
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(ArtifactError, match=message) as caught:
        load(tmp_path / "odd.onnx")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "side"),
    [((65536, 3, 512, 512), 512), ((16384, 3, "H", "W"), 64), (("N", 3, "H", "W"), 8192)],
    ids=["a fixed batch", "a batch of what the card says", "the card"],
)
def test_an_input_of_gigabytes_is_refused_before_there_is_one(
    shape: tuple[int | str, ...], side: int, tmp_path: Path
) -> None:
    preprocess = square(side, mean=(0, 0, 0), std=(1, 1, 1))
    with pytest.raises(ArtifactError, match="values at once where 100,000,000 are the most"):
        save_colour_model(tmp_path / "m.onnx", shape=shape, preprocess=preprocess)


def test_an_honest_batch_is_taken(tmp_path: Path) -> None:
    preprocess = square(224, mean=(0, 0, 0), std=(1, 1, 1))
    shape = (512, 3, 224, 224)
    assert save_colour_model(tmp_path / "m.onnx", shape=shape, preprocess=preprocess).input.shape
