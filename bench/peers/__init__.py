"""The peers on the same work as this tool, in one run: ``python -m peers`` inside ``bench/``.

Each peer is one module that runs in a virtual environment of its own, with the versions that its
``.txt`` file pins: ``python -m peers.NAME make JOB.json`` produces its file from our fp32 ONNX file
or the PyTorch module, ``python -m peers.NAME serve`` is timed by our stopwatch.
"""
