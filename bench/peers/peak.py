"""What the cores could do at most: their clock, measured, times 64 int8 products a cycle."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

MACS_PER_CYCLE = 64
"""One 512-bit VNNI instruction. Some CPUs start two of them a cycle, and AMX does 1024."""

# A chain of multiplications, three cycles each on every x86-64 of this century.
_PROGRAM = r"""
#include <stdio.h>
#include <time.h>
int main(void) {
    double best = 1e9;
    for (int trial = 0; trial < 9; trial++) {
        struct timespec a, b;
        long x = 3;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (long i = 0; i < 10000000; i++)
            __asm__ volatile("imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0" : "+r"(x));
        clock_gettime(CLOCK_MONOTONIC, &b);
        double s = (b.tv_sec - a.tv_sec) + 1e-9 * (b.tv_nsec - a.tv_nsec);
        if (s < best) best = s;
    }
    printf("%f\n", 3 * 4 * 10000000.0 / best / 1e9);
    return 0;
}
"""


@dataclass(frozen=True)
class Peak:
    """``clock_ghz`` is None where there is no compiler, or no x86-64."""

    clock_ghz: float | None

    @property
    def gmacs_per_core(self) -> float | None:
        return None if self.clock_ghz is None else self.clock_ghz * MACS_PER_CYCLE


def measure_peak() -> Peak:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or platform.machine() not in ("x86_64", "AMD64"):
        return Peak(None)
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "clock.c"), Path(folder, "clock")
        source.write_text(_PROGRAM, encoding="ascii")
        subprocess.run([compiler, "-O2", str(source), "-o", str(program)], check=True)
        said = subprocess.run([str(program)], check=True, capture_output=True, text=True)
    return Peak(float(said.stdout))
