"""What messages advise is there: each option that a message names is one of the command line's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import resnet_deploy
from resnet_deploy.cli.main import cli

ROOT = Path(resnet_deploy.__file__).parent

_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")

_OF_ONE_VERB = {
    "verification.py": "verify",
    "isa/verify.py": "verify",
    "evaluation.py": "evaluate",
    "prediction.py": "predict",
    "benchmark/measure.py": "bench",
    "benchmark/compare.py": "bench",
    "benchmark/subjects.py": "bench",
    "benchmark/sweep.py": "bench",
    "tuning/search.py": "tune",
    "tuning/space.py": "tune",
}
"""Modules that only one verb calls."""

_OTHER_PROGRAMS = (
    "bundles/",
    "data/tar.py",
    "isa/debian.py",
    "isa/tools.py",
    "processes/ray_session.py",
    "weights/foreign.py",
)
"""Modules that name options of other commands: of Docker, CMake, pip, tar, Ray, a conversion."""

_OTHER_VERBS = {"verification.py": {"--resize-in-graph"}}
"""Options of export, which these messages name as such."""


def _options() -> dict[str, set[str]]:
    context = click.Context(cli)
    return {
        name: {"--help", *(option for given in verb.params for option in _spelled(given))}
        for name in cli.list_commands(context)
        if (verb := cli.get_command(context, name)) is not None
    }


def _spelled(parameter: click.Parameter) -> list[str]:
    return [*parameter.opts, *parameter.secondary_opts]


def _named(path: Path) -> Iterator[str]:
    """Yield the options that strings of the module at ``path`` name, docstrings excepted."""
    text = path.read_text()
    if "--" not in text:
        return
    tree = ast.parse(text)
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield from _OPTION.findall(node.value)


MODULES = sorted(
    module
    for path in ROOT.rglob("*.py")
    if not (module := path.relative_to(ROOT).as_posix()).startswith(_OTHER_PROGRAMS)
)


def test_every_option_that_is_named_exists() -> None:
    known = set.union(*_options().values())
    unknown = {
        f"{module}: {option}"
        for module in MODULES
        for option in _named(ROOT / module)
        if option not in known
    }
    assert not unknown


@pytest.mark.parametrize(("module", "verb"), _OF_ONE_VERB.items())
def test_a_verb_names_its_own_options(module: str, verb: str) -> None:
    own = _options()[verb] | _OTHER_VERBS.get(module, set())
    assert set(_named(ROOT / module)) <= own
