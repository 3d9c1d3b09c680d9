# SPDX-License-Identifier: Apache-2.0
"""Random networks through our kernels and the reference's; `make soak` runs many more."""

from __future__ import annotations

import json
import math
import os
import platform
import signal
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert

from oaq_keras import library
from oaq_keras.errors import LibraryError
from oaq_keras.flatbuffer import kind, read_model
from oaq_keras.int8_layers import int8_layers
from oaq_keras.layouts import C4, C8, CHANNEL, lane_blocks
from oaq_keras.rewrite import to_custom_ops
from tests.models import ModelBuilder
from tests.netgen import figures, moves, mutate, soak
from tests.netgen.compare import Comparer, Difference
from tests.netgen.draw import draw
from tests.netgen.network import (
    LAYERS,
    InvalidNetworkError,
    Network,
    Node,
    quantizations,
    shapes,
)
from tests.netgen.shrink import shrink
from tests.netgen.write import CERTIFIED_DEPTH, write

LAYER = {
    "weights": "one_sign",
    "certified": False,
    "seed": 1,
    "multiplier": 1.0,
    "per_channel": True,
    "spread": 0,
    "bias": 0,
    "explicit_no_bias": False,
    "activation": 0,
}
DENSE = {"channels": 2, "keep_num_dims": False, "flatten": True, **LAYER}


@pytest.fixture(scope="module")
def kernels() -> library.Library:
    try:
        return library.load()
    except LibraryError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_random_networks_equal_the_reference(kernels: library.Library, first: int) -> None:
    comparer = Comparer(kernels)
    for seed in range(first, first + 20):
        difference = comparer.compare(draw(seed)).difference
        assert difference is None, f"seed {seed}: {difference}"


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_makes_the_same_file(seed: int) -> None:
    network = draw(seed)
    assert network == draw(seed)
    assert write(network).content == write(Network.from_json(network.to_json())).content


def test_networks_are_as_various_as_they_claim() -> None:
    counts: Counter[str] = Counter()
    for seed in range(60):
        network = draw(seed)
        operators = [node for node in network.nodes if node.kind != "INPUT"]
        assert len(operators) >= 10
        assert len(operators) <= 64
        counts.update(node.kind for node in operators)
        readers = Counter(i for node in network.nodes for i in node.inputs)
        counts["branches"] += sum(count > 1 for count in readers.values())
        counts["joins"] += sum(len(set(node.inputs)) > 1 for node in operators)
        counts["zero points at the ends"] += sum(abs(n.zero_point + 0.5) > 127 for n in operators)
        counts["extreme scales"] += sum(not 2**-12 <= n.scale <= 1 for n in operators)
        for node in operators:
            if node.kind in LAYERS:
                counts.update([f"weights {node.options['weights']}"])
                counts["certified"] += node.options["certified"]
                counts["multipliers of 1 and more"] += node.options["multiplier"] >= 1
                counts["grouped"] += node.options.get("groups", 1) > 1
                counts["dilated"] += max(node.options.get("dilation", [1])) > 1
                counts["keeps dimensions"] += node.options.get("keep_num_dims", False)
    assert min(counts.values()) >= 10, counts
    assert len(counts) == 35 + 4 + 7 + 5, counts


def test_certified_layers_fit_the_depth() -> None:
    certified = 0
    for seed in range(10):
        network = draw(seed)
        written = write(network)
        layers = {layer.op: layer for layer in int8_layers(read_model(written.content))[0]}
        for node, operator in zip(network.nodes, written.operators, strict=True):
            if node.kind in LAYERS and node.options["certified"]:
                layer = layers[operator]
                width = layer.input_range[1] - layer.input_range[0]
                for layout in [CHANNEL] if node.kind == "DEPTHWISE_CONV_2D" else [C8, C4]:
                    for codes in layer.by_phase(layer.codes.astype(int)):
                        blocks = lane_blocks(codes, layout, CERTIFIED_DEPTH)
                        assert blocks.max() * width <= 65535
                certified += 1
    assert certified > 20


def test_the_file_holds_the_recipe() -> None:
    for seed in range(20):
        network = draw(seed)
        written = write(network)
        model = read_model(written.content)
        (graph,) = model.subgraphs
        sizes, parameters = shapes(network.nodes), quantizations(network.nodes)
        for i, node in enumerate(network.nodes):
            tensor = graph.tensors[written.tensors[i]]
            assert tuple(tensor.shape) == sizes[i]
            assert (tensor.quantization.scale[0], tensor.quantization.zeroPoint[0]) == parameters[i]
            if node.kind != "INPUT":
                operator = graph.operators[written.operators[i]]
                assert kind(model, operator) == node.kind
                assert list(operator.outputs) == [written.tensors[i]]


