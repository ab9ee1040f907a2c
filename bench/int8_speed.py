"""ResNet-34 and ResNet-50, fp32 and int8, PyTorch and ONNX Runtime: side by side, recorded.

Run it as ``python bench/int8_speed.py`` on a machine that does nothing else. It exports both
networks (random weights: speed does not depend on their values), measures each with
``resnet-deploy bench``, and writes one JSON file per network to ``bench/results``, and
``docs/images/demo.svg``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import demo_plot

RESULTS = Path(__file__).parent / "results"
DEPTHS = (34, 50)


def resnet_deploy(*arguments: object) -> None:
    command = [sys.executable, "-m", "resnet_deploy", *(str(argument) for argument in arguments)]
    subprocess.run(command, check=True)


def main() -> None:
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for depth in DEPTHS:
            resnet_deploy("export", "--depth", depth, "-o", folder)
            target = RESULTS / f"resnet{depth}.json"
            resnet_deploy("bench", f"{folder}/resnet{depth}.onnx", "--rounds", 20, "--json", target)
            result = json.loads(target.read_text(encoding="utf-8"))
            # The folder is gone after the run; the file's name is what counts.
            result["environment"]["command"] = "python bench/int8_speed.py"
            for subject in result["subjects"]:
                subject["subject"]["model"] = Path(subject["subject"]["model"]).name
            target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    demo_plot.main()


if __name__ == "__main__":
    main()
