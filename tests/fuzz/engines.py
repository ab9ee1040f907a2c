"""What fuzzes bundles: the C++ core under sanitizers, and the loop over the JavaScript decoders."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.fuzz.bundled_seeds import CORPUS, seeds
from tests.support.tiny_model import save_colour_model

HERE: Final = Path(__file__).parent
FOUND: Final = HERE / "found"

SECONDS: Final = 30
MEBIBYTES: Final = 2048
LENGTH: Final = 4096

_MOST_KEPT: Final = 40
"""Files of a surface in the corpus of the repository."""

_LIBRARIES: Final = ("-ljpeg", "-lpng", "-lz", "-lwebpdemux", "-lwebp", "-ldl", "-pthread")
_DEFINED: Final = ("-DRESNET_HAS_JPEG", "-DRESNET_HAS_PNG", "-DRESNET_HAS_WEBP")


@dataclass
class Tally:
    """What was read at one surface: how many inputs, in how much time of one CPU."""

    inputs: int = 0
    cpu_seconds: float = 0.0
    features: int = 0
    findings: list[str] = field(default_factory=list)

    def __iadd__(self, other: Tally) -> Tally:
        self.inputs += other.inputs
        self.cpu_seconds += other.cpu_seconds
        self.features = max(self.features, other.features)
        self.findings += other.findings
        return self


def pack_bundle(target: str, folder: Path) -> Path:
    """Return a bundle of three classes, packed into ``folder``."""
    from resnet_deploy.bundles.bundling import pack
    from resnet_deploy.spec import BundleTarget

    save_colour_model(folder / "model.onnx")
    pack(folder / "model.onnx", BundleTarget(target), folder / target)
    return folder / target


def compilers() -> Iterator[str]:
    """Yield the compilers that are here, the best one first."""
    names = ("clang++", *(f"clang++-{release}" for release in range(30, 13, -1)), "g++")
    for name in names:
        if (found := shutil.which(name)) is not None:
            yield found


class CppFuzzer:
    """The program of ``native/``, compiled beside a bundle that is packed into ``folder``.

    ``compiler`` is the best that is here unless it is named.
    """

    def __init__(self, folder: Path, *, compiler: str | None = None, optimize: str = "-O1") -> None:
        self._folder = folder
        self._bundle = pack_bundle("cpp", folder)
        self._program = folder / "fuzz"
        said = ""
        for self.compiler in compilers() if compiler is None else (compiler,):
            self.guided = "clang" in self.compiler
            done = self._compile(optimize)
            if done.returncode == 0:
                return
            said = done.stderr
        raise RuntimeError(f"no compiler makes the fuzzer: {said[-2000:]}")

    def _compile(self, optimize: str) -> subprocess.CompletedProcess[str]:
        own = [str(HERE / "native/driver.cpp")]
        if self.guided:
            own = ["-fsanitize=fuzzer", "-fsanitize-address-use-after-return=never"]
        sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
        return self._run([*sanitizers, *own, optimize, "-g1", "-o", str(self._program)])

    def _run(self, options: Sequence[str]) -> subprocess.CompletedProcess[str]:
        folders = (
            HERE / "native/fake",
            *(self._bundle / name for name in ("include", "src", "examples")),
        )
        command = [
            *(self.compiler, "-std=c++17", "-fno-omit-frame-pointer", "-ffp-contract=off"),
            *_DEFINED,
            *(f"-I{folder}" for folder in folders),
            str(HERE / "native/surfaces.cpp"),
            *options,
            *_LIBRARIES,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def corpus(self, surface: str) -> Path:
        """Return the folder of a surface's inputs; what coverage adds stays in it."""
        folder = self._folder / "corpus" / surface
        if not folder.is_dir():
            write_seeds(folder, seeds(surface, self._bundle))
        return folder

    def grow(self, surface: str) -> int:
        """Add to the corpus of the repository what few small inputs reach most; say how many."""
        kept = CORPUS / surface
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            least = Path(name)
            self.read(surface, "-merge=1", name, str(self.corpus(surface)))
            known = set(seeds(surface, self._bundle).values())
            count = 0
            for path in sorted(least.iterdir(), key=lambda path: (path.stat().st_size, path.name)):
                data = path.read_bytes()
                if data not in known and count < _MOST_KEPT:
                    kept.mkdir(parents=True, exist_ok=True)
                    (kept / path.name[:16]).write_bytes(data)
                    count += 1
        return count

    def lines(self, surfaces: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return how many lines of each source the inputs reach, and how many it has.

        It needs clang, and LLVM's tools of the same release.
        """
        program = self._folder / "covered"
        release = "".join(re.findall(r"-\d+$", self.compiler))
        options = ("-fprofile-instr-generate", "-fcoverage-mapping", "-fsanitize=fuzzer", "-O1")
        self._run([*options, "-o", str(program)]).check_returncode()
        for surface in surfaces:
            variables = {
                "RESNET_FUZZ": f"{surface}:{self._bundle}",
                "LLVM_PROFILE_FILE": str(self._folder / f"{surface}.profraw"),
            }
            command = [str(program), "-runs=0", str(self.corpus(surface))]
            subprocess.run(
                command, env={**os.environ, **variables}, capture_output=True, check=True
            )
        merged = self._folder / "all.profdata"
        raw = map(str, self._folder.glob("*.profraw"))
        merge = [f"llvm-profdata{release}", "merge", "-o", str(merged), *raw]
        subprocess.run(merge, check=True)
        export = [f"llvm-cov{release}", "export", "-summary-only", f"-instr-profile={merged}"]
        said = subprocess.run([*export, str(program)], capture_output=True, check=True).stdout
        found = {}
        for file in json.loads(said)["data"][0]["files"]:
            path, lines = Path(file["filename"]), file["summary"]["lines"]
            if path.is_relative_to(self._bundle):
                found[str(path.relative_to(self._bundle))] = (lines["covered"], lines["count"])
        return found

    def run(self, surface: str, *, inputs: int, seconds: int, seed: int) -> Tally:
        """Read ``inputs`` at one surface, or as many as ``seconds`` allow (0: any time)."""
        kept = FOUND / f"native-{surface}"
        kept.mkdir(parents=True, exist_ok=True)
        # Else it goes on and on from pictures of the largest size, which take half a second each.
        quick = ["-entropic_scale_per_exec_time=1"] if self.guided else []
        return self.read(
            surface,
            *quick,
            *(f"-runs={inputs}", f"-max_total_time={seconds}", f"-seed={seed + 1}"),
            *(f"-max_len={LENGTH}", f"-artifact_prefix={kept}/", str(self.corpus(surface))),
        )

    def read(self, surface: str, *options: str, timeout: int = SECONDS) -> Tally:
        """Run the program at one surface, with ``options`` and inputs or folders of them."""
        command = [
            *(str(self._program), f"-timeout={timeout}", f"-rss_limit_mb={MEBIBYTES}"),
            *(f"-malloc_limit_mb={MEBIBYTES}", "-print_final_stats=1", *options),
        ]
        limits = (
            f"quarantine_size_mb=16:malloc_context_size=8:hard_rss_limit_mb={MEBIBYTES}"
            f":max_allocation_size_mb={MEBIBYTES}:allocator_may_return_null=0"
        )
        variables = {
            "RESNET_FUZZ": f"{surface}:{self._bundle}",
            "ASAN_OPTIONS": limits,
            "UBSAN_OPTIONS": "abort_on_error=1",  # else g++'s says nothing to the program
        }
        before = _cpu_seconds()
        done = subprocess.run(
            command,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        count = re.findall(r"stat::number_of_executed_units: *(\d+)", done.stderr)
        features = re.findall(r"cov: \d+ ft: (\d+)", done.stderr)
        return Tally(
            int(count[-1]) if count else 0,
            _cpu_seconds() - before,
            int(features[-1]) if features else 0,
            [] if done.returncode == 0 else [_reason(done.stderr)],
        )


class JavaScriptFuzzer:
    """The loop of ``javascript/`` beside a bundle for Node.js."""

    def __init__(self, folder: Path, node: str) -> None:
        self._folder = folder
        self._node = node
        self._bundle = pack_bundle("node", folder)

    def run(self, surface: str, *, inputs: int, seconds: int, seed: int) -> Tally:
        """Read ``inputs`` at one surface, or as many as ``seconds`` allow (0: any time)."""
        folder = self._folder / "javascript" / surface
        if not folder.is_dir():
            write_seeds(folder, _javascript_seeds(surface, self._bundle))
        asked = {
            "lib": str(self._bundle / "lib"),
            "surface": surface,
            "seeds": str(folder),
            "found": str(FOUND / f"javascript-{surface}"),
            "inputs": inputs,
            "seconds": seconds or 10**6,
            "seed": seed,
        }
        before = _cpu_seconds()
        done = subprocess.run(
            [self._node, str(HERE / "javascript/loop.mjs"), json.dumps(asked)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        lines = done.stdout.splitlines()
        if not lines:
            return Tally(0, 0, 0, [done.stderr[-500:]])
        said = json.loads(lines[-1])
        return Tally(said["inputs"], _cpu_seconds() - before, 0, said["found"])


def _javascript_seeds(surface: str, bundle: Path) -> dict[str, bytes]:
    if surface == "faults":
        return {"0": b""}
    if surface == "labels":
        return {"0": b"red\ngreen\nblue\n", "1": b"red\r\n\r\nblue", "2": b"\xff\xfe"}
    if surface == "prepare":
        return {
            "0": b"\0\0\5\0\0\0\4\0" + bytes(60),
            "1": b"\0\0\5\0\0\0\4\0" + bytes(range(59)),
            "2": b"\xff\xc0\0\0\x80\0\0\0" + bytes(9),
        }
    return seeds(surface, bundle)


def write_seeds(folder: Path, content: Mapping[str, bytes]) -> None:
    """Write files by name into a new folder."""
    folder.mkdir(parents=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _reason(text: str) -> str:
    """Return the line of a fuzzer's report that says most."""
    for pattern in (r"wrong: .*", r".*runtime error: .*", r".*ERROR: .*", r"SUMMARY: .*"):
        if found := re.search(pattern, text):
            return found[0][:300]
    return text[-300:]
