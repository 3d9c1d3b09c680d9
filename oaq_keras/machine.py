# SPDX-License-Identifier: Apache-2.0
"""What a measured time depends on besides the code: board, CPU, clock governor, kernel."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from oaq_keras.cpu import parse_cpuinfo

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Machine:
    """A machine; "unknown" where it does not say.

    Attributes:
      board: the device tree's name, "Raspberry Pi 3 Model B Plus Rev 1.3".
      cpu: its name, or those of its ARM cores.
      governor: what chooses the clock frequency of CPU 0.
      kernel: operating system, release and architecture.
    """

    board: str
    cpu: str
    governor: str
    kernel: str


def read_machine(root: Path = Path("/")) -> Machine:
    """Describes this machine.

    Args:
      root: the folder that holds `proc` and `sys`.
    """
    cpuinfo = _read(root / "proc/cpuinfo")
    names = (line.partition(":") for line in cpuinfo.splitlines())
    name = next((value.strip() for key, _, value in names if key.strip() == "model name"), "")
    cores = ", ".join(parse_cpuinfo(platform.machine(), cpuinfo).cores)
    governor = _read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return Machine(
        board=_read(root / "proc/device-tree/model").rstrip("\0") or UNKNOWN,
        # ARM kernels of 64 bits give no name, those of 32 bits one that says little.
        cpu=cores or name or platform.processor() or UNKNOWN,
        governor=governor.strip() or UNKNOWN,
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
