"""A headless Chromium to click, type and drop files in: the DevTools protocol over a pipe.

The protocol is JSON, each message ended by a zero byte, on file descriptors 3 and 4 of a browser
started with ``--remote-debugging-pipe``. That needs no port and no WebSocket.
"""

from __future__ import annotations

import base64
import io
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from docgen.browser import QUIET

_SECONDS = 60.0

_DOMAINS = ("Page", "Runtime", "Log", "Network", "DOM")

_TYPED = {"Tab": 9, "Enter": 13, " ": 32, "ArrowDown": 40, "ArrowUp": 38}


@contextmanager
def open_browser(browser: str, folder: Path) -> Iterator[Browser]:
    """Start ``browser`` with its profile below ``folder``, and end it afterwards."""
    to_browser, from_browser = os.pipe(), os.pipe()
    command = [browser, *QUIET, "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}"]
    with (folder / "browser.log").open("wb") as log:
        # Popen passes descriptors on under their own numbers only.
        process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}', "bash", *command],
            pass_fds=(to_browser[0], from_browser[1]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    os.close(to_browser[0])
    os.close(from_browser[1])
    try:
        session = Browser(to_browser[1], from_browser[0])
        yield session
        session.send("Browser.close")
        process.wait(_SECONDS)
    finally:
        process.kill()
        process.wait()
        os.close(to_browser[1])
        os.close(from_browser[0])


class Browser:
    """Sends commands and keeps what the browser says in between."""

    def __init__(self, write: int, read: int) -> None:
        self._write = write
        self._read = read
        self._rest = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Return the result of one command; a refused one raises."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + _SECONDS
        while True:
            answer = self._receive(end - time.monotonic())
            assert answer is not None, f"no answer to {method} within {_SECONDS:g} s"
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def listen(self, seconds: float) -> None:
        """Keep what is said in the next ``seconds``."""
        end = time.monotonic() + seconds
        while (said := self._receive(end - time.monotonic())) is not None:
            self.events.append(said)

    def open(self, url: str, *, cores: int = 1, **size: Any) -> Tab:
        """Open ``url`` in a new tab with its own cache, on a machine of so many ``cores``."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)
        found = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        tab = Tab(self, found["sessionId"])
        for domain in _DOMAINS:
            tab.send(f"{domain}.enable")
        tab.send("Emulation.setHardwareConcurrencyOverride", hardwareConcurrency=cores)
        tab.resize(**size)
        tab.go(url)
        return tab

    def _receive(self, seconds: float) -> dict[str, Any] | None:
        end = time.monotonic() + seconds
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(end - time.monotonic(), 0))
            if not ready:
                return None
            more = os.read(self._read, 1 << 20)
            assert more, "the browser ended by itself"
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


class Tab:
    """One page, its console and its requests."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the result of one command to this page."""
        return self._browser.send(method, self._session, **params)

    def events(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of all events of one kind, oldest first."""
        return [
            event["params"]
            for event in self._browser.events
            if event.get("sessionId") == self._session and event["method"] == method
        ]

    @property
    def complaints(self) -> list[str]:
        """Warnings, errors and violations of the security policy, as the console shows them."""
        self._browser.listen(0.1)
        logged = [event["entry"] for event in self.events("Log.entryAdded")]
        called = self.events("Runtime.consoleAPICalled")
        thrown = self.events("Runtime.exceptionThrown")
        return [
            *(f"{one['text']} {one.get('url', '')}" for one in logged if one["level"] != "verbose"),
            *(str(one["args"]) for one in called if one["type"] in ("error", "warning", "assert")),
            *(str(one["exceptionDetails"]) for one in thrown),
        ]

    @property
    def requests(self) -> list[str]:
        """The URLs that the page asked for."""
        return [event["request"]["url"] for event in self.events("Network.requestWillBeSent")]

    def evaluate(self, expression: str) -> Any:
        """Return the value of ``expression``, awaited; an exception in the page raises."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def go(self, url: str) -> None:
        """Show another page in this tab."""
        self.send("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def wait_for(self, expression: str, seconds: float = _SECONDS) -> Any:
        """Return the first true value of ``expression``."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            if time.monotonic() > end:
                text = self.evaluate("document.body.innerText")
                raise AssertionError(f"never true: {expression}\n{text}\n{self.complaints}")
            self._browser.listen(0.05)
        return value

    def wait_for_event(self, method: str, seconds: float = _SECONDS) -> dict[str, Any]:
        """Return the parameters of the first event of one kind."""
        end = time.monotonic() + seconds
        while not (found := self.events(method)):
            assert time.monotonic() < end, f"no {method}"
            self._browser.listen(0.05)
        return found[0]

    def resize(self, *, width: int = 1000, height: int = 800, dark: bool = False) -> None:
        """Set the size of the window and the colour scheme."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> Image.Image:
        """Return what is seen, and write it to ``path``."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))
        return Image.open(io.BytesIO(path.read_bytes())).convert("RGB")

    def press(self, key: str) -> None:
        """Press and release one key, as on a keyboard."""
        common = {"key": key, "windowsVirtualKeyCode": _TYPED[key]}
        text = {"text": "\r" if key == "Enter" else key} if key in ("Enter", " ") else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def choose(self, selector: str, file: Path) -> None:
        """Put ``file`` into a file input, as its dialog does."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def drop(self, selector: str, file: Path) -> None:
        """Drag ``file`` from outside onto the middle of an element and let go."""
        target = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{target}.scrollIntoView()")
        place = self.evaluate(
            f"(({{x, y, width, height}}) => ({{x: x + width / 2, y: y + height / 2}}))"
            f"({target}.getBoundingClientRect())"
        )
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", type=kind, data=data, **place)
