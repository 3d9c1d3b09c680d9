# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema

from oaq_keras import library
from oaq_keras.certification import certify
from oaq_keras.custom_ops import CUSTOM_TO_BUILTIN
from oaq_keras.errors import LibraryError, ModelFileError, UnsupportedError
from oaq_keras.flatbuffer import read_model, write_model
from oaq_keras.rewrite import to_custom_ops
from oaq_keras.runtime import Interpreter
from tests.models import SAME, ModelBuilder, random_codes, small_network


@pytest.fixture(autouse=True)
def _library() -> None:
    try:
        library.load()
    except LibraryError as error:
        pytest.skip(f"needs the C library: {error}")


def run(interpreter: Any, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    output = interpreter.get_output_details()[0]["index"]
    return np.asarray(interpreter.get_tensor(output))


def reference(data: bytes, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    kind = litert.OpResolverType.BUILTIN_REF
    return run(
        litert.Interpreter(model_content=data, experimental_op_resolver_type=kind),
        image,
    )


IMAGE = random_codes(np.random.default_rng(5), 1, 8, 8, 3)


@pytest.mark.parametrize("largest", [3, 31, 127])
@pytest.mark.parametrize("plan", ["auto", "int16", "exact"])
@pytest.mark.parametrize("threads", [None, 1, 2])
def test_custom_operators_equal_the_reference(largest: int, plan: str, threads: int | None) -> None:
    data = small_network(largest)
    interpreter = Interpreter(model_content=to_custom_ops(data), num_threads=threads, plan=plan)
    np.testing.assert_array_equal(run(interpreter, IMAGE), reference(data, IMAGE))


def test_builtin_operators_are_claimed_on_demand() -> None:
    data = small_network(31)
    claimed = Interpreter(model_content=data, builtin=True)
    np.testing.assert_array_equal(run(claimed, IMAGE), reference(data, IMAGE))
    layers = [entry for entry in claimed.plan() if entry.kind != "ADD" and entry.macs]
    assert len(layers) == 5
    assert {entry.runs for entry in layers} <= {"int16", "exact"}
    left = Interpreter(model_content=data)
    run(left, IMAGE)
    assert {entry.runs for entry in left.plan()} <= {"stock"}


def test_the_plan_follows_the_proof() -> None:
    data = to_custom_ops(small_network(3))
    interpreter = Interpreter(model_content=data, plan="int16", isa="scalar")
    interpreter.allocate_tensors()
    entries = {entry.op: entry for entry in interpreter.plan()}
    for layer in certify(data).layers:
        entry = entries[layer.op]
        assert entry.name == layer.name
        assert CUSTOM_TO_BUILTIN[entry.kind] == layer.kind
        assert entry.macs == layer.macs
        assert entry.range == layer.input_range
        assert entry.runs == "int16"
    exact = Interpreter(model_content=data, plan="exact")
    exact.allocate_tensors()
    assert {entry.runs for entry in exact.plan() if entry.macs} == {"exact"}
    assert "int16" in str(interpreter.plan())
    assert interpreter.plan().to_json().startswith("[{")


@pytest.mark.parametrize("profile", [False, True])
def test_a_profile_counts_and_times_our_operators(profile: bool) -> None:
    interpreter = Interpreter(model_content=small_network(), builtin=True, profile=profile)
    for _ in range(3):
        run(interpreter, IMAGE)
    for entry in interpreter.plan():
        timed = profile and entry.runs != "stock"
        assert entry.invocations == (3 if timed else None)
        assert (entry.nanoseconds is not None) == timed


def test_signature_runners_and_resizing_work() -> None:
    model = read_model(to_custom_ops(small_network(31)))
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serve", 0
    signature.inputs, signature.outputs = [schema.TensorMapT()], [schema.TensorMapT()]
    signature.inputs[0].name, signature.inputs[0].tensorIndex = "image", 0
    signature.outputs[0].name = "scores"
    signature.outputs[0].tensorIndex = int(model.subgraphs[0].outputs[0])
    model.signatureDefs = [signature]
    interpreter = Interpreter(model_content=write_model(model))
    scores = interpreter.get_signature_runner("serve")(image=IMAGE)["scores"]
    np.testing.assert_array_equal(scores, reference(small_network(31), IMAGE))
    interpreter.resize_tensor_input(0, (3, 8, 8, 3))
    three = run(interpreter, np.concatenate([IMAGE] * 3))
    np.testing.assert_array_equal(three.reshape(3, -1), np.repeat(scores, 3, axis=0))


def test_other_delegates_come_after_ours() -> None:
    seen: list[str] = []

    class Recorder(litert.Delegate):  # type: ignore[misc]
        def _get_native_delegate_pointer(self) -> Any:
            seen.append("theirs")
            return super()._get_native_delegate_pointer()

    theirs = Recorder(library.load().path)
    data = small_network(31)
    interpreter = Interpreter(
        model_content=to_custom_ops(data), experimental_delegates=[theirs], num_threads=2
    )
    assert seen == ["theirs"]
    np.testing.assert_array_equal(run(interpreter, IMAGE), reference(data, IMAGE))
    assert any(entry.macs for entry in interpreter.plan())


def test_litert_keywords_pass_through() -> None:
    data = small_network(31)
    with pytest.warns(UserWarning, match="preserve_all_tensors"):
        interpreter = Interpreter(
            model_content=to_custom_ops(data), experimental_preserve_all_tensors=True
        )
    np.testing.assert_array_equal(run(interpreter, IMAGE), reference(data, IMAGE))


def test_a_path_works_too(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(to_custom_ops(small_network(31)))
    for given in (path, str(path)):
        result = run(Interpreter(given), IMAGE)
        np.testing.assert_array_equal(result, reference(small_network(31), IMAGE))


def test_a_float_model_runs_as_ever() -> None:
    builder = ModelBuilder()
    shape = (1, 4)
    a = builder.tensor("a", shape, None, dtype="float32")
    builder.graph.inputs.append(a)
    out = builder.op("RELU", [a], builder.tensor("b", shape, None, dtype="float32"))
    interpreter = Interpreter(model_content=builder.build(out), builtin=True)
    result = run(interpreter, np.array([[-1, 0, 2, 3]], np.float32))
    assert result.tolist() == [[0, 0, 2, 3]]
    assert {entry.runs for entry in interpreter.plan()} <= {"stock"}


def test_a_grouped_convolution() -> None:
    builder = ModelBuilder()
    x = builder.input((1, 8, 8, 6))
    rng = np.random.default_rng(1)
    data = builder.build(builder.conv(x, random_codes(rng, 8, 3, 3, 3, largest=31)))
    image = random_codes(rng, 1, 8, 8, 6)
    for plan in ("int16", "exact"):
        interpreter = Interpreter(model_content=to_custom_ops(data), plan=plan, isa="scalar")
        np.testing.assert_array_equal(run(interpreter, image), reference(data, image))
        assert interpreter.plan()[0].runs == plan


def test_a_tensor_that_is_read_before_it_is_written_may_hold_any_code() -> None:
    builder = ModelBuilder()
    shape = (1, 2, 2, 24)
    x, late = builder.input(shape), builder.input(shape)
    # At [0, 127] the lanes of this layer are never drained; at [-128, 127] they overflow.
    y = builder.conv(late, np.full((4, 1, 1, 24), 127, np.int8), scale=20.0)
    data = builder.build(y, builder.op("RELU", [x], late))
    results = []
    # On the reference kernels on both sides: XNNPACK would run the writer first.
    kernels = {"experimental_op_resolver_type": litert.OpResolverType.BUILTIN_REF}
    for interpreter in (
        Interpreter(model_content=data, builtin=True, plan="int16", **kernels),
        litert.Interpreter(model_content=data, **kernels),
    ):
        interpreter.allocate_tensors()
        interpreter.set_tensor(x, np.zeros(shape, np.int8))
        interpreter.set_tensor(late, np.full(shape, -128, np.int8))
        interpreter.invoke()
        results.append(interpreter.get_tensor(y))
    assert certify(data).layers[0].input_range == (-128, 127)
    np.testing.assert_array_equal(*results)


def random_network(seed: int) -> bytes:
    """Layers of random formats, activations and weights, one after another."""
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    x = builder.input((1, 9, 7, int(rng.integers(1, 6))), 0.05, int(rng.integers(-128, 128)))
    for i in range(7):
        channels = builder.graph.tensors[x].shape[-1]
        made = int(rng.integers(1, 21))
        tap = int(rng.choice([1, 3]))
        settings: dict[str, Any] = {
            "scale": float(rng.uniform(0.02, 0.3)),
            "zero_point": int(rng.integers(-128, 128)),
            "activation": int(rng.integers(0, 4)),
            "padding": int(rng.integers(0, 2)) if i < 2 else SAME,
        }
        largest = int(rng.choice([2, 15, 127]))
        if rng.random() < 0.4:
            codes = random_codes(rng, 1, tap, tap, channels, largest=largest)
            x = builder.depthwise(x, codes, f"depthwise_{i}", **settings)
        else:
            codes = random_codes(rng, made, tap, tap, channels, largest=largest)
            x = builder.conv(x, codes, f"conv_{i}", **settings)
        if rng.random() < 0.3:
            x = builder.op("RELU", [x], builder.like(x, f"relu_{i}"))
        if rng.random() < 0.3:
            x = builder.concat(x, x, name=f"concat_{i}")
    products = int(np.prod(builder.graph.tensors[x].shape))
    return builder.build(builder.fully_connected(x, random_codes(rng, 5, products)))


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_agree_with_the_reference_and_the_certificate(seed: int) -> None:
    data = random_network(seed)
    rng = np.random.default_rng(seed)
    interpreter = Interpreter(model_content=to_custom_ops(data), plan="int16", isa="scalar")
    interpreter.allocate_tensors()
    shape = interpreter.get_input_details()[0]["shape"]
    for image in (
        random_codes(rng, *shape),
        rng.choice(np.array([-128, 127], np.int8), shape),
    ):
        np.testing.assert_array_equal(run(interpreter, image), reference(data, image))
    entries = {entry.op: entry for entry in interpreter.plan()}
    for layer in certify(data, depth=1, first_layer_depth=1).layers:
        entry = entries[layer.op]
        assert entry.range == layer.input_range
        layout = layer.layouts.get(str(entry.layout))
        if entry.runs == "int16" and entry.tiles == entry.tiles_int16 and layout is not None:
            assert entry.never_drained or (entry.depth or 0) >= layout.max_depth - 1
            if layout.never_drained:
                assert entry.never_drained


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\0\0\0\0TFL3 no more"])
def test_content_that_is_no_model(content: bytes) -> None:
    with pytest.raises(ModelFileError, match="is no TFLite model"):
        Interpreter(model_content=content)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file(share: float, tmp_path: Path) -> None:
    data = to_custom_ops(small_network())
    path = tmp_path / "cut.tflite"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFileError, match=r"cut\.tflite.*damaged"):
        Interpreter(model_path=path)


def test_a_missing_file() -> None:
    with pytest.raises(ModelFileError, match=r"'no\.tflite' cannot be read"):
        Interpreter(model_path="no.tflite")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either model_path or model_content"),
        ({"model_path": "a", "model_content": b"b"}, "either model_path or model_content"),
        ({"model_content": b"x", "plan": "fast"}, "plan is 'fast'"),
        ({"model_content": b"x", "num_threads": 0}, "num_threads is 0"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Interpreter(**arguments)


def test_an_unknown_isa() -> None:
    with pytest.raises(UnsupportedError, match="abacus"):
        Interpreter(model_content=small_network(), isa="abacus")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((1, 3, 3, 3), np.int8), "Got 3 but expected 8"),
        (np.zeros((1, 8, 8, 3), np.float32), "expected type INT8 for input 0, name: input_0"),
    ],
)
def test_wrong_inputs_are_named(value: np.ndarray[Any, Any], message: str) -> None:
    interpreter = Interpreter(model_content=to_custom_ops(small_network()))
    interpreter.allocate_tensors()
    with pytest.raises(ValueError, match=message):
        interpreter.set_tensor(0, value)