@pytest.mark.parametrize(
    "node",
    [
        Node("CONV_2D", (0,), options={**LAYER, "kernel": [4, 1], "channels": 1, "groups": 1}),
        Node("CONV_2D", (0,), options={**LAYER, "kernel": [1, 1], "channels": 3, "groups": 2}),
        Node("RESHAPE", (0,), options={"shape": [1, 13]}),
        Node("CONCATENATION", (0, 1), options={"axis": 1}),
        Node("PAD", (0,), options={"paddings": [[0, 0]]}),
        Node("MIRROR_PAD", (0,), options={"paddings": [[0, 0]] * 3 + [[2, 0]], "mode": 0}),
        Node("PACK", (0, 1), options={"axis": 0}),
        Node("SQUEEZE", (0,), options={"axes": [1]}),
        Node("EXPAND_DIMS", (0,), options={"axis": 5}),
        Node("TRANSPOSE", (0,), options={"order": [0, 1, 2, 2]}),
        Node("SLICE", (0,), options={"begin": [0, 0, 2, 0], "size": [1, 3, 2, 2]}),
        Node("GATHER", (0,), options={"axis": 3, "indices": [2]}),
        Node("TILE", (0,), options={"multiples": [1, 2]}),
        Node("BROADCAST_TO", (0,), options={"shape": [1, 6, 3, 2]}),
        Node("SPACE_TO_DEPTH", (0,), options={"block": 2}),
        Node("DEPTH_TO_SPACE", (0,), options={"block": 2}),
        Node("SPACE_TO_BATCH_ND", (0,), options={"blocks": [1, 2], "paddings": [[0, 0], [1, 1]]}),
        Node("BATCH_TO_SPACE_ND", (0,), options={"blocks": [2, 1], "crops": [[0, 0], [0, 0]]}),
        Node("BATCH_TO_SPACE_ND", (0,), options={"blocks": [1, 1], "crops": [[2, 1], [0, 0]]}),
        Node("RELU", (0,), scale=2.0**-60),
    ],
)
def test_recipes_of_nothing_are_invalid(node: Node) -> None:
    window = {"stride": [1, 1], "dilation": [1, 1], "padding": "VALID"}
    given = [Node("INPUT", options={"shape": [1, 3, 3, 2], "seed": i}) for i in range(2)]
    given[1] = given[1].having(shape=[1, 3, 3, 4])
    nodes = (*given, node.having(**window) if node.kind == "CONV_2D" else node)
    with pytest.raises(InvalidNetworkError):
        write(Network(0, nodes))


# What happens when there is a difference.


def corrupted(kernels: library.Library, wanted: str, activation: int) -> Comparer:
    """A comparer to whom kernels with that activation are off by one in their largest code."""

    def corrupt(node: Node, codes: np.ndarray) -> np.ndarray:
        if node.kind != wanted or node.options["activation"] != activation:
            return codes
        return np.where(codes == codes.max(), codes ^ 1, codes)

    return Comparer(kernels, corrupt)


def first_failure(comparer: Comparer) -> tuple[Network, Difference]:
    for seed in range(100):
        network = draw(seed)
        difference = comparer.compare(network).difference
        if difference is not None:
            return network, difference
    raise AssertionError("no network shows the fault")


@pytest.mark.parametrize(("wanted", "activation"), [("DEPTHWISE_CONV_2D", 3), ("CONV_2D", 2)])
def test_a_fault_is_found_and_shrunk(
    kernels: library.Library, wanted: str, activation: int
) -> None:
    comparer = corrupted(kernels, wanted, activation)
    network, difference = first_failure(comparer)
    assert difference.kind == wanted
    assert len(network.nodes) > 10
    way = [difference.way]
    minimal = shrink(network, lambda made: comparer.compare(made, way).difference is not None)
    source, layer = minimal.nodes
    assert (source.kind, layer.kind) == ("INPUT", wanted)
    assert layer.options["activation"] == activation
    assert shapes(minimal.nodes) == [(1, 1, 1, 1)] * 2
    assert layer.options["kernel"] == layer.options["stride"] == [1, 1]
    assert not layer.options["certified"]
    assert comparer.compare(minimal, way).difference is not None


def test_shrinking_keeps_what_the_fault_needs() -> None:
    """Two nodes on different branches, and a size: nothing else."""

    def fails(network: Network) -> bool:
        kinds = {node.kind for node in network.nodes}
        wide = any(shape[-1] >= 5 for shape in shapes(network.nodes))
        return {"FULLY_CONNECTED", "MAX_POOL_2D"} <= kinds and wide

    network = next(made for made in map(draw, range(100)) if fails(made))
    minimal = shrink(network, fails)
    assert fails(minimal)
    assert Counter(n.kind for n in minimal.nodes if n.kind != "INPUT") == {
        "FULLY_CONNECTED": 1,
        "MAX_POOL_2D": 1,
    }
    assert max(shape[-1] for shape in shapes(minimal.nodes)) == 5


