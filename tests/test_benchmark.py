# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import json
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oaq_keras import benchmark as module
from oaq_keras import cli, library
from oaq_keras.benchmark import MODES, Benchmark, ModeTimes, benchmark, take_turns
from oaq_keras.custom_ops import CUSTOM_TO_BUILTIN
from oaq_keras.errors import LibraryError, ModelFileError, UnsupportedError
from oaq_keras.machine import Machine, read_machine
from oaq_keras.model_file import names_oaq_operators
from oaq_keras.rewrite import to_custom_ops
from tests.models import ModelBuilder, small_network

MACHINE = Machine("a board", "a CPU", "performance", "Linux 1")
FOUND = Benchmark(
    (
        ModeTimes("stock", 0.5, (0.004, 0.001, 0.002, 0.003, 0.005), 10, 0),
        ModeTimes("oaq", 0.25, (0.002, 0.001, 0.001, 0.002, 0.0015), 10, 3),
    ),
    2,
    MACHINE,
    {"LiteRT": "2.3.0", "oaq": "0.1.0"},
    "net.tflite, 3 KiB, SHA-256 0123456789ab",
    "auto",
    "int16",
)


@pytest.fixture
def _library() -> None:
    try:
        library.load()
    except LibraryError as error:
        pytest.skip(f"needs the C library: {error}")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(to_custom_ops(small_network(largest=15)))
    return path


def test_take_turns() -> None:
    calls: list[str] = []
    ticks = count(step=0.5)
    runs = [lambda: calls.append("a"), lambda: calls.append("b")]
    seconds = take_turns(runs, 3, lambda: float(next(ticks)))
    assert calls == ["a", "b"] * 3
    assert seconds == [(0.5,) * 3] * 2


def test_figures() -> None:
    stock, ours = FOUND.modes
    assert (stock.median, stock.quartiles) == (0.003, (0.002, 0.004))
    assert FOUND.ratio(stock) == 1
    assert FOUND.ratio(ours) == pytest.approx(2)
    found = FOUND.to_dict()
    assert found["machine"]["governor"] == "performance"
    assert found["modes"][1]["median_ms"] == pytest.approx(1.5)
    assert found["modes"][1]["ratio"] == pytest.approx(2)
    assert json.loads(json.dumps(found)) == found


def test_tables() -> None:
    for text in (str(FOUND), FOUND.to_markdown()):
        for part in ("a board", "performance", "2.3.0", "stock / mode", "2.00x", "2.000 to 4.000"):
            assert part in text
        assert "3 of 10 differ from stock" in text
    lines = [line for line in FOUND.to_markdown().splitlines() if line]
    assert all(line.startswith("| ") and line.endswith(" |") for line in lines)
    assert len({line.count("|") for line in lines[-3:]}) == 1


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("custom", [False, True])
def test_every_mode_gives_the_reference_codes(custom: bool) -> None:
    data = small_network(largest=15)
    data = to_custom_ops(data) if custom else data
    modes = ("reference", "oaq", "stock")
    found = benchmark(data, modes, plan="int16", runs=3, warmup=0, threads=2, profile=True)
    assert tuple(mode.mode for mode in found.modes) == modes
    assert [len(mode.seconds) for mode in found.modes] == [3, 3, 3]
    assert [mode.outputs for mode in found.modes] == [10, 10, 10]
    # XNNPACK, in the mode stock, may differ by a code.
    assert [mode.differing for mode in found.modes][:2] == [0, 0]
    assert [mode.plan is None for mode in found.modes] == [True, False, True]
    assert found.modes[1].plan is not None
    ours = [entry for entry in found.modes[1].plan if entry.runs != "stock"]
    assert [entry.invocations for entry in ours] == [3] * 5
    assert found.versions["oaq"] == library.load().version


@pytest.mark.usefixtures("_library")
def test_differing_outputs_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    given = module._Session.outputs

    def changed(session: Any) -> list[np.ndarray]:
        outputs = given(session)
        return outputs if session.mode == "reference" else [output + 1 for output in outputs]

    monkeypatch.setattr(module._Session, "outputs", changed)
    found = benchmark(small_network(), ("reference", "oaq"), runs=1, warmup=0)
    assert [mode.differing for mode in found.modes] == [0, 10]


