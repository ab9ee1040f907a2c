"""What ``import resnet_deploy`` offers, what it costs, and that it stays as it is."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import resnet_deploy as rd
from resnet_deploy.cli.options import Words

SNAPSHOT = Path(__file__).parent / "golden" / "front-door.txt"
ACCEPT = "RESNET_DEPLOY_ACCEPT"


def surface() -> str:
    """Return every public name, functions with their signatures, one a line."""
    lines = []
    for name in rd.__all__:
        found = getattr(rd, name)
        signature = str(inspect.signature(found)) if inspect.isfunction(found) else ""
        lines.append(re.sub(r"<function (\w+) at 0x\w+>", r"\1", f"{name}{signature}"))
    return "\n".join(lines) + "\n"


def test_the_front_door_is_as_recorded() -> None:
    found = surface()
    if os.environ.get(ACCEPT):
        SNAPSHOT.write_text(found, encoding="utf-8")
    assert found == SNAPSHOT.read_text(encoding="utf-8"), (
        f"the public surface has changed: if that is meant, run this test with {ACCEPT}=1"
    )


def test_all_names_are_there_and_no_others() -> None:
    assert len(rd.__all__) == len(set(rd.__all__))
    assert dir(rd) == sorted(rd.__all__)
    assert not hasattr(rd, "no_such_verb")


def test_every_function_says_what_its_words_mean() -> None:
    """The command line takes its help from there."""
    for name in rd.__all__:
        function = getattr(rd, name)
        if inspect.isfunction(function):
            words = Words(function)
            assert words.help
            assert all(words.help_of(word) for word in inspect.signature(function).parameters)


def test_a_verb_is_a_function_after_it_was_called_too() -> None:
    """No module of the package has the name of a verb, which would hide it."""
    code = (
        "import pkgutil, inspect, resnet_deploy as rd\n"
        "import resnet_deploy.api\n"
        "names = {one.name for one in pkgutil.iter_modules(rd.__path__)}\n"
        "print(sorted(names & set(rd.__all__)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_it_is_cheap() -> None:
    heavy = ("torch", "onnx", "onnxruntime", "numpy", "PIL", "rich", "click", "cattrs")
    code = f"import sys, resnet_deploy; print(sorted(set({heavy!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
