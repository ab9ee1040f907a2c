"""A process that calibrates on its share of the images, with observers of its own.

Run as ``python -m resnet_deploy.quantization.observer_child``; the first request must be ``load``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from resnet_deploy.processes.messages import Data, Message, serve, to_array
from resnet_deploy.quantization.observers import ThreadObservers


class _Share:
    def load(self, fields: dict[str, Any], data: Data) -> Message:
        model = Path(fields["model"])
        self._observers = ThreadObservers(model, fields["tensors"], fields["threads"])
        return Message()

    def submit(self, fields: dict[str, Any], data: Data) -> Message:
        self._observers.submit(to_array(fields, data))
        return Message()

    def collect(self, fields: dict[str, Any], data: Data) -> Message:
        (statistics,) = self._observers.collect()
        return Message(data=statistics.to_bytes())


def main() -> None:
    """Serve stdin and stdout."""
    share = _Share()
    serve({"load": share.load, "submit": share.submit, "collect": share.collect})


if __name__ == "__main__":
    main()
