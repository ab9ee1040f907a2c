"""The real kernels of other CPUs: QEMU, Debian's packages, and the proof on them."""