# Sizes of the others depend on those around them.
@pytest.mark.parametrize(
    "wanted",
    sorted(
        moves.SHAPES.keys()
        - {"CONCATENATION", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "STRIDED_SLICE", "SQUEEZE"}
    ),
)
def test_options_shrink_to_the_simplest(wanted: str) -> None:
    def fails(network: Network) -> bool:
        return any(node.kind == wanted for node in network.nodes)

    failing = [made for made in map(draw, range(100)) if fails(made)][:3]
    # Sizes that hang together, of a filter and what comes after it, say, shrink one by one alone.
    shrunk = [shrink(made, fails) for made in failing]
    minimal = min(shrunk, key=lambda made: sum(map(math.prod, shapes(made.nodes))))
    (node,) = (node for node in minimal.nodes if node.kind == wanted)
    for name, value in node.options.items():
        if name in ("paddings", "crops", "begin", "indices"):
            assert not np.any(value)
        elif name in ("shape", "multiples", "blocks", "block", "mode"):
            assert np.max(value) == 1
        elif name == "order":
            assert value == sorted(value)
    assert prod(shapes(minimal.nodes)[minimal.nodes.index(node)]) <= 8


@pytest.mark.parametrize("attempts", [0, 3])
def test_shrinking_ends(attempts: int) -> None:
    asked: list[Network] = []
    shrink(draw(1), lambda made: bool(asked.append(made)), attempts)
    assert len(asked) == attempts


def test_figures_replace_their_section_alone() -> None:
    run = {
        "networks": 1234,
        "first_seed": 0,
        "seconds": 90.0,
        "library": "abc",
        "failures": [],
        "counts": {"operators ADD": 1000, "layers int16": 4, "layers never drained": 1},
    }
    tried = {"networks": 9, "mutations": [{"what": "a fault", "networks": 3, "difference": "x"}]}
    made = figures.render([run], [tried])
    assert "| networks | 1,234 |" in made
    assert "| never drained under plan=int16 | 25.0% |" in made
    assert "| lanes that left int16 | not watched |" in made
    assert "| a fault | 3 |" in made
    text = f"before\n{figures.BEGIN}old\n{figures.END}after\n"
    once = figures.insert(text, made)
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert "old" not in once
    assert figures.insert(once, made) == once
    with pytest.raises(SystemExit, match="once"):
        figures.insert("no markers", made)


@pytest.mark.parametrize("mutation", mutate.MUTATIONS, ids=lambda mutation: mutation.what)
def test_a_fault_has_one_place_in_the_sources(mutation: mutate.Mutation) -> None:
    assert (mutate.SOURCES / mutation.path).read_text().count(mutation.old) == 1
    assert mutation.new != mutation.old


def test_soak_goes_on_where_it_stopped(kernels: library.Library, tmp_path: Path) -> None:
    lines: list[str] = []
    state = soak.Soak(tmp_path, seed=40)
    soak.soak(state, networks=30, seconds=60, jobs=2, log=lines.append)
    written = json.loads((tmp_path / "soak.json").read_text())
    assert written["networks"] == 30
    assert written["seeds"] == [[40, 70]]
    again = soak.Soak(tmp_path, seed=40, resume=True)
    soak.soak(again, networks=35, seconds=60, jobs=1, log=lines.append)
    assert again.record["seeds"] == [[40, 75]]
    assert again.record["networks"] == 35
    assert not again.failures
    with pytest.raises(SystemExit, match="first_seed"):
        soak.Soak(tmp_path, seed=41, resume=True)


def test_soak_reports_crashes_and_goes_on(
    kernels: library.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Comparer.compare

    def crash(self: Comparer, network: Network, chosen: object = None) -> object:
        if network.seed == 3 and chosen != ():
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, network, chosen)

    monkeypatch.setattr(Comparer, "compare", crash)
    monkeypatch.setattr(soak, "shrink", lambda network, fails: network)
    state = soak.Soak(tmp_path, seed=0)
    soak.soak(state, networks=6, seconds=60, jobs=1, log=lambda line: None)
    (failure,) = state.failures
    assert failure["seed"] == 3
    assert "crashed" in failure["difference"]
    assert state.record["networks"] == 6
    assert len(read_model(failure["network"]).subgraphs) == 1
    recipe = Path(failure["network"]).with_suffix(".json").read_text()
    assert Network.from_json(recipe) == Network.from_json(draw(3).to_json())


# Where the reference gives no answer to hold ours against.


