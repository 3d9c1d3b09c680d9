# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.util
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from oaq_keras import cli
from oaq_keras.certificate import POLICY_METADATA
from oaq_keras.certification import certify
from oaq_keras.errors import ModelFileError, UnsupportedError
from oaq_keras.flatbuffer import (
    get_metadata,
    read_model,
    set_metadata,
    shape,
    write_model,
)
from oaq_keras.inflate import inflate_layer
from oaq_keras.int8_layers import int8_layers
from oaq_keras.layouts import C4, C8, CHANNEL, NEVER_DRAINED
from oaq_keras.recertification import recertify
from oaq_keras.rewrite import to_builtin_ops, to_custom_ops
from tests.models import ModelBuilder, small_network, upsampling_network

Inputs = list[list[np.ndarray[Any, Any]]]
NETWORKS = [small_network, upsampling_network]


def inputs_of(content: bytes, count: int, seed: int = 1) -> Inputs:
    """Smooth ones, as images are."""
    graph = read_model(content).subgraphs[0]
    dimensions = shape(graph, int(graph.inputs[0]))
    rng = np.random.default_rng(seed)
    found = rng.normal(40, 40, (count, *dimensions)) + rng.normal(0, 30, (count, 1, 1, 1, 1))
    return [[np.clip(each, -128, 127).astype(np.int8)] for each in found]


def answers(content: bytes, inputs: Inputs) -> np.ndarray[Any, Any]:
    made = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    made.allocate_tensors()
    found = []
    for arrays in inputs:
        made.set_tensor(made.get_input_details()[0]["index"], arrays[0])
        made.invoke()
        found.append(made.get_tensor(made.get_output_details()[0]["index"]).astype(int))
    return np.stack(found)


def lost(content: bytes, original: bytes) -> float:
    inputs = inputs_of(original, 40, seed=7)
    off = answers(content, inputs) - answers(original, inputs)
    return float(np.square(off).mean())


def plainly_inflated(content: bytes) -> bytes:
    model = read_model(content)
    for layer in int8_layers(model)[0]:
        layouts = (CHANNEL,) if layer.kind == "DEPTHWISE_CONV_2D" else (C8, C4)
        inflate_layer(model, layer, layouts, 4 if layer.first else 16)
    return write_model(model)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("depth", [8, 16, NEVER_DRAINED])
@pytest.mark.parametrize("with_data", [False, True])
def test_what_did_not_fit_is_proven(
    network: Callable[[], bytes], depth: int, with_data: bool
) -> None:
    content = network()
    calibration = inputs_of(content, 4) if with_data else None
    found = recertify(content, depth=depth, calibration=calibration)
    certificate = certify(found)
    assert certificate.proven
    assert certificate.depth == depth
    assert not certify(content, depth=depth).proven


@pytest.mark.parametrize("network", NETWORKS)
def test_answers_stay_closer_than_by_plain_inflation(network: Callable[[], bytes]) -> None:
    content = network()
    plain = lost(plainly_inflated(content), content)
    with_data = recertify(content, calibration=inputs_of(content, 40))
    assert lost(recertify(content), content) < plain
    # Of TRANSPOSE_CONV no data is used.
    assert lost(with_data, content) < (0.8 if network is small_network else 1.0) * plain


def _saved(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _header(shape: str) -> bytes:
    text = f"{{'descr': '|i1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _archive(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def test_a_file_that_fits_keeps_its_codes_and_the_same_file_comes_out_every_time() -> None:
    fitting = small_network(largest=15)
    before, after = (int8_layers(read_model(x))[0] for x in (fitting, recertify(fitting)))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old.codes, new.codes)
    content = small_network()
    calibration = inputs_of(content, 3)
    first, second = (recertify(content, calibration=calibration) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        ([], "no inputs"),
        ([[np.zeros((1, 8, 9, 3), np.int8)]], r"shapes \[\(1, 8, 9, 3\)\]"),
        ([[np.zeros((1, 8, 8, 3), np.float32)]], r"of \['float32'\], .* of \['int8'\]"),
        ([np.zeros((1, 8, 8, 3), np.int8)], "a list of inputs, each a list of arrays"),
        (5, "each a list of arrays; got int"),
        ([None], "each a list of arrays; got list"),
        ([[[[1], [2, 3]]]], "each a list of arrays; got list"),
    ],
)
def test_unusable_data_is_refused(calibration: Inputs, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        recertify(small_network(), calibration=calibration)


def test_what_older_metadata_said_of_the_codes_goes() -> None:
    first = recertify(small_network(), depth=8)
    model = read_model(first)
    set_metadata(model, POLICY_METADATA, b"nothing is proven")
    again = recertify(write_model(model), depth=NEVER_DRAINED)
    assert certify(again).depth == NEVER_DRAINED
    assert certify(again).proven
    assert get_metadata(read_model(again), POLICY_METADATA) is None


def test_operators_on_constants_run_for_every_input_and_generators_are_data() -> None:
    builder = ModelBuilder()
    source = builder.input((1, 6, 6, 3))
    kept = builder.tensor("kept", (1, 6, 6, 3), data=np.full((1, 6, 6, 3), 50, np.int8))
    made = builder.quantize(kept, 0.05, 3)
    codes = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3))
    content = builder.build(builder.conv(builder.add(source, made), codes))
    found = recertify(content, calibration=((a[0],) for a in inputs_of(content, 3)))
    assert certify(found).proven
    assert found == recertify(content, calibration=inputs_of(content, 3))