def test_stock_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.VARIABLE, "missing.so")
    found = benchmark(small_network(), ("stock", "reference"), runs=2)
    assert found.versions.keys() == {"LiteRT"}
    assert "none of ours" in str(found)
    with pytest.raises(LibraryError):
        benchmark(small_network(), runs=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modes": ()}, "expected some of stock, oaq, reference"),
        ({"modes": ("fast",)}, "fast"),
        ({"modes": ("oaq", "oaq")}, "once each"),
        ({"plan": "zebra"}, "plan is 'zebra'"),
        ({"threads": 0}, "threads is 0; expected 1 or more"),
        ({"threads": 10_000}, "threads is 10000; expected 9999 or less"),
        ({"runs": 0}, "runs is 0; expected 1 or more"),
        ({"warmup": -1}, "warmup is -1; expected 0 or more"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        benchmark(small_network(), **arguments)


@pytest.mark.usefixtures("_library")
def test_an_unknown_isa() -> None:
    with pytest.raises(UnsupportedError, match="zebra"):
        benchmark(small_network(), isa="zebra")


@pytest.mark.parametrize("content", [b"", b"not a model at all", small_network()[:1000]])
def test_content_that_is_no_model(content: bytes) -> None:
    with pytest.raises(ModelFileError):
        benchmark(content, ("stock",))


def test_a_model_that_litert_refuses() -> None:
    builder = ModelBuilder()
    x = builder.input((1, 4))
    output = builder.op("CUSTOM", [x], builder.like(x, "output"))
    builder.model.operatorCodes[-1].customCode = "Zebra"
    with pytest.raises(ModelFileError, match="in mode stock"):
        benchmark(builder.build(output), ("stock",))


@pytest.mark.usefixtures("_library")
class TestCommand:
    def test_table(self, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["benchmark", str(model), "--runs", "2", "--warmup", "1"]) == cli.OK
        out = capsys.readouterr().out
        assert model.name in out
        for part in ("stock", "oaq", "governor", "stock / mode"):
            assert part in out

    def test_json(self, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
        modes = [word for mode in MODES for word in ("--mode", mode)]
        command = ["benchmark", str(model), "--runs", "2", "--json", "--plan", "int16", *modes]
        assert cli.main(command) == cli.OK
        found = json.loads(capsys.readouterr().out)
        assert [mode["mode"] for mode in found["modes"]] == list(MODES)
        assert all(mode["runs"] == 2 for mode in found["modes"])

    def test_markdown_with_a_profile(self, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
        command = ["benchmark", str(model), "--runs", "2", "--markdown", "--profile"]
        assert cli.main(command) == cli.OK
        out = capsys.readouterr().out
        assert out.startswith("| ")
        assert " us " in out

    @pytest.mark.parametrize(
        "arguments", [["--isa", "zebra"], ["--mode", "oaq"] * 2, ["--threads", "99999"]]
    )
    def test_faults_are_one_line(
        self, arguments: list[str], model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["benchmark", str(model), *arguments]) == cli.FAULT
        error = capsys.readouterr().err
        assert error.startswith("oaq: ")
        assert error.count("\n") == 1


def test_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    governor = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    governor.mkdir(parents=True)
    (governor / "scaling_governor").write_text("ondemand\n")
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_text("Raspberry Pi 3 Model B\0")
    (tmp_path / "proc/cpuinfo").write_text("CPU part\t: 0xd03\n")
    found = read_machine(tmp_path)
    assert (found.board, found.cpu) == ("Raspberry Pi 3 Model B", "Cortex-A53")
    assert found.governor == "ondemand"
    assert found.kernel.endswith("aarch64")
    (tmp_path / "proc/cpuinfo").write_text("model name\t: Some CPU @ 2 GHz\n")
    assert read_machine(tmp_path).cpu == "Some CPU @ 2 GHz"
    monkeypatch.setattr("platform.processor", lambda: "")
    nothing = read_machine(tmp_path / "missing")
    assert (nothing.board, nothing.cpu, nothing.governor) == ("unknown",) * 3


@pytest.mark.usefixtures("_library")
def test_a_table_to_send_in_names_the_model(model: Path) -> None:
    found = benchmark(model, runs=1, warmup=0)
    digest = hashlib.sha256(model.read_bytes()).hexdigest()[:12]
    for text in (str(found), found.to_markdown(), json.dumps(found.to_dict())):
        assert "small.tflite" in text
        assert digest in text
    assert found.to_dict()["plan"] == "auto"


def test_weights_that_look_like_a_name_are_no_operator() -> None:
    # Three letters are found in some weights by chance.
    assert not names_oaq_operators(small_network() + b"Oaq")
    for name in CUSTOM_TO_BUILTIN:
        assert names_oaq_operators(b"..." + name.encode() + b"\0")