def reference(
    content: bytes,
    codes: np.ndarray,
    *,
    keep: bool = True,
    delegate: Any = None,
    resolver: str = "BUILTIN_REF",
) -> Any:
    made = litert.Interpreter(
        model_content=content,
        experimental_op_resolver_type=getattr(litert.OpResolverType, resolver),
        experimental_preserve_all_tensors=keep,
        experimental_delegates=delegate and [delegate],
    )
    made.allocate_tensors()
    (detail,) = made.get_input_details()
    made.set_tensor(detail["index"], np.broadcast_to(codes, detail["shape"]))
    made.invoke()
    return made


@pytest.mark.xfail(
    platform.machine() == "x86_64",
    reason="LiteRT's reference FULLY_CONNECTED converts a double that no int32 holds, undefined in "
    "C: x86 makes it the least int32, ARM the nearest; ours takes the nearest everywhere",
)
def test_fully_connected_sums_beyond_int32(kernels: library.Library) -> None:
    # 1024 products of 127 * 127 and a real multiplier of 256: 2^32.
    builder = ModelBuilder()
    weights = np.full((1, 1024), 127, np.int8)
    source = builder.input((1, 1024), scale=1.0)
    output = builder.fully_connected(source, weights, scale=0.005 / 256)
    content = builder.build(output)
    delegate = litert.load_delegate(kernels.path, {"builtin": "1"})
    codes = np.full(1, 127, np.int8)
    ours = reference(content, codes, delegate=delegate).get_tensor(output)
    np.testing.assert_array_equal(ours, reference(content, codes).get_tensor(output))


WINDOW = {"kernel": [1, 1], "stride": [1, 1], "dilation": [1, 1], "padding": "VALID", "groups": 1}
ADDED = {"operand": "scalar", "seed": 1, "activation": 0}
ROWS = {**DENSE, "flatten": False, "channels": 1, "multiplier": 2.0**-14}


@pytest.mark.xfail(
    reason="LiteRT's memory plan: ADD writes over its input's memory, which a chain of RESHAPEs "
    "shares with a tensor that FULLY_CONNECTED is still to read; without a delegate, too",
)
def test_the_reference_does_not_depend_on_its_memory_plan() -> None:
    pool = {"kernel": [1, 1], "stride": [1, 1], "padding": "VALID", "activation": 0}
    network = Network(
        691,
        (
            Node("INPUT", options={"shape": [3, 1, 1, 96], "seed": 1}),
            Node("AVERAGE_POOL_2D", (0,), options=pool),
            Node("RESHAPE", (1,), options={"shape": [3, 2, 1, 48]}),
            Node("RESHAPE", (2,), options={"shape": [3, 2, 48]}),
            Node("ADD", (3,), options=ADDED),
            Node("FULLY_CONNECTED", (2,), 1.0, options=ROWS),
            Node("FULLY_CONNECTED", (4,), 1.0, options=ROWS),
        ),
    )
    written = write(network)
    codes = np.arange(96, dtype=np.int8)
    kept, shared = (reference(written.content, codes, keep=keep) for keep in (True, False))
    for node in network.outputs:
        tensor = written.tensors[node]
        np.testing.assert_array_equal(shared.get_tensor(tensor), kept.get_tensor(tensor))


def overwritten_network() -> Network:
    """A RESHAPE shares the memory of what CONV_2D reads with SUB, which writes over it."""
    layer = {**LAYER, **WINDOW, "multiplier": 2.0**-9}
    return Network(
        2179,
        (
            Node("INPUT", options={"shape": [1, 17, 3, 1], "seed": 1}),
            Node("CONV_2D", (0,), 1.0, options={**layer, "channels": 2}),
            Node("MUL", (1,), 1.0, options=ADDED),
            Node("CONV_2D", (2,), 1.0, options={**layer, "channels": 1}),
            Node("RESHAPE", (2,), options={"shape": [1, 1, 51, 2]}),
            Node("SUB", (4,), 1.0, 64, options=ADDED),
            Node("FULLY_CONNECTED", (5,), 1.0, options=ROWS),
        ),
    )


# With BUILTIN, XNNPACK claims what we leave, and has the runtime reorder it.
@pytest.mark.parametrize("resolver", ["BUILTIN_REF", "BUILTIN"])
@pytest.mark.parametrize("form", ["builtin", "custom"])
def test_a_delegate_keeps_what_others_read(
    kernels: library.Library, form: str, resolver: str
) -> None:
    network = overwritten_network()
    written = write(network)
    content = written.content if form == "builtin" else to_custom_ops(written.content)
    codes = np.arange(3, dtype=np.int8)[:, None]
    delegate = litert.load_delegate(kernels.path, {"builtin": "1"})
    expected = reference(written.content, codes, keep=False)
    ours = reference(content, codes, keep=False, delegate=delegate, resolver=resolver)
    for node in network.outputs:
        tensor = written.tensors[node]
        np.testing.assert_array_equal(ours.get_tensor(tensor), expected.get_tensor(tensor))