def test_what_no_operator_writes_is_named() -> None:
    builder = ModelBuilder()
    orphan = builder.tensor("orphan", (1, 6, 6, 3))
    source = builder.input((1, 6, 6, 3))
    codes = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3))
    content = builder.build(builder.conv(builder.add(source, orphan), codes))
    with pytest.raises(ModelFileError, match="operator 0 reads the tensor 'orphan'"):
        recertify(content, calibration=inputs_of(content, 3))


@pytest.mark.parametrize("with_data", [False, True])
def test_files_with_our_operators_come_out_with_them(with_data: bool) -> None:
    content = small_network()
    calibration = inputs_of(content, 4) if with_data else None
    found = recertify(to_custom_ops(content), calibration=calibration)
    assert certify(found).proven
    assert all(layer.custom for layer in int8_layers(read_model(found))[0])
    inputs = inputs_of(content, 4, seed=3)
    expected = answers(recertify(content, calibration=calibration), inputs)
    np.testing.assert_array_equal(answers(to_builtin_ops(found), inputs), expected)


@pytest.mark.parametrize("bits", [3, 7, 17, 20, 16.0, True])
def test_bits_that_no_lane_has_are_refused(bits: int) -> None:
    with pytest.raises(UnsupportedError, match=f"accumulator_bits is {bits}"):
        recertify(small_network(), accumulator_bits=bits)


@pytest.mark.parametrize("option", ["depth", "first_layer_depth"])
@pytest.mark.parametrize("value", [0, 4.0, NEVER_DRAINED + 1])
def test_depths_out_of_range_are_refused(option: str, value: Any) -> None:
    with pytest.raises(UnsupportedError, match=f"{option} is {value}"):
        recertify(small_network(), **{option: value})


@pytest.mark.parametrize("network", NETWORKS)
def test_codes_that_were_replaced_leave_the_file(network: Callable[[], bytes]) -> None:
    found = read_model(recertify(network(), calibration=inputs_of(network(), 3)))
    used = {t.buffer for graph in found.subgraphs for t in graph.tensors}
    used |= {entry.buffer for entry in found.metadata}
    assert used | {0} == set(range(len(found.buffers)))


def test_numbers_of_numpy_are_numbers() -> None:
    found = recertify(small_network(), depth=np.int64(8), accumulator_bits=np.int32(14))
    assert found == recertify(small_network(), depth=8, accumulator_bits=14)


