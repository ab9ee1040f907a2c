"""Every option is a word of the API: the same call, made by hand, gives the same result.

The cases come from click's own parameters, so a new option that the API can't express fails here.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from resnet_deploy import api
from resnet_deploy.cli.main import VERBS, cli
from resnet_deploy.results import Result
from resnet_deploy.spec import EXPORTED_FORMATS, InputOptions
from tests.support.tiny_model import COLOURS, save_colour_model

CALLS: dict[str, tuple[Callable[..., Any], ...]] = {
    "export": (api.load, api.deploy),
    "deploy": (api.deploy_matrix,),
    "quantize": (api.deploy,),
    "verify": (api.verify, api.verify_isa),
    "bench": (api.bench, api.compare),
    **{
        verb: (getattr(api, verb),)
        for verb in ("train", "tune", "evaluate", "predict", "summary", "bundle", "doctor")
    },
}
"""What each verb calls."""

ANOTHER_CALL = {
    ("evaluate", "record"): api.record,
    ("verify", "record"): api.record,
    ("verify", "saturation"): api.count_saturation,
    ("verify", "witness"): api.witness,
    ("bench", "compare"): api.compare,
    ("train", "show_recipe"): api.recipe_text,
}
"""Options that are not a keyword but a function of their own."""

OF_THE_RESULT = {"json", "report", "csv", "markdown"}
"""``result.to_dict()`` and ``result.report(path)``."""

OF_THE_LOG = {"help", "quiet", "verbose"}

OWN_DEFAULTS = {
    ("deploy", "out"): Path("artifacts"),
    ("export", "out"): Path("artifacts"),
    ("export", "labels"): None,
}
"""Where the command line starts from something else than the API, on purpose."""

ARGUMENTS: dict[str, list[str]] = {
    "train": ["--data", "data", "-o", "run"],
    "export": [],
    "deploy": ["--matrix", "m.toml"],
    "quantize": ["net.onnx"],
    "tune": ["net.onnx", "--data", "data"],
    "verify": ["net.onnx"],
    "bench": ["net.onnx"],
    "evaluate": ["net.onnx", "--data", "data"],
    "predict": ["net.onnx", "a.png"],
    "summary": [],
    "bundle": ["net.onnx", "--target", "cpp", "-o", "app"],
    "doctor": [],
}
"""The least that each verb needs."""


class Called(BaseException):
    """The API was called; nothing else happens."""

    def __init__(self, name: str, words: dict[str, Any]) -> None:
        super().__init__(name)
        self.name = name
        self.words = words


def options_of(verb: str) -> list[click.Option]:
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    return [one for one in command.params if isinstance(one, click.Option)]


CASES = [
    pytest.param(verb, option, id=f"{verb} {option.opts[-1]}")
    for verb in VERBS
    for option in options_of(verb)
    if option.name not in OF_THE_RESULT | OF_THE_LOG
]


OF_TEXT = {"range": "range", "resize": "size", "image_size": "size"}
"""What is typed for options that click takes for text."""


def sample(option: click.Option) -> tuple[list[str], Any]:
    """Return an option as it is typed, with another value than its default, and that value."""
    flag, kind = option.opts[-1], option.type
    if option.is_flag:
        if option.secondary_opts:
            on = not option.default
            return [flag if on else option.secondary_opts[-1]], on
        return [flag], option.flag_value is not False
    typed: str
    value: Any
    if isinstance(kind, click.Choice):
        value = next(one for one in reversed(kind.choices) if one != option.default)
        typed = str(value)
    elif isinstance(kind, click.types.IntParamType):
        value = int(getattr(kind, "min", 0) or 0) + 3
        typed = str(value)
    elif isinstance(kind, click.types.FloatParamType):
        value, typed = 0.25, "0.25"
    elif isinstance(kind, click.Path):
        value, typed = Path("given"), "given"
    else:
        typed, value = {
            "R,G,B": ("0.1,0.2,0.3", (0.1, 0.2, 0.3)),
            "percent": ("7%", 0.07),
            "range": ("-1-1", (-1.0, 1.0)),
            "size": ("48x192", (48, 192)),
            "TIME": ("3m", 180.0),
        }.get(OF_TEXT.get(option.name or "", kind.name), ("top-3", "top-3"))
    return [flag, typed], (value,) if option.multiple else value


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], Called]:
    """Run a command line up to the call of the API."""

    def stop(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def stand_in(*arguments: Any, **words: Any) -> Any:
            bound = inspect.signature(function).bind(*arguments, **words)
            if function is CALLS["export"][0]:
                loaded.update(bound.arguments)
                return "a network"
            raise Called(function.__name__, {**loaded, **bound.arguments})

        return stand_in

    loaded: dict[str, Any] = {}
    for functions in CALLS.values():
        for function in functions:
            monkeypatch.setattr(api, function.__name__, stop(function))
    # A module that is imported only while load is replaced would keep the replacement.
    importlib.import_module("resnet_deploy.artifact.recording")
    monkeypatch.setattr("resnet_deploy.artifact.onnx_file.load", lambda path, told: path)

    def run(arguments: list[str]) -> Called:
        loaded.clear()
        with pytest.raises(Called) as found:
            CliRunner().invoke(cli, arguments)
        return found.value

    return run


@pytest.mark.parametrize(("verb", "option"), CASES)
def test_every_option_is_a_word_of_the_api(
    verb: str, option: click.Option, called: Callable[[list[str]], Called]
) -> None:
    if (verb, option.name) in ANOTHER_CALL:
        return
    signatures = [inspect.signature(function).parameters for function in CALLS[verb]]
    known = {name for one in signatures for name in one}
    of_pictures = option.name not in known
    if of_pictures and "input_options" in known:
        known |= {field.name for field in dataclasses.fields(InputOptions)}
    assert option.name in known, f"the API of {verb} has no word for {option.opts[-1]}"
    if option.name in ("max_regress", "relative_to"):
        typed, value = sample(option)
        found = called([verb, "--compare", "old.json", "new.json", *typed])
        assert found.words[option.name] == value
        return
    typed, value = sample(option)
    if option.name == "isa":
        value = ["top-3"]
    found = called([verb, *ARGUMENTS[verb], *typed])
    if of_pictures:
        assert found.words["input_options"] == InputOptions(**{option.name: value})
        return
    assert found.words[option.name] == value


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_not_said_is_the_default_of_the_api(
    verb: str, called: Callable[[list[str]], Called]
) -> None:
    found = called([verb, *ARGUMENTS[verb]])
    for function in CALLS[verb]:
        if function.__name__ not in (found.name, "load"):
            continue
        for name, parameter in inspect.signature(function).parameters.items():
            if name in ("environment", "progress", "on_epoch", "on_result"):
                continue
            if parameter.default is inspect.Parameter.empty or name not in found.words:
                continue
            if name in ("out", "data") and name in str(ARGUMENTS[verb]):
                continue
            expected = OWN_DEFAULTS.get((verb, name), parameter.default)
            assert found.words[name] == expected or (not found.words[name] and not expected), (
                f"{verb}: {name} is {found.words[name]!r} and not {expected!r}"
            )


def test_help_says_what_may_be_repeated_and_what_goes_together() -> None:
    for verb in VERBS:
        for option in options_of(verb):
            assert option.multiple == ("may be repeated" in (option.help or "")), (verb, option)
    helps = {option.opts[-1]: option.help or "" for option in options_of("bench")}
    for flag in ("--max-regress", "--relative-to"):
        assert helps[flag].startswith("With --compare: ")


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_no_name_that_only_python_has(verb: str) -> None:
    text = " ".join(option.help or "" for option in options_of(verb))
    assert not re.search(r"[a-z]_[a-z]|Artifact|Dataset", text), text


def test_the_command_line_has_every_input_format() -> None:
    [option] = [one for one in options_of("export") if one.name == "input"]
    assert isinstance(option.type, click.Choice)
    assert set(option.type.choices) == {form.value for form in EXPORTED_FORMATS}


def without_clock(data: dict[str, Any]) -> dict[str, Any]:
    """Leave out what no two runs share: the time, and the command that was typed."""
    return {key: value for key, value in data.items() if key not in ("seconds", "environment")}


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        (
            ["summary", "NET"],
            lambda net, data: api.summary(net),
        ),
        (
            ["summary", "--depth", "50", "--variant", "v1"],
            lambda net, data: api.summary(depth=50, variant="v1"),
        ),
        (
            ["predict", "NET", "DATA/red", "--top-k", "2"],
            lambda net, data: api.predict(net, data / "red", top_k=2),
        ),
        (
            ["evaluate", "NET", "--data", "DATA", "--limit", "4"],
            lambda net, data: api.evaluate(net, data, limit=4),
        ),
    ],
    ids=["summary of a file", "summary of a net", "predict", "evaluate"],
)
def test_the_json_is_what_the_call_returns(
    arguments: list[str], call: Callable[[Path, Path], Result], tmp_path: Path
) -> None:
    net, data = save_colour_model(tmp_path / "net.onnx").path, tmp_path / "data"
    for colour in COLOURS:
        (data / colour).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (9, 9), colour).save(data / colour / f"{number}.png")
    places = {"NET": str(net), "DATA": str(data), "DATA/red": str(data / "red")}
    typed = [places.get(argument, argument) for argument in arguments]
    done = CliRunner().invoke(cli, [*typed, "--json"])
    assert done.exit_code == 0, done.output
    found, expected = json.loads(done.stdout), json.loads(json.dumps(call(net, data).to_dict()))
    assert without_clock(found) == without_clock(expected)
