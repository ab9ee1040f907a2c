"""Configs of strangers get one clear line, whatever they hold."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.errors import CheckpointError
from resnet_deploy.loading.config_file import Fields, read_config
from resnet_deploy.loading.hub_config import read_hub_config
from resnet_deploy.loading.preprocessor_config import preprocessor_beside
from resnet_deploy.spec import InputContract, Learned
from tests.support.world import no_hang


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1, 2]",
        b"null",
        b"\xff\xfe{}",
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"1" * 5_000 + b"}",
        b'{"a": "' + b"x" * (5 << 20) + b'"}',
        b"\x80\x04K\x01.",
    ],
    ids=["empty", "cut", "list", "null", "no UTF-8", "nested", "digits", "large", "pickle"],
)
def test_what_is_no_config_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match="is not a valid config") as caught:
        read_config(tmp_path / "config.json")
    text = str(caught.value)
    assert text.startswith(str(tmp_path / "config.json"))
    assert "\n" not in text
    assert len(text) < 400 + len(str(tmp_path))


def test_stages_without_end_take_no_memory(tmp_path: Path) -> None:
    stages = {"depths": [1000] * 300_000, "hidden_sizes": [8] * 300_000, "embedding_size": 8}
    (tmp_path / "config.json").write_text(json.dumps({"layer_type": "basic", **stages}))
    fields = read_config(tmp_path / "config.json")
    assert fields is not None
    with no_hang():
        found = read_hub_config(fields, hugging_face=True, model=None, wanted=None)
    assert found is not None
    assert found.architecture is not None
    assert found.architecture.design is None


def test_what_is_no_file_says_nothing(tmp_path: Path) -> None:
    assert read_config(tmp_path / "config.json") is None
    (tmp_path / "config.json").mkdir()
    assert read_config(tmp_path / "config.json") is None
    os.mkfifo(tmp_path / "preprocessor_config.json")
    assert preprocessor_beside(tmp_path, None) is None


def test_a_byte_order_mark_is_no_reason(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    fields = read_config(tmp_path / "config.json")
    assert fields is not None
    assert list(fields) == ["a"]


NUMBERS_OF_NO_USE = [math.nan, math.inf, -math.inf, 1e300, 10**400, "0.5", True, {}, [[]], [1, 2]]


@pytest.mark.parametrize("value", NUMBERS_OF_NO_USE, ids=range(len(NUMBERS_OF_NO_USE)))
def test_numbers_of_another_kind_are_named_with_their_field(value: Any) -> None:
    for read in ("per_channel", "deviations", "number", "side", "count"):
        if read == "number" and value == 1e300:
            continue
        with pytest.raises(CheckpointError, match=r"^x\.json: mean is .*: repair or remove the"):
            getattr(Fields({"mean": value}, "x.json"), read)("mean")


def test_numbers_are_read() -> None:
    fields = Fields(
        {"a": 0.5, "b": [1, 2, 3], "c": [0.1, 0.0, 0.2], "d": 224.0, "e": None, "f": -1}, "x"
    )
    assert fields.per_channel("a") == (0.5,)
    assert fields.per_channel("b") == fields.deviations("b") == (1.0, 2.0, 3.0)
    assert fields.deviations("c") is None  # a deviation of 0 says nothing
    assert fields.side("d") == 224
    assert [fields.number("e"), fields.side("e"), fields.text("e"), fields.flag("e")] == [None] * 4
    assert (fields.labels("e"), fields.below("e"), fields.count("missing")) == ((), None, None)
    for read in ("deviations", "side", "number", "count", "text", "flag", "labels", "below"):
        with pytest.raises(CheckpointError, match=r"^x: f is -1, "):
            getattr(fields, read)("f")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (["b", "a"], ("b", "a")),
        ({"1": "a", "0": "b"}, ("b", "a")),
        ({"10": "k", **{str(n): str(n) for n in range(10)}}, (*map(str, range(10)), "k")),
        (["a\n\x1b[2Jb", " c "], ("a [2Jb", "c")),
        ([1, 2.5], ("1", "2.5")),
    ],
    ids=range(5),
)
def test_labels(value: Any, names: tuple[str, ...]) -> None:
    assert Fields({"id2label": value}, "x").labels("id2label") == names


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"0": "a", "2": "b"}, "not numbered from 0 on without a gap"),
        ({"a": 0, "b": 1}, "not numbered by class"),
        (["a", " \n"], "without a name for class 1"),
        ([True, False], "not a list of names"),
        ({"0": "a", "00": "b"}, "without a gap"),
        ("a, b", "neither a list of names nor"),
        ([["a"]], "not a list of names"),
        ([None], "not a list of names"),
    ],
    ids=range(8),
)
def test_labels_that_are_none(value: Any, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        Fields({"id2label": value}, "x").labels("id2label")


def test_what_is_shown_of_a_value_is_short_and_harmless() -> None:
    data = {"a": "\x1b[2J" + "x" * 1000, "b": [[1] * 100] * 100}
    for key in data:
        with pytest.raises(CheckpointError) as caught:
            Fields(data, "x").side(key)
        assert "\x1b" not in str(caught.value)
        assert len(str(caught.value)) < 200


KEYS = (
    *("architecture", "pretrained_cfg", "num_classes", "input_size", "crop_pct", "crop_mode"),
    *("mean", "std", "interpolation", "label_names", "label_descriptions", "model_args", "tag"),
    *("model_type", "id2label", "downsample_in_bottleneck", "depths", "layer_type", "hidden_act"),
    *("test_input_size", "test_crop_pct", "size", "crop_size", "do_resize", "do_center_crop"),
    *("resample", "do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std"),
    *("image_processor_type", "shortest_edge", "height", "width", "global_pool"),
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 3000),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["resnet50", "resnet", "squash", "border", "bicubic", "basic"]),
        st.sampled_from(["ConvNextImageProcessor", "ViTImageProcessor", "LevitImageProcessor"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=12,
)


def answer(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except CheckpointError as error:
        return error


@given(
    content=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=12),
    wanted=st.sampled_from([None, 224, 384]),
)
def test_anything_is_a_contract_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any], wanted: int | None
) -> None:
    folder = tmp_path_factory.mktemp("hub")
    (folder / "preprocessor_config.json").write_text(json.dumps(content), encoding="utf-8")
    for model in (None, "timm:resnet18"):
        for read in (
            lambda model=model: read_hub_config(
                Fields(content, "x"), hugging_face=False, model=model, wanted=wanted
            ),
            lambda: preprocessor_beside(folder, wanted),
        ):
            found = answer(read)
            if found is None or isinstance(found, CheckpointError):
                assert "\n" not in str(found)
                continue
            pictures = getattr(found, "pictures", found)
            size = wanted or pictures.size or 224
            made = pictures.options.over(InputContract.for_size(size), Learned.CONFIG)
            assert max(made.resize) <= 2048 * 10
            assert made.std
