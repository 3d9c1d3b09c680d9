# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oaq_keras import cli, flatbuffer, library
from oaq_keras.certificate import METADATA, Certificate
from oaq_keras.certification import certify
from oaq_keras.errors import LibraryError
from tests.models import small_network


@pytest.fixture
def proven(tmp_path: Path) -> Path:
    path = tmp_path / "proven.tflite"
    path.write_bytes(small_network(largest=15))
    return path


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    path = tmp_path / "refused.tflite"
    path.write_bytes(small_network(largest=127))
    return path


def one_line(text: str) -> bool:
    return text.startswith("oaq: ") and text.count("\n") == 1


def constants(path: Path) -> list[bytes]:
    model = flatbuffer.read_model(path)
    return [bytes(model.buffers[t.buffer].data) for g in model.subgraphs for t in g.tensors]


def kinds(path: Path) -> set[str]:
    model = flatbuffer.read_model(path)
    return {flatbuffer.kind(model, o) for g in model.subgraphs for o in g.operators}


class TestCertify:
    def test_exit_code_says_whether_it_is_proven(
        self, proven: Path, refused: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["certify", str(proven)]) == cli.OK
        assert "5 of 5 int8 layers proven" in capsys.readouterr().out
        assert cli.main(["certify", str(refused)]) == cli.REFUSED
        assert "not proven" in capsys.readouterr().out

    def test_depth_is_what_was_asked(self, refused: Path) -> None:
        shallow = ["--depth", "1", "--first-layer-depth", "1"]
        assert cli.main(["certify", str(refused)]) == cli.REFUSED
        assert certify(refused, depth=1, first_layer_depth=1).depth == 1
        expected = certify(refused, depth=1, first_layer_depth=1).proven
        assert cli.main(["certify", str(refused), *shallow]) == (
            cli.OK if expected else cli.REFUSED
        )

    def test_json_is_a_certificate(self, proven: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["certify", str(proven), "--json"]) == cli.OK
        assert Certificate.from_json(capsys.readouterr().out) == certify(proven)

    def test_picture_is_a_png(self, refused: Path, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        picture = tmp_path / "headroom.png"
        assert cli.main(["certify", str(refused), "--picture", str(picture)]) == cli.REFUSED
        assert picture.read_bytes().startswith(b"\x89PNG")

    @pytest.mark.parametrize("name", ["missing/headroom.png", "headroom.zebra"])
    def test_picture_that_cannot_be_written(
        self, name: str, proven: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = ["certify", str(proven), "--picture", str(tmp_path / name)]
        assert cli.main(command) == cli.FAULT
        assert one_line(capsys.readouterr().err)

    def test_edited_certificate_is_refused(
        self, refused: Path, proven: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        forge(refused, proven)
        assert cli.main(["certify", str(refused)]) == cli.REFUSED
        assert one_line(capsys.readouterr().err)


def forge(target: Path, source: Path) -> None:
    """Gives a file the certificate of another's codes."""
    model = flatbuffer.read_model(target)
    certificate = certify(source).to_json().encode()
    flatbuffer.set_metadata(model, METADATA, certificate)
    target.write_bytes(flatbuffer.write_model(model))


class TestInspect:
    def test_names_operators_ranges_and_share(
        self, proven: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["inspect", str(proven)]) == cli.OK
        out = capsys.readouterr().out
        for part in ("DEPTHWISE_CONV_2D", "0..127", "-128..127", "100.0% proven"):
            assert part in out

    def test_json(self, refused: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["inspect", str(refused), "--json"]) == cli.OK
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert found["operators"][0]["range"] == [0, 127]
        assert found["summary"]["layers"] == 5
        assert found["proven"] is False

    def test_lacks_only_the_plan_without_the_library(
        self,
        proven: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv(library.VARIABLE, "missing.so")
        assert cli.main(["inspect", str(proven)]) == cli.OK
        assert "no plan: OAQ_LIBRARY is 'missing.so'" in capsys.readouterr().out

    def test_plan_covers_every_layer(
        self, proven: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        try:
            library.library_path()
        except LibraryError as error:
            pytest.skip(str(error))
        assert cli.main(["inspect", str(proven), "--json"]) == cli.OK
        found = json.loads(capsys.readouterr().out)
        assert found["plan_reason"] == ""
        assert sum(entry["runs"] in ("int16", "exact") for entry in found["plan"]) == 5
        memory = found["memory"]
        assert memory["extra"] == memory["packed"] + memory["scratch"]
        assert memory["scratch"] > 0
        assert cli.main(["inspect", str(proven)]) == cli.OK
        assert f"memory: {memory['weights']:,} bytes of int8" in capsys.readouterr().out

    def test_edited_certificate_is_named(
        self, refused: Path, proven: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        forge(refused, proven)
        assert cli.main(["inspect", str(refused)]) == cli.OK
        assert "not certified" in capsys.readouterr().out


class TestVerify:
    @pytest.mark.parametrize("json_too", [False, True])
    def test_agrees_with_a_true_certificate(
        self, proven: Path, json_too: bool, capsys: pytest.CaptureFixture[str]
    ) -> None:
        forge(proven, proven)
        assert cli.main(["verify", str(proven), *["--json"] * json_too]) == cli.OK
        out = capsys.readouterr().out
        assert json.loads(out)["problems"] == [] if json_too else "all agree" in out

    def test_names_what_a_forged_one_gets_wrong(
        self, refused: Path, proven: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        forge(refused, proven)
        assert cli.main(["verify", str(refused)]) == cli.REFUSED
        assert "worst case" in capsys.readouterr().out

    def test_no_model_is_a_fault(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "x.tflite"
        path.write_bytes(b"nothing")
        assert cli.main(["verify", str(path)]) == cli.FAULT
        assert one_line(capsys.readouterr().err)


class TestConvert:
    def test_forged_certificate_goes_into_no_new_file(
        self, refused: Path, proven: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        forge(refused, proven)
        command = ["convert", str(refused), str(tmp_path / "out.tflite"), "--ops", "custom"]
        assert cli.main(command) == cli.REFUSED
        assert one_line(capsys.readouterr().err)
        assert not (tmp_path / "out.tflite").exists()

    def test_changes_operators_and_no_code(self, proven: Path, tmp_path: Path) -> None:
        custom, back = tmp_path / "custom.tflite", tmp_path / "back.tflite"
        assert cli.main(["convert", str(proven), str(custom), "--ops", "custom"]) == cli.OK
        assert {"OaqConv2D", "OaqDepthwiseConv2D", "OaqFullyConnected"} <= kinds(custom)
        assert cli.main(["convert", str(custom), str(back), "--ops", "builtin"]) == cli.OK
        assert kinds(back) == kinds(proven)
        assert constants(proven) == constants(custom) == constants(back)
        assert certify(custom).proven

    def test_overwrites_on_request_only(
        self, proven: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        target = tmp_path / "out.tflite"
        target.write_bytes(b"precious")
        command = ["convert", str(proven), str(target), "--ops", "custom"]
        assert cli.main(command) == cli.FAULT
        assert one_line(capsys.readouterr().err)
        assert target.read_bytes() == b"precious"
        assert cli.main([*command, "--force"]) == cli.OK
        assert flatbuffer.read_model(target)

    def test_refuses_to_overwrite_its_input(
        self, proven: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = proven.read_bytes()
        link = tmp_path / "link.tflite"
        link.symlink_to(proven)
        for target in (proven, link, proven.parent / "." / proven.name):
            command = ["convert", str(proven), str(target), "--ops", "custom", "--force"]
            assert cli.main(command) == cli.FAULT
            assert "same file" in capsys.readouterr().err
        assert proven.read_bytes() == before

    def test_leaves_nothing_behind_when_it_fails(
        self, proven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        target = tmp_path / "out.tflite"
        assert cli.main(["convert", str(proven), str(target), "--ops", "custom"]) == cli.FAULT
        assert sorted(tmp_path.iterdir()) == [proven]

    def test_writes_where_links_are_not_to_be_had(
        self, proven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unsupported(*_: Any, **__: Any) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", unsupported)
        target = tmp_path / "out.tflite"
        assert cli.main(["convert", str(proven), str(target), "--ops", "custom"]) == cli.OK
        assert sorted(tmp_path.iterdir()) == sorted([proven, target])


class TestFaults:
    @pytest.mark.parametrize("content", [b"", b"not a model at all", None])
    @pytest.mark.parametrize("command", ["inspect", "certify"])
    def test_one_line_and_no_traceback(
        self,
        command: str,
        content: bytes | None,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        path = tmp_path / "bad.tflite"
        if content is not None:
            path.write_bytes(content)
        assert cli.main([command, str(path)]) == cli.FAULT
        assert one_line(capsys.readouterr().err)

    @pytest.mark.parametrize("depth", ["0", "-1", "x", "1.5"])
    def test_depth_is_a_positive_number(self, depth: str, proven: Path) -> None:
        with pytest.raises(SystemExit) as stopped:
            cli.main(["certify", str(proven), "--depth", depth])
        assert stopped.value.code == 2

    def test_reader_may_stop_early(self, proven: Path) -> None:
        # A pipe that nobody reads any more, as behind `| head`.
        receiver, sender = os.pipe()
        os.close(receiver)
        run = subprocess.run(
            [sys.executable, "-m", "oaq_keras.cli", "inspect", str(proven)],
            stdout=sender,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        os.close(sender)
        assert run.stderr == ""
        assert run.returncode == cli.OK


class TestDoctor:
    def test_json_lists_what_it_looked_at(self, capsys: pytest.CaptureFixture[str]) -> None:
        code = cli.main(["doctor", "--json"])
        found = json.loads(capsys.readouterr().out)
        assert {"oaq-keras", "Python", "ai-edge-litert", "C library", "CPU"} <= {
            entry["name"] for entry in found
        }
        assert (code == cli.OK) == all(entry["status"] != "problem" for entry in found)

    def test_a_missing_library_comes_with_advice(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(library.VARIABLE, "missing.so")
        assert cli.main(["doctor"]) == cli.FAULT
        out = capsys.readouterr().out
        assert "OAQ_LIBRARY is 'missing.so'" in out
        assert "-> " in out

    def test_a_library_of_another_version_is_a_problem(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        try:
            library.library_path()
        except LibraryError as error:
            pytest.skip(str(error))
        monkeypatch.setattr(library.Library, "version", "0.0.1")
        assert cli.main(["doctor"]) == cli.FAULT
        assert "is of version 0.0.1" in capsys.readouterr().out
