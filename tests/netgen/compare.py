# SPDX-License-Identifier: Apache-2.0
"""Runs a network in every way our kernels have, and in TFLite's reference kernels."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import interpreter as litert

from oaq_keras.flatbuffer import constant, read_model, write_model
from oaq_keras.int8_layers import int8_layers
from oaq_keras.library import Library
from oaq_keras.plan import Plan, PlanEntry
from oaq_keras.rewrite import to_custom_ops
from tests.isas import available_isas
from tests.netgen import constants
from tests.netgen.network import LAYERS, Network, Node, quantizations
from tests.netgen.write import Written, write

Codes = constants.Codes
Corrupt = Callable[[Node, Codes], Codes]

_REFERENCE = litert.OpResolverType.BUILTIN_REF
# Of a layer: with less, the kernels leave their threads asleep.
_MACS_TO_SPLIT = 2 << 16
_TABLES = ("QUANTIZE", "LEAKY_RELU")
# Of the scales of these: from here on their products leave 32 bits.
_RATIO = 2.0**23
_FORMS = ("builtin", "custom")
_PLANS = ("int16", "exact", "auto")


class ReferenceRefusedError(Exception):
    """The reference kernels do not run the network: it is not legal."""


@dataclass(frozen=True)
class Way:
    """One way to run a network in our kernels.

    Attributes:
      form: builtin operators, or Oaq operators in a rewritten file.
      plan, threads: the delegate's options.
      intermediates: compare all tensors; the runtime then shares no memory between them. Without,
        only the outputs can be compared, of tensors that share it.
    """

    form: str
    plan: str
    threads: int
    isa: str = "scalar"
    intermediates: bool = True


@dataclass(frozen=True)
class Difference:
    """The first thing that was not as it should be: in which way, at which node, and what."""

    way: Way
    inputs: str
    node: int
    kind: str
    what: str

    def __str__(self) -> str:
        way = f"{self.way.form} ops, {self.way.isa}, plan {self.way.plan}"
        way += f", {self.way.threads} thread(s)"
        return f"node {self.node} ({self.kind}), {self.inputs} inputs, {way}: {self.what}"


@dataclass
class Outcome:
    """What a comparison found, and what it counted."""

    difference: Difference | None = None
    counts: Counter[str] = field(default_factory=Counter)


def ways(seed: int, isas: Sequence[str]) -> list[Way]:
    """Every form and plan; kernels, threads and the way that shares memory take turns."""
    pairs = [(form, plan) for form in _FORMS for plan in _PLANS]
    turns = (seed // 2 + i for i in range(len(pairs) + 1))
    kernels = [isas[turn % len(isas)] for turn in turns]
    kept = [Way(*pair, threads=1 + (seed + i) % 2, isa=kernels[i]) for i, pair in enumerate(pairs)]
    shared = Way(*pairs[seed % len(pairs)], threads=2, isa=kernels[-1], intermediates=False)
    return [*kept, shared]


class _LaneCounts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("drains", "overflows", "smallest", "largest")]


class Comparer:
    """Holds our kernels against the reference's.

    Args:
      library: the one to hold; if it was built to count overflows, there must be none either.
      corrupt: changes what our kernels wrote, for tests of what comes after a difference.
    """

    def __init__(self, library: Library, corrupt: Corrupt | None = None) -> None:
        self._library = library
        self._corrupt = corrupt
        self._lanes = getattr(ctypes.CDLL(library.path), "oaq_overflow_counts", None)

    def compare(self, network: Network, chosen: Iterable[Way] | None = None) -> Outcome:
        """The first difference of a network, if there is one.

        Raises:
          InvalidNetworkError: the recipe describes no network.
          ReferenceRefusedError: the reference kernels do not take it.
        """
        written = write(network)
        try:
            expected = _expected(network, written)
        except (RuntimeError, ValueError) as error:
            raise ReferenceRefusedError(str(error)) from error
        outcome = Outcome()
        outcome.counts.update(f"operators {n.kind}" for n in network.nodes if n.kind != "INPUT")
        files = {"builtin": written.content}
        isas = available_isas(self._library.path)
        for way in ways(network.seed, isas) if chosen is None else chosen:
            if way.form not in files:
                # Of every fourth network: to read and write it again takes as long as to run it.
                custom = to_custom_ops(written.content)
                files[way.form] = custom if network.seed % 4 else _without_zero_biases(custom)
            if not way.intermediates and not _shares_memory_well(network, written, expected):
                outcome.counts["networks that LiteRT's memory plan changes"] += 1
                continue
            outcome.difference = self._run(network, written, files, way, expected, outcome.counts)
            if outcome.difference is not None:
                break
        return outcome

    def _run(
        self,
        network: Network,
        written: Written,
        files: dict[str, bytes],
        way: Way,
        expected: dict[str, list[Codes]],
        counts: Counter[str],
    ) -> Difference | None:
        options = {"builtin": int(way.form == "builtin"), "plan": way.plan, "isa": way.isa}
        delegate = litert.load_delegate(
            self._library.path, {**options, "num_threads": str(way.threads)}
        )
        try:
            ours = _interpreter(files[way.form], way.intermediates, way.threads, delegate)
        except (RuntimeError, ValueError) as error:
            return Difference(way, "no", -1, "network", f"refused: {error}")
        plan = Plan.from_json(self._library.plan_json(delegate))
        runs = {entry.op: entry for entry in plan}
        compared = range(len(network.nodes)) if way.intermediates else network.outputs
        for kind, wanted in expected.items():
            _feed(ours, network, written, kind)
            ours.invoke()
            for node in compared:
                actual = ours.get_tensor(written.tensors[node])
                if self._corrupt is not None:
                    actual = self._corrupt(network.nodes[node], actual)
                entry = runs.get(written.operators[node])
                what = _codes(actual, wanted[node]) or _planned(network, node, entry, way, wanted)
                if what:
                    return Difference(way, kind, node, network.nodes[node].kind, what)
        # Where tensors share memory, LiteRT's plan may hand a layer codes that no operator wrote
        # for it, and the outputs may hide that (tests/test_netgen.py).
        overflows = self._count_lanes(delegate, counts) if way.intermediates else 0
        if overflows:
            return Difference(way, "all", -1, "network", f"{overflows} lanes overflowed")
        layers = [entry for entry in plan if entry.macs and entry.runs != "stock"]
        counts["invocations"] += len(expected)
        counts["tensors"] += len(expected) * len(compared)
        if way.threads > 1:
            split = [entry for entry in layers if (entry.macs or 0) >= _MACS_TO_SPLIT]
            counts["layers run on threads"] += len(split) * len(expected)
        counts[f"runs on {way.isa}"] += len(expected)
        _count(counts, layers, len(expected), first=way.plan == "int16" and way.form == "builtin")
        return None

    def _count_lanes(self, delegate: Any, counts: Counter[str]) -> int:
        if self._lanes is None:
            return 0
        lanes = _LaneCounts()
        pointer = delegate._get_native_delegate_pointer()
        self._lanes(ctypes.c_void_p(pointer), ctypes.byref(lanes))
        counts["lane drains watched"] += lanes.drains
        counts["lane overflows"] += lanes.overflows
        return int(lanes.overflows)


def _expected(network: Network, written: Written) -> dict[str, list[Codes]]:
    """The reference's codes of every node, for each kind of inputs."""
    reference = _interpreter(written.content, True, 1)
    expected = {}
    for kind in constants.INPUTS:
        _feed(reference, network, written, kind)
        reference.invoke()
        expected[kind] = [reference.get_tensor(tensor) for tensor in written.tensors]
    return expected


