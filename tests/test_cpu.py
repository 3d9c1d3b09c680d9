# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from oaq_keras.cpu import int16_advice, parse_cpuinfo, read_cpu

PI_3 = "Features : fp asimd evtstrm crc32 cpuid\nCPU implementer : 0x41\nCPU part : 0xd03\n" * 4
PI_5 = "Features : fp asimd asimddp cpuid\nCPU part : 0xd0b\n" * 4
BIG_LITTLE = "Features : asimd asimddp\nCPU part : 0xd05\nFeatures : asimd\nCPU part : 0xd09\n"
HASWELL = "flags : fpu sse4_1 avx avx2\n" * 2
SERVER = "flags : sse4_1 avx2 avx512bw avx512_vnni\n"
ALDER_LAKE = "flags : sse4_1 avx2 avx_vnni\n"


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "cores", "pays"),
    [
        ("aarch64", PI_3, ("Cortex-A53",), True),
        ("aarch64", PI_5, ("Cortex-A76",), False),
        # A thread may move to a core without the instruction.
        ("aarch64", BIG_LITTLE, ("Cortex-A55", "Cortex-A73"), True),
        ("armv7l", "Features : half thumb neon vfpv4\nCPU part : 0xc07\n", ("Cortex-A7",), True),
        ("x86_64", HASWELL, (), True),
        ("x86_64", SERVER, (), False),
        ("x86_64", ALDER_LAKE, (), False),
        ("x86_64", "", (), None),
        ("arm64", "", (), None),
        ("riscv64", "isa : rv64imafdc\n", (), None),
        ("aarch64", "Features : asimd\nCPU part : zebra\n", ("part zebra",), True),
    ],
)
def test_int16_pays_where_there_is_no_dot_product(
    machine: str, cpuinfo: str, cores: tuple[str, ...], pays: bool | None
) -> None:
    cpu = parse_cpuinfo(machine, cpuinfo)
    assert cpu.cores == cores
    assert int16_advice(cpu)[0] is pays


def test_text_names_what_was_found() -> None:
    assert str(parse_cpuinfo("aarch64", PI_3)) == "aarch64, Cortex-A53: asimd"
    assert str(parse_cpuinfo("", "")) == "unknown machine: no known feature"


def test_this_machine_is_read_without_fault() -> None:
    assert str(read_cpu())
