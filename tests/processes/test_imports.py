"""What a process of this project imports before it does any work, each time that one is started."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "onnx_ir", "sympy", "onnxscript", "PIL", "rich", "jinja2", "pyarrow")


@pytest.mark.parametrize(
    "module", ["resnet_deploy.measure.child", "resnet_deploy.quantization.observers"]
)
def test_it_imports_nothing_that_takes_longer_than_its_work(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