def _interpreter(content: bytes, intermediates: bool, threads: int, delegate: Any = None) -> Any:
    made = litert.Interpreter(
        model_content=content,
        experimental_op_resolver_type=_REFERENCE,
        experimental_preserve_all_tensors=intermediates,
        experimental_delegates=None if delegate is None else [delegate],
        num_threads=threads,
    )
    made.allocate_tensors()
    return made


def _feed(target: Any, network: Network, written: Written, kind: str) -> None:
    for node, tensor in zip(network.nodes, written.tensors, strict=True):
        if node.kind == "INPUT":
            shape = tuple(node.options["shape"])
            target.set_tensor(tensor, constants.inputs(kind, node.options["seed"], shape))


def _shares_memory_well(
    network: Network, written: Written, expected: dict[str, list[Codes]]
) -> bool:
    """Whether the reference's outputs are the same where tensors share memory.

    LiteRT 2.3 lets an operator write over its input although another is still to read it, where a
    chain of RESHAPEs lies between the two (tests/test_netgen.py).
    """
    reference = _interpreter(written.content, False, 1)
    for kind, wanted in expected.items():
        _feed(reference, network, written, kind)
        reference.invoke()
        for node in network.outputs:
            if _codes(reference.get_tensor(written.tensors[node]), wanted[node]):
                return False
    return True


