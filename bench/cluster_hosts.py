"""Three "hosts" on this machine: network namespaces on one bridge, each a node of a Ray cluster.

Needs Linux, root and iproute2. What is started here is ended here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

BRIDGE = "rdbr"
HOSTS = ("rd-host-1", "rd-host-2", "rd-host-3")
PORT = 6379
START_SECONDS = 180.0


class Hosts:
    """A running cluster; the first host is the head, and where commands are run."""

    def __init__(self, folder: Path, cpus: int) -> None:
        self._folder = folder
        self._cpus = cpus
        self.address = f"ray://{address(0)}:{PORT}"

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Return what runs ``arguments`` on the head."""
        return inside(0, arguments)

    def start(self, number: int) -> None:
        """Let a host be a node; the first one must be started first."""
        ray = [str(Path(sys.executable).with_name("ray")), "start"]
        ray += ["--node-ip-address", address(number), "--num-cpus", str(self._cpus)]
        ray += ["--disable-usage-stats"]
        if number == 0:
            ray += ["--head", "--port", str(PORT), "--include-dashboard=false"]
            ray += ["--temp-dir", str(self._folder)]
        else:
            ray += ["--address", f"{address(0)}:{PORT}"]
        environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
        log = self._folder / f"start-{number}.txt"
        with log.open("w") as output:
            ended = subprocess.run(
                inside(number, ray),
                check=False,
                stdout=output,
                stderr=output,
                env=environment,
                timeout=START_SECONDS,
            )
        if ended.returncode:
            raise SystemExit(f"{' '.join(ray)} ended with {ended.returncode}: {log.read_text()}")

    def is_up(self, number: int) -> bool:
        """Whether a host has a raylet."""
        return any("raylet" in name_of(pid) for pid in pids(number))

    def cut_off(self, number: int) -> None:
        """Take a host off the network."""
        ip("link", "set", f"rdv{number}", "down")

    def reconnect(self, number: int) -> None:
        """Put it back; Ray ends a node that was given up, so it joins again."""
        ip("link", "set", f"rdv{number}", "up")
        end = time.monotonic() + 20
        while self.is_up(number) and time.monotonic() < end:
            time.sleep(1)
        if not self.is_up(number):
            self.start(number)


def ip(*arguments: str) -> None:
    """Run ``ip``."""
    subprocess.run(["ip", *arguments], check=True)


def address(number: int) -> str:
    """Return the address of a host."""
    return f"10.213.0.{number + 1}"


def inside(number: int, arguments: Sequence[str]) -> list[str]:
    """Return what runs ``arguments`` in the network of a host."""
    return ["ip", "netns", "exec", HOSTS[number], *arguments]


def pids(number: int) -> list[int]:
    """Return the processes in the network of a host."""
    found = subprocess.run(
        ["ip", "netns", "pids", HOSTS[number]], check=True, capture_output=True, text=True
    )
    return [int(pid) for pid in found.stdout.split()]


def name_of(pid: int) -> str:
    """Return what a process is called; empty when it has gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


@contextmanager
def hosts(cpus: int = 1) -> Iterator[Hosts]:
    """Give a cluster of three hosts with ``cpus`` each."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rd-", dir="/tmp")))
        ip("link", "add", BRIDGE, "type", "bridge")
        stack.callback(ip, "link", "del", BRIDGE)
        ip("addr", "add", "10.213.0.254/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for number, name in enumerate(HOSTS):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            stack.callback(end_processes, number)
            ip("link", "add", f"rdv{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"rdv{number}", "master", BRIDGE, "up")
            ip("-n", name, "addr", "add", f"{address(number)}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        cluster = Hosts(folder, cpus)
        for number in range(len(HOSTS)):
            cluster.start(number)
        yield cluster


def end_processes(number: int) -> None:
    """End all that runs in the network of a host."""
    for _ in range(20):
        found = pids(number)
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
