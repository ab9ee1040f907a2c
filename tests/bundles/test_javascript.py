from __future__ import annotations

import json
from dataclasses import replace

import pytest

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.bundles.contract import contract_of
from resnet_deploy.bundles.golden import answers, golden_cases
from resnet_deploy.bundles.javascript import core_files
from resnet_deploy.bundles.kit import MODEL_FILE, Kit, Network
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.spec import BundleRuntime, BundleTarget, OutputKind


def contract_in(files: dict[str, bytes]) -> dict[str, object]:
    """The contract as JavaScript sees it: it is written as JSON, on a line of its own."""
    (line,) = [line for line in files["lib/contract.mjs"].splitlines() if line.startswith(b"  {")]
    found: dict[str, object] = json.loads(line.decode().rstrip(","))
    return found


@pytest.fixture(scope="module")
def kit(tiny_export):
    path = tiny_export / "resnet8.onnx"
    artifact = load(path)
    contract = contract_of(artifact)
    cases = golden_cases(contract, None, 0, 0)[:1]
    network = Network(
        file=MODEL_FILE,
        data=path.read_bytes(),
        artifact=artifact,
        runtimes=(Runtime(kind=BundleRuntime.ORT, min_version="1.14", made_with="1.23.1"),),
        answers=(answers(artifact, cases),),
        tolerances=(1e-4,),
    )
    return Kit(
        target=BundleTarget.NODE,
        contract=contract,
        networks=(network,),
        cases=cases,
        min_onnxruntime="1.14",
        max_onnxruntime="1.23.1",
    )


def test_the_contract_that_javascript_sees(kit):
    found = contract_in(core_files(kit, "lib"))
    assert found["name"] == "resnet8"
    assert found["inputShape"] == [3, 32, 32]
    assert (found["inputDtype"], found["batch"], found["k"]) == ("float32", None, 0)
    assert found["numClasses"] == 10
    assert found["outputKind"] == OutputKind.LOGITS.value
    assert found["minOnnxRuntime"] == "1.14"
    assert found["preprocess"] == {
        "height": 32,
        "width": 32,
        "resize": [32, 32],
        "resizeMode": "crop",
        "interpolation": "bilinear",
        "channelOrder": "RGB",
        "range": [0, 1],
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "format": "float-nchw",
        "resizeInGraph": False,
        "assumed": [],
    }
    assert found["networks"] == [
        {
            "file": MODEL_FILE,
            "precision": "fp32",
            "sha256": kit.network.sha256,
            "bytes": len(kit.network.data),
            "tolerance": 1e-4,
        }
    ]


def test_what_tune_found_is_in_the_contract(kit):
    usual = contract_in(core_files(kit, "lib"))
    assert (usual["threads"], usual["sessionConfig"]) == (0, {})
    (runtime,) = kit.runtimes
    options = (("session.set_denormal_as_zero", "1"),)
    tuned = replace(runtime, threads=3, spin=False, options=options)
    found = contract_in(
        core_files(replace(kit, networks=(replace(kit.network, runtimes=(tuned,)),)), "lib")
    )
    assert found["threads"] == 3
    assert found["sessionConfig"] == {
        "session.intra_op.allow_spinning": "0",
        "session.set_denormal_as_zero": "1",
    }


def test_names_from_files_stay_text(kit):
    """Whatever is in a name, the line that holds it is one JSON value."""
    hostile = "x'\"`${process.exit()}</script>\u2028\n"
    odd = replace(kit, contract=replace(kit.contract, name=hostile))
    files = core_files(odd, "lib")
    assert contract_in(files)["name"] == hostile
    assert b"<" not in files["lib/contract.mjs"].split(b"frozen(\n")[1]
    # All other modules are the same in every bundle.
    usual = core_files(kit, "lib")
    assert {name for name in files if files[name] != usual[name]} == {"lib/contract.mjs"}