def test_interpreters_do_not_share_a_plan() -> None:
    first = Interpreter(model_content=to_custom_ops(small_network(3)), plan="exact")
    second = Interpreter(model_content=to_custom_ops(small_network(3)), plan="int16")
    first.allocate_tensors()
    second.allocate_tensors()
    assert str(first.plan()) != str(second.plan())
    del second
    assert {entry.runs for entry in first.plan() if entry.macs} == {"exact"}


@pytest.mark.parametrize(
    "name", ["mlperftiny_resnet8_cifar10_int8.tflite", "mlperftiny_vww96_int8.tflite"]
)
def test_real_files(name: str, shared_data: Path) -> None:
    data = (shared_data / "models" / name).read_bytes()
    interpreter = Interpreter(model_content=to_custom_ops(data))
    interpreter.allocate_tensors()
    shape = interpreter.get_input_details()[0]["shape"]
    image = random_codes(np.random.default_rng(3), *shape)
    np.testing.assert_array_equal(run(interpreter, image), reference(data, image))
    layers = {layer.op: layer for layer in certify(data).layers}
    for entry in interpreter.plan():
        if entry.op in layers:
            assert entry.range == layers[entry.op].input_range


def _error(content: bytes) -> str:
    with pytest.raises(RuntimeError) as caught:
        litert.Interpreter(model_content=content).allocate_tensors()
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "builtin", "warned"),
    [
        (small_network(), False, True),
        (small_network(), True, False),
        (to_custom_ops(small_network()), False, False),
    ],
)
def test_builtin_layers_that_are_left_are_warned_about(
    content: bytes, builtin: bool, warned: bool
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Interpreter(model_content=content, builtin=builtin)
    assert ["builtin=True" in str(each.message) for each in caught] == [True] * warned


def test_the_readme_quotes_what_a_runtime_says_without_our_kernels() -> None:
    said = " ".join(_error(to_custom_ops(small_network())).split())
    readme = " ".join((Path(__file__).parents[1] / "README.md").read_text().split())
    assert "unresolved custom op" in said
    assert f"RuntimeError: {said}" in readme


@pytest.mark.parametrize("form", ["builtin", "custom"])
def test_compiled_models_run_builtin_operators_alone(
    form: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = small_network()
    file = tmp_path / "model.tflite"
    file.write_bytes(content if form == "builtin" else to_custom_ops(content))
    compiled = pytest.importorskip("ai_edge_litert.compiled_model")

    def ran() -> None:
        model = compiled.CompiledModel.from_file(str(file))
        model.run_by_index(0, model.create_input_buffers(0), model.create_output_buffers(0))

    if form == "builtin":
        ran()
        return
    with pytest.raises(RuntimeError):
        ran()
    assert "unresolved custom op: OaqConv2D" in capfd.readouterr().err
