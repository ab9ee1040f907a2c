"""``python -m resnet_deploy`` is ``resnet-deploy``, and its script starts here.

What that imports takes some 50 ms, in which Python would answer Ctrl-C with a traceback.
"""

from __future__ import annotations

import contextlib
import os


def main() -> None:
    """Run the command line; if it is interrupted while it is imported, say so in one line."""
    try:
        import signal

        # Not by an exception: what is being imported may turn that into another one.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _end)
        from resnet_deploy.cli import main as command
    except KeyboardInterrupt:
        _end()
    else:
        command.main()


def _end(*_: object) -> None:
    """End the process, which has nothing to clean up yet."""
    with contextlib.suppress(OSError):
        os.write(2, b"resnet-deploy: interrupted; no file was left half written\n")
    os._exit(130)


if __name__ == "__main__":
    main()
