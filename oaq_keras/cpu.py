# SPDX-License-Identifier: Apache-2.0
"""What this machine's CPU offers int8 kernels, and whether int16 sums pay on it.

They pay where the CPU has no dot-product instruction: that one multiplies more int8 values at once
and sums them in int32 anyway.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

# Numbers of ARM's own cores, as /proc/cpuinfo gives them in "CPU part" (implementer 0x41).
_ARM_CORES = {
    0xC05: "Cortex-A5",
    0xC07: "Cortex-A7",
    0xC08: "Cortex-A8",
    0xC09: "Cortex-A9",
    0xC0F: "Cortex-A15",
    0xD01: "Cortex-A32",
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1",
    0xD0D: "Cortex-A77",
    0xD40: "Neoverse-V1",
    0xD41: "Cortex-A78",
    0xD49: "Neoverse-N2",
}
_X86 = ("x86_64", "amd64", "i386", "i686")
_ARM = ("aarch64", "arm64", "armv7l", "armv8l")
# The features that choose a kernel, as the kernel names them, from the best down.
_X86_FEATURES = ("avx512_vnni", "avx_vnni", "avx512bw", "avx2", "sse4_1")
_ARM_FEATURES = ("i8mm", "asimddp", "asimd", "neon")
_DOT_PRODUCT = {"avx512_vnni", "avx_vnni", "i8mm", "asimddp"}


@dataclass(frozen=True)
class Cpu:
    """A CPU, as far as int8 kernels care.

    Attributes:
      machine: `platform.machine()`.
      features: those that choose a kernel, from the best down.
      cores: names of the kinds of ARM cores, where known.
    """

    machine: str
    features: tuple[str, ...]
    cores: tuple[str, ...] = ()

    @property
    def has_dot_product(self) -> bool:
        """Whether every core multiplies int8 and adds into int32 in one instruction."""
        return not _DOT_PRODUCT.isdisjoint(self.features)

    @property
    def known(self) -> bool:
        """Whether the features say enough to judge by."""
        return bool(self.features)

    def __str__(self) -> str:
        """For people: machine, cores, features."""
        parts = [self.machine or "unknown machine", *self.cores]
        return f"{', '.join(parts)}: {' '.join(self.features) or 'no known feature'}"


def read_cpu() -> Cpu:
    """The CPU of this machine; without features where the system does not list them."""
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        cpuinfo = ""
    return parse_cpuinfo(platform.machine(), cpuinfo)


def parse_cpuinfo(machine: str, cpuinfo: str) -> Cpu:
    """Reads the text of /proc/cpuinfo.

    Args:
      machine: `platform.machine()`.
      cpuinfo: the text; where cores differ, only what all of them have counts.
    """
    features: set[str] | None = None
    cores: dict[str, None] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        key = key.strip()
        if key in ("flags", "Features"):
            of_core = set(value.split())
            features = of_core if features is None else features & of_core
        elif key == "CPU part":
            cores[_core_name(value.strip())] = None
    wanted: tuple[str, ...] = ()
    if machine.lower() in _X86:
        wanted = _X86_FEATURES
    elif machine.lower() in _ARM:
        wanted = _ARM_FEATURES
    return Cpu(machine, tuple(name for name in wanted if name in (features or ())), tuple(cores))


def _core_name(part: str) -> str:
    try:
        return _ARM_CORES.get(int(part, 16), f"part {part}")
    except ValueError:
        return f"part {part}"


def int16_advice(cpu: Cpu) -> tuple[bool | None, str]:
    """Whether int16 sums can be faster than the best stock kernels on this CPU.

    Returns:
      True, False, or None where the features are not known; and the reason, with what to do.
    """
    if not cpu.known:
        return None, "this system does not say what its CPU can do; compare both on a real model"
    if cpu.has_dot_product:
        return False, (
            "this CPU has a dot-product instruction, which int16 sums cannot beat; keep files with "
            "builtin operators here (`oaq convert IN OUT --ops builtin`)"
        )
    return True, (
        "no dot-product instruction: int16 sums do more products an instruction than int32 ones; "
        "`oaq convert IN OUT --ops custom` makes a file that uses them"
    )
