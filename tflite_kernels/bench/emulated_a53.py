# SPDX-License-Identifier: Apache-2.0
"""A Cortex-A53 for emulated programs, as libraries that choose kernels by core see it.

qemu-user emulates the core's instructions and HWCAP, but lets programs read the host's
/proc/cpuinfo. cpuinfo, by which XNNPACK chooses, finds the core there: so programs get a root of
their own, which qemu-user looks into first.
"""

from __future__ import annotations

from pathlib import Path

LIBRARIES = Path("/usr/aarch64-linux-gnu")
"""Where Debian's cross compiler has the C library."""
_CPUINFO = """\
processor\t: 0
BogoMIPS\t: 38.40
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd03
CPU revision\t: 4

"""


def emulator(folder: Path, libraries: Path = LIBRARIES) -> list[str]:
    """The command that programs run under; `folder` is empty, and becomes their root."""
    system = folder / "sys" / "devices" / "system" / "cpu"
    system.mkdir(parents=True)
    for name in ("kernel_max", "possible", "present"):
        (system / name).write_text("0\n")
    (folder / "proc").mkdir()
    (folder / "proc" / "cpuinfo").write_text(_CPUINFO)
    (folder / "lib").symlink_to(libraries / "lib")
    return ["qemu-aarch64", "-cpu", "cortex-a53", "-L", str(folder)]
