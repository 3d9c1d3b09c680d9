# SPDX-License-Identifier: Apache-2.0
"""What this machine's CPU offers int8 kernels, and whether int16 sums pay on it.

They pay where the CPU has no dot-product instruction: that one multiplies more int8 values at once
and sums them in int32 anyway.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Gain = Literal["much", "little", "none", "unknown"]
"""What int16 sums gain on the best stock kernels."""

_ARM_LTD, _QUALCOMM = 0x41, 0x51
# By "CPU implementer" and "CPU part" of /proc/cpuinfo.
_CORES = {
    (_ARM_LTD, 0xC05): "Cortex-A5",
    (_ARM_LTD, 0xC07): "Cortex-A7",
    (_ARM_LTD, 0xC08): "Cortex-A8",
    (_ARM_LTD, 0xC09): "Cortex-A9",
    (_ARM_LTD, 0xC0D): "Cortex-A12",
    (_ARM_LTD, 0xC0E): "Cortex-A17",
    (_ARM_LTD, 0xC0F): "Cortex-A15",
    (_ARM_LTD, 0xD01): "Cortex-A32",
    (_ARM_LTD, 0xD03): "Cortex-A53",
    (_ARM_LTD, 0xD04): "Cortex-A35",
    (_ARM_LTD, 0xD05): "Cortex-A55",
    (_ARM_LTD, 0xD07): "Cortex-A57",
    (_ARM_LTD, 0xD08): "Cortex-A72",
    (_ARM_LTD, 0xD09): "Cortex-A73",
    (_ARM_LTD, 0xD0A): "Cortex-A75",
    (_ARM_LTD, 0xD0B): "Cortex-A76",
    (_ARM_LTD, 0xD0C): "Neoverse-N1",
    (_ARM_LTD, 0xD0D): "Cortex-A77",
    (_ARM_LTD, 0xD40): "Neoverse-V1",
    (_ARM_LTD, 0xD41): "Cortex-A78",
    (_ARM_LTD, 0xD46): "Cortex-A510",
    (_ARM_LTD, 0xD47): "Cortex-A710",
    (_ARM_LTD, 0xD49): "Neoverse-N2",
    (_QUALCOMM, 0x800): "Kryo 2xx Gold",
    (_QUALCOMM, 0x801): "Kryo 2xx Silver",
    (_QUALCOMM, 0x802): "Kryo 3xx Gold",
    (_QUALCOMM, 0x803): "Kryo 3xx Silver",
    (_QUALCOMM, 0x804): "Kryo 4xx Gold",
    (_QUALCOMM, 0x805): "Kryo 4xx Silver",
}
# Whose multiplier is the limit of exact sums too: draining costs these out-of-order cores nothing.
_MULTIPLIER_BOUND = {
    *("Cortex-A57", "Cortex-A72", "Cortex-A73", "Cortex-A75"),
    *("Kryo 2xx Gold", "Kryo 3xx Gold"),
}
_X86 = ("x86_64", "amd64", "i386", "i686")
_ARM_32 = ("armv7l", "armv8l")
_ARM = ("aarch64", "arm64", *_ARM_32)
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
    implementer = f"{_ARM_LTD:#x}"
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        key = key.strip()
        if key in ("flags", "Features"):
            of_core = set(value.split())
            features = of_core if features is None else features & of_core
        elif key == "CPU implementer":
            implementer = value.strip()
        elif key == "CPU part":
            cores[_core_name(implementer, value.strip())] = None
    wanted: tuple[str, ...] = ()
    if machine.lower() in _X86:
        wanted = _X86_FEATURES
    elif machine.lower() in _ARM:
        wanted = _ARM_FEATURES
    return Cpu(machine, tuple(name for name in wanted if name in (features or ())), tuple(cores))


def _core_name(implementer: str, part: str) -> str:
    try:
        return _CORES.get((int(implementer, 16), int(part, 16)), f"part {part}")
    except ValueError:
        return f"part {part}"


def int16_advice(cpu: Cpu) -> tuple[Gain, str]:
    """Whether int16 sums can be faster than the best stock kernels on this CPU.

    Returns:
      What they gain, as the kernels' plans have it; and the reason, with what to do.
    """
    if not cpu.known:
        return "unknown", "this system does not say what its CPU can do; compare both on a model"
    if cpu.has_dot_product:
        return "none", (
            "this CPU has a dot-product instruction, which int16 sums cannot beat: our kernels run "
            "exact ones; keep files with builtin operators here (`oaq convert IN OUT --ops "
            "builtin`)"
        )
    how = "`oaq convert IN OUT --ops custom` makes a file that uses them"
    if cpu.machine.lower() not in _ARM:
        return "much", (
            "no dot-product instruction: int16 sums do more products an instruction than int32 "
            f"ones; {how}"
        )
    bound = [core for core in cpu.cores if core in _MULTIPLIER_BOUND]
    others = [core for core in cpu.cores if core not in _MULTIPLIER_BOUND]
    limit = "little to nothing by int16 sums alone: its multiplier is the limit of exact ones too"
    if bound and not others:
        return "little", f"{' and '.join(bound)} gains {limit}; compare both on a model"
    if bound:
        return "much", (
            f"{' and '.join(others)} gains by int16 sums, {' and '.join(bound)} {limit}; {how}"
        )
    bits = "32-bit ARM" if cpu.machine.lower() in _ARM_32 else "cores without dot products"
    return "much", f"int16 sums are what the method is for on {bits}, in-order ones most; {how}"
