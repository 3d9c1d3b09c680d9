# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from oaq_keras import doctor
from oaq_keras.cpu import int16_advice, parse_cpuinfo, read_cpu

PI_3 = "Features : fp asimd evtstrm crc32 cpuid\nCPU implementer : 0x41\nCPU part : 0xd03\n" * 4
PI_4 = "Features : fp asimd cpuid\nCPU implementer : 0x41\nCPU part : 0xd08\n" * 4
PI_5 = "Features : fp asimd asimddp cpuid\nCPU part : 0xd0b\n" * 4
MIXED_FEATURES = "Features : asimd asimddp\nCPU part : 0xd05\nFeatures : asimd\nCPU part : 0xd09\n"
RK3399 = "Features : asimd\nCPU part : 0xd03\n\nFeatures : asimd\nCPU part : 0xd08\n"
SNAPDRAGON_660 = (
    "Features : asimd\nCPU implementer : 0x51\nCPU part : 0x801\n"
    "Features : asimd\nCPU implementer : 0x51\nCPU part : 0x800\n"
)
ARMV7 = "Features : half thumb neon vfpv4\nCPU part : {}\n"
HASWELL = "flags : fpu sse4_1 avx avx2\n" * 2
SERVER = "flags : sse4_1 avx2 avx512bw avx512_vnni\n"
ALDER_LAKE = "flags : sse4_1 avx2 avx_vnni\n"


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "cores", "gain", "says"),
    [
        ("aarch64", PI_3, ("Cortex-A53",), "much", "in-order ones most"),
        ("aarch64", PI_3.replace("0xd03", "0xd05"), ("Cortex-A55",), "much", "in-order"),
        ("aarch64", PI_3.replace("0xd03", "0xd04"), ("Cortex-A35",), "much", "in-order"),
        ("aarch64", PI_4, ("Cortex-A72",), "little", "Cortex-A72 gains little to nothing"),
        ("aarch64", PI_4.replace("0xd08", "0xd07"), ("Cortex-A57",), "little", "multiplier"),
        ("aarch64", PI_4.replace("0xd08", "0xd09"), ("Cortex-A73",), "little", "multiplier"),
        ("aarch64", PI_4.replace("0xd08", "0xd0a"), ("Cortex-A75",), "little", "multiplier"),
        ("aarch64", PI_5, ("Cortex-A76",), "none", "exact"),
        ("aarch64", PI_5.replace("asimddp", "asimddp i8mm"), ("Cortex-A76",), "none", "exact"),
        # A thread may move to a core without the instruction.
        ("aarch64", MIXED_FEATURES, ("Cortex-A55", "Cortex-A73"), "much", "Cortex-A55 gains by"),
        ("aarch64", RK3399, ("Cortex-A53", "Cortex-A72"), "much", "Cortex-A72 little to nothing"),
        ("aarch64", SNAPDRAGON_660, ("Kryo 2xx Silver", "Kryo 2xx Gold"), "much", "Gold little"),
        ("armv7l", ARMV7.format("0xc07"), ("Cortex-A7",), "much", "32-bit ARM"),
        ("armv7l", ARMV7.format("0xc0f"), ("Cortex-A15",), "much", "32-bit ARM"),
        ("armv8l", ARMV7.format("0xd08"), ("Cortex-A72",), "little", "multiplier"),
        ("x86_64", HASWELL, (), "much", "more products an instruction"),
        ("x86_64", SERVER, (), "none", "exact"),
        ("x86_64", ALDER_LAKE, (), "none", "exact"),
        ("x86_64", "", (), "unknown", "does not say"),
        ("arm64", "", (), "unknown", "does not say"),
        ("riscv64", "isa : rv64imafdc\n", (), "unknown", "does not say"),
        ("aarch64", "Features : asimd\nCPU part : zebra\n", ("part zebra",), "much", "in-order"),
    ],
)
def test_what_int16_gains(
    machine: str, cpuinfo: str, cores: tuple[str, ...], gain: str, says: str
) -> None:
    cpu = parse_cpuinfo(machine, cpuinfo)
    assert cpu.cores == cores
    found, why = int16_advice(cpu)
    assert found == gain
    assert says in why


@pytest.mark.parametrize(
    ("cpuinfo", "status", "verdict", "advised"),
    [
        (PI_3, "ok", "int16 pays", False),
        (RK3399, "ok", "int16 pays", True),
        (PI_4, "note", "int16 gains little", True),
        (PI_5, "note", "exact dot products run", True),
        ("", "note", "unknown whether", True),
    ],
)
def test_the_doctor_tells_cores_apart(
    cpuinfo: str, status: str, verdict: str, advised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "read_cpu", lambda: parse_cpuinfo("aarch64", cpuinfo))
    (found,) = (finding for finding in doctor.examine() if finding.name == "CPU")
    assert found.status == status
    assert verdict in found.detail
    assert bool(found.advice) == advised


def test_text_names_what_was_found() -> None:
    assert str(parse_cpuinfo("aarch64", PI_3)) == "aarch64, Cortex-A53: asimd"
    assert str(parse_cpuinfo("", "")) == "unknown machine: no known feature"


def test_this_machine_is_read_without_fault() -> None:
    assert str(read_cpu())
