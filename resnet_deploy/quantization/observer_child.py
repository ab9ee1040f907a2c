"""A process that calibrates on its share of the images, with observers of its own.

Run as ``python -m resnet_deploy.quantization.observer_child``; the first request must be ``load``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from resnet_deploy.processes.child import serve
from resnet_deploy.processes.messages import Answer, Data, array_of
from resnet_deploy.quantization.observers import ThreadObservers


class _Share:
    def load(self, fields: dict[str, Any], data: Data) -> Answer:
        model = Path(fields["model"])
        self._observers = ThreadObservers(model, fields["tensors"], fields["threads"])
        return Answer()

    def submit(self, fields: dict[str, Any], data: Data) -> Answer:
        self._observers.submit(array_of(fields, data))
        return Answer()

    def collect(self, fields: dict[str, Any], data: Data) -> Answer:
        (statistics,) = self._observers.collect()
        return Answer(data=statistics.to_bytes())


def main() -> None:
    """Serve stdin and stdout."""
    share = _Share()
    serve({"load": share.load, "submit": share.submit, "collect": share.collect})


if __name__ == "__main__":
    main()
