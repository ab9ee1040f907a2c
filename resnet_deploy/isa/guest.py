"""Runs images through an ONNX file under an emulator; the guest of ``emulated.py``.

Started by path, in a Python that has NumPy and ONNX Runtime only: nothing of this package may be
imported here. ``REQUEST.json`` names the files. A line of JSON on stdout tells what the CPU has,
then one line after each batch how many images are done.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Run the request whose file the command line names."""
    request: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.path[:0] = request["site"]
    import numpy as np

    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime as ort

    _tell(_cpu_features(np))
    # As ort_runner.session_options does: spinning threads cost an emulator dearly.
    options = ort.SessionOptions()
    options.intra_op_num_threads = request["threads"]
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(request["model"], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    images = np.load(request["images"], allow_pickle=False)
    logits = []
    for start in range(0, len(images), request["batch_size"]):
        batch = images[start : start + request["batch_size"]]
        outputs = session.run(None, {name: batch})
        if len(outputs) > 1:  # side by side, as runners/compare.py has them
            numbers = [output for output in outputs if output.dtype.kind == "f"]
            outputs = [np.concatenate([rows.reshape(len(rows), -1) for rows in numbers], axis=1)]
        logits.append(outputs[0])
        # A parent that is gone breaks the pipe, which ends this process.
        _tell(start + len(batch))
    np.save(request["logits"], np.concatenate(logits), allow_pickle=False)


def _cpu_features(np: Any) -> list[str]:
    """Return NumPy's names of what CPUID shows; /proc/cpuinfo would show the host's."""
    core = np._core if hasattr(np, "_core") else np.core
    features: dict[str, bool] = core._multiarray_umath.__cpu_features__
    return sorted(name for name, present in features.items() if present)


def _tell(message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