class TestCommand:
    def test_with_and_without_data(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source, target, data = (tmp_path / x for x in ("in.tflite", "out.tflite", "data.npz"))
        source.write_bytes(small_network())
        np.savez(data, np.concatenate([a[0] for a in inputs_of(small_network(), 4)]))
        assert cli.main(["recertify", str(source), str(target)]) == cli.OK
        assert "5 of 5 int8 layers proven" in capsys.readouterr().out
        assert target.read_bytes() == recertify(small_network())
        command = ["recertify", str(source), str(target), "--calibration", str(data)]
        assert cli.main(command) == cli.FAULT
        assert cli.main([*command, "--force", "--depth", "8"]) == cli.OK
        assert certify(target).depth == 8
        assert source.read_bytes() == small_network()

    def test_never_overwrites_its_input(self, tmp_path: Path) -> None:
        source = tmp_path / "in.tflite"
        source.write_bytes(small_network())
        assert cli.main(["recertify", str(source), str(source), "--force"]) == cli.FAULT
        assert source.read_bytes() == small_network()

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ([np.zeros((4, 8, 8, 3), np.float32)], "float32"),
            ([np.zeros((4, 8, 9, 3), np.int8)], "takes INT8"),
            ([np.zeros((4, 8, 8, 3), np.int8)] * 2, "2 arrays"),
        ],
    )
    def test_data_of_another_model_is_refused(
        self, arrays: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source, data = tmp_path / "in.tflite", tmp_path / "data.npz"
        source.write_bytes(small_network())
        np.savez(data, *arrays)
        command = ["recertify", str(source), str(tmp_path / "out"), "--calibration", str(data)]
        assert cli.main(command) == cli.FAULT
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "no calibration data"),
            (b"1,2,3\n", "neither .npz nor .npy"),
            (_saved(np.zeros((0, 8, 8, 3), np.int8)), "empty array"),
            (b"PK\x03\x04 cut off", "no calibration data"),
            (b"\x93NUMPY\x01\x00v\x00{'descr': (((, ", "no calibration data"),
            (_archive("notes.txt", b"a text"), "'notes.txt' in it is no array"),
            (_archive("a.npy", _saved(np.zeros((4, 8, 8, 3), np.int8))[:300]), "no calibration"),
            (_archive("a.npy", _saved(np.array([{}]))), "no calibration data"),
            (_archive("a.npy", _saved(np.int8(3))), r"holds int8 \[\]"),
            (_header(f"({10**30},)"), "no calibration data"),
        ],
    )
    def test_files_that_are_no_data_are_refused(
        self, content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source, data = tmp_path / "in.tflite", tmp_path / "data.npz"
        source.write_bytes(small_network())
        data.write_bytes(content)
        command = ["recertify", str(source), str(tmp_path / "out"), "--calibration", str(data)]
        assert cli.main(command) == cli.FAULT
        error = capsys.readouterr().err
        assert re.search(message, error)
        assert "numpy.savez" in error or "takes INT8" in error or "save 100" in error
        assert not (tmp_path / "out").exists()

    def test_one_array_serves_and_the_certificate_is_printed_as_json(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source, target, data = (tmp_path / x for x in ("in.tflite", "out.tflite", "data.npy"))
        source.write_bytes(small_network())
        inputs = inputs_of(small_network(), 4)
        np.save(data, np.concatenate([a[0] for a in inputs]))
        command = ["recertify", str(source), str(target), "--calibration", str(data), "--json"]
        assert cli.main(command) == cli.OK
        assert json.loads(capsys.readouterr().out)["depth"] == 16
        assert target.read_bytes() == recertify(small_network(), calibration=inputs)

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--accumulator-bits", "7"],
            ["--accumulator-bits", "17"],
            ["--depth", str(NEVER_DRAINED + 1)],
            ["--first-layer-depth", "0"],
        ],
    )
    def test_limits_out_of_range_are_usage_errors(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            cli.main(["recertify", "in", "out", *arguments])
        assert arguments[1] in capsys.readouterr().err

    def test_a_folder_that_is_not_there_is_found_out_first(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source, target = tmp_path / "in.tflite", tmp_path / "none" / "out.tflite"
        source.write_bytes(small_network())
        assert cli.main(["recertify", str(source), str(target)]) == cli.FAULT
        assert "there is no folder" in capsys.readouterr().err

    def test_a_source_that_is_not_there_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        target = tmp_path / "out.tflite"
        assert cli.main(["recertify", str(tmp_path / "no.tflite"), str(target)]) == cli.FAULT
        assert "no.tflite" in capsys.readouterr().err
        assert not target.exists()

    def test_needs_no_tensorflow(self, tmp_path: Path) -> None:
        source = tmp_path / "in.tflite"
        source.write_bytes(small_network())
        program = (
            "import sys; from oaq_keras import cli; "
            f"code = cli.main(['recertify', {str(source)!r}, {str(tmp_path / 'out')!r}]); "
            "sys.exit(code or any(name.startswith(('tensorflow', 'tf_keras')) "
            "for name in sys.modules))"
        )
        run = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
        assert run.returncode == 0, run.stderr


def test_a_given_file_is_proven_and_answers_alike(shared_data: Path) -> None:
    spec = importlib.util.spec_from_file_location("cifar10", shared_data / "load_cifar10.py")
    assert spec is not None
    assert spec.loader is not None
    cifar10 = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cifar10)
    images = cifar10.load()[1][0][:400, None].astype(int) - 128
    inputs = [[image] for image in images.astype(np.int8)]
    path = shared_data / "models" / "mlperftiny_resnet8_cifar10_int8.tflite"
    wanted = answers(path.read_bytes(), inputs).argmax(-1)
    for calibration, least in ((None, 0.92), (inputs[:100], 0.93)):
        found = recertify(path, calibration=calibration)
        assert certify(found).proven
        assert (answers(found, inputs).argmax(-1) == wanted).mean() >= least