def _without_zero_biases(content: bytes) -> bytes:
    """Builtin CONV_2D has to have a bias, Oaq operators need none."""
    model = read_model(content)
    for layer in int8_layers(model)[0]:
        graph = model.subgraphs[layer.subgraph]
        if layer.bias >= 0 and not constant(model, graph, layer.bias).any():
            operator = graph.operators[layer.op]
            operator.inputs = [*operator.inputs[:-1], *([-1] if layer.op % 2 else [])]
    return write_model(model)


def _codes(actual: Codes, wanted: Codes) -> str:
    if actual.shape != wanted.shape:
        return f"shape {actual.shape}, the reference's is {wanted.shape}"
    if np.array_equal(actual, wanted):
        return ""
    wrong = np.argwhere(actual != wanted)
    at = tuple(int(i) for i in wrong[0])
    return (
        f"{len(wrong)} of {wanted.size} codes differ, the first at {list(at)}: {actual[at]}, "
        f"the reference's is {wanted[at]}"
    )


def _planned(
    network: Network, node: int, entry: PlanEntry | None, way: Way, wanted: list[Codes]
) -> str:
    """What the plan promises: every operator of ours runs as told, on codes inside its range."""
    made = network.nodes[node]
    if made.kind not in (*LAYERS, *_TABLES, "PAD"):
        return ""
    if entry is None:
        return "not in the plan"
    if entry.runs not in _expected_runs(network, made, way):
        return f"runs {entry.runs} ({entry.reason})"
    if entry.runs == "stock":
        return ""
    source = made.inputs[0]
    least, most = int(wanted[source].min()), int(wanted[source].max())
    if made.options.get("padding") == "SAME" or made.kind == "TRANSPOSE_CONV":
        zero_point = quantizations(network.nodes)[source][1]
        least, most = min(least, zero_point), max(most, zero_point)
    low, high = entry.range or (0, 0)
    if least < low or most > high:
        return f"reads codes {least}..{most}, outside its range [{low}, {high}]"
    return ""


def _expected_runs(network: Network, made: Node, way: Way) -> tuple[str, ...]:
    ours = way.form == "builtin" or any(node.kind in LAYERS for node in network.nodes)
    if made.kind == "PAD":
        return ("copy",) if ours and len(made.options["paddings"]) <= 4 else ("stock",)
    if made.kind in _TABLES:
        ratio = quantizations(network.nodes)[made.inputs[0]][0] / float(np.float32(made.scale))
        return ("table",) if ours and ratio < _RATIO else ("stock",)
    # Elsewhere a pair of products may saturate, or a dot-product instruction make int16 useless.
    sure = way.plan if way.plan == "exact" or way.isa == "scalar" else "auto"
    return {"int16": ("int16",), "exact": ("exact",)}.get(sure, ("int16", "exact"))


def _count(counts: Counter[str], layers: list[PlanEntry], invocations: int, *, first: bool) -> None:
    tiles = sum(entry.tiles_int16 or 0 for entry in layers)
    counts["int16 tiles run"] += tiles * invocations
    if not first:
        return
    int16 = [entry for entry in layers if entry.runs == "int16"]
    counts["layers"] += len(layers)
    counts["layers int16"] += len(int16)
    counts["layers never drained"] += sum(bool(entry.never_drained) for entry in int16)
    counts["layers T>=16"] += sum(
        bool(entry.never_drained) or (entry.depth or 0) >= 16 for entry in int16
    )
    counts["layers of a closed range"] += sum(entry.range != (-128, 127) for entry in layers)
    counts["tiles int16"] += tiles
