# SPDX-License-Identifier: Apache-2.0
"""`verify`: an independent check of a file's proof, written from the mathematics alone.

Shares no code with the exporter, `certify` or the kernels, nor do the modules that read the file
for it, verification_file.py and verification_graph.py. It derives bounds with exact integers, lane
by lane, and compares with the certificate in the file and with what the kernels planned. Plain on
purpose, and slow.

A lane is arithmetic modulo 2^16. For input codes in [lo, hi] the sums of a block of weight codes q
span exactly (hi - lo) * sum |q|, so with a suitable start value the block is safe iff that is at
most 65535 (Xie et al., arXiv 2005.13297; A2Q+, arXiv 2401.10432); lanes of the layout
broadcast start from zero, so that both ends of their sums have to fit. VPMADDUBSW adds pairs of
products of u8 and s8 and saturates: (hi - lo) times the pair's positive codes has to be at most
32767, times its negative ones at most 32768.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from oaq_keras.verification_file import certificate_of, read
from oaq_keras.verification_graph import Layer, Recoding, Skipped, layers_of, recodings_of

_SUM_NOTHING = {"table": "8-bit QUANTIZE or LEAKY_RELU", "copy": "PAD of 8-bit codes"}
_PRODUCTS_OF_A_STEP = {"c8": 1, "c4": 2, "channel": 1, "channel_pairs": 2, "broadcast": 1}
_TARGETS = ("c8", "c4", "channel")
# Layers of more products never have the layout broadcast, in which one lane adds all of them.
_BROADCAST_PRODUCTS = 64
# What the plan says of layers alone.
_OF_LAYERS = (
    *("isa", "layout", "depth", "never_drained", "drains"),
    *("tile_channels", "tiles", "tiles_int16"),
)
# The settings of a certificate, and what they may be.
_SETTINGS: dict[str, Callable[[Any], bool]] = {
    "format": lambda value: value == "oaq-certificate",
    "version": lambda value: type(value) is int and value == 1,
    "policy": lambda value: value in ("proven", "paper"),
    "depth": lambda value: type(value) is int and value >= 1,
    "first_layer_depth": lambda value: type(value) is int and value >= 1,
    "accumulator_bits": lambda value: type(value) is int and 2 <= value <= 32,
    "target": lambda value: (
        isinstance(value, list)
        and 0 < len(value) == len([name for name in _TARGETS if name in value])
    ),
}

# The certificate's entry of a layout, and by channel, whether it is proven and never drained.
_Proof = tuple[dict[str, Any], list[bool], list[bool]]


class Bound(Layer):
    """What the codes of one layer allow."""

    @property
    def layouts(self) -> tuple[str, ...]:
        """Lane layouts that kernels use for this kind of layer."""
        return ("channel",) if self.kind == "DEPTHWISE_CONV_2D" else ("c8", "c4")

    @cached_property
    def products(self) -> int:
        """Products of an output, of the longest phase."""
        return max(len(row) for row in self._rows())

    @cached_property
    def channels(self) -> list[list[list[int]]]:
        """For each output channel, its weight codes in every phase."""
        if self.kind == "TRANSPOSE_CONV":
            return [list(rows) for rows in zip(*self.matrices, strict=True)]
        return [[row] for row in self._rows()]

    def share(self, layout: str) -> int:
        """Products that a lane sees in all, zero padding of the last step included."""
        return {
            "c8": -(-self.products // 8),
            "c4": -(-self.products // 4) * 2,
        }.get(layout, self.products)

    def worst_case(self, layout: str, depth: int) -> int:
        """(hi - lo) * largest sum of |q| over blocks of `depth` products of one lane."""
        return max(self._worst_of(row, layout, depth) for row in self._rows())

    def worst_pair(self) -> int:
        """The larger of (hi - lo) * a c4 pair's positive codes, and the same for negative ones."""
        sums = [sum_ for row in self._rows() for sum_ in _pair_sums(row)]
        return (self.high - self.low) * max(max(sum_) for sum_ in sums)

    def deepest(self, layout: str, rows: list[list[int]], limit: int = 65535) -> int:
        """The largest uniform T that is safe for all of these rows; the share where any T is.

        A longer T may split what a shorter one adds, so each is tried. 0 where a pair may saturate.
        """
        if layout == "c4" and self.saturates(rows):
            return 0
        totals = [
            [0, *accumulate(abs(code) for code in lane)]
            for row in rows
            for lane in _lanes(row, layout)
        ]
        step = _PRODUCTS_OF_A_STEP[layout]
        return next(
            (
                depth
                for depth in range(self.share(layout), 0, -step)
                if all(self._fits(total, depth, limit) for total in totals)
            ),
            0,
        )

    def proof(self, layout: str, depth: int, bits: int) -> _Proof:
        """What a certificate says of a layout at a required T, in lanes of so many bits."""
        limit, share = 2**bits - 1, self.share(layout)
        worsts = [max(self._worst_of(r, layout, depth) for r in rows) for rows in self.channels]
        deepest = [self.deepest(layout, rows, limit) for rows in self.channels]
        safe = [
            worst <= limit and not (layout == "c4" and self.saturates(rows))
            for worst, rows in zip(worsts, self.channels, strict=True)
        ]
        whole = [longest == share for longest in deepest]
        worst = max(worsts)
        entry = {
            "share": share,
            "worst_case": worst,
            "headroom": math.log2(limit) - math.log2(max(worst, 1)),
            "max_depth": min(deepest),
            "never_drained": all(whole),
            "proven_channels": sum(safe),
            "never_drained_channels": sum(whole),
            "proven": all(safe),
        }
        if layout == "c4":
            entry["pair_worst_case"] = self.worst_pair()
        return entry, safe, whole

    def tilings(self, tile_channels: int) -> list[list[list[list[int]]]]:
        """Rows of output channels that share a drain list, tile by tile.

        A transposed convolution's phases may be multiplied apart or merged.
        """
        made = [self.matrices]
        if self.merged:
            made.append([self.merged])
        return [
            [
                matrix[first : first + tile_channels]
                for matrix in matrices
                for first in range(0, len(matrix), tile_channels)
            ]
            for matrices in made
        ]

    def saturates(self, rows: list[list[int]]) -> bool:
        """Whether some pair of neighbours' products may leave int16 in a tile."""
        width = self.high - self.low
        sums = [sum_ for row in rows for sum_ in _pair_sums(row)]
        return any(width * up > 32767 or width * down > 32768 for up, down in sums)

    def drains(self, layout: str, tiles: list[list[list[int]]]) -> tuple[int, int]:
        """Drains of one output position and the shortest block, with blocks as long as is safe.

        Returns:
          The number of drains summed over tiles of output channels, and the smallest number of
          products a lane adds before one of them, the last block of a tile left out unless it is
          the only one.
        """
        total, shortest = 0, None
        step = _PRODUCTS_OF_A_STEP[layout]
        for rows in tiles:
            lanes = [lane for row in rows for lane in _lanes(row, layout)]
            if layout == "broadcast":
                # Its kernels take eight steps at once.
                lanes = [[*lane, *[0] * (-len(lane) % 8)] for lane in lanes]
            blocks = self._blocks(lanes, layout)
            total += len(blocks)
            inner = min(blocks[:-1] or blocks)
            shortest = inner if shortest is None else min(shortest, inner)
        return total, step * (shortest or 0)

    def _rows(self) -> Iterator[list[int]]:
        for matrix in self.matrices:
            yield from matrix

    def _worst_of(self, row: list[int], layout: str, depth: int) -> int:
        # No drain lies within a step.
        depth = -(-depth // _PRODUCTS_OF_A_STEP[layout]) * _PRODUCTS_OF_A_STEP[layout]
        return (self.high - self.low) * max(
            sum(abs(code) for code in lane[start : start + depth])
            for lane in _lanes(row, layout)
            for start in range(0, len(lane), depth)
        )

    def _fits(self, total: list[int], depth: int, limit: int) -> bool:
        """Whether every block is safe of a lane whose sums of |q| from its beginning are these."""
        return all(
            (self.high - self.low) * (total[min(start + depth, len(total) - 1)] - total[start])
            <= limit
            for start in range(0, len(total) - 1, depth)
        )

    def _blocks(self, lanes: list[list[int]], layout: str) -> list[int]:
        """Lengths, in steps, of the longest blocks that are safe for all of these lanes."""
        step = _PRODUCTS_OF_A_STEP[layout]
        blocks, sums, length = [], [(0, 0)] * len(lanes), 0
        for first in range(0, max(len(lane) for lane in lanes), step):
            added = [_signed_sums(lane[first : first + step]) for lane in lanes]
            grown = [(p + up, n + down) for (p, n), (up, down) in zip(sums, added, strict=True)]
            if not all(self._is_safe(*lane, layout) for lane in grown):
                blocks.append(length)
                grown, length = added, 0
            sums, length = grown, length + 1
        return [*blocks, length]

    def _is_safe(self, positive: int, negative: int, layout: str) -> bool:
        """Whether a lane fits 16 bits whose positive codes, and negative ones, sum up to these."""
        if layout != "broadcast":
            return (self.high - self.low) * (positive + negative) <= 65535
        # Its lanes start from zero.
        largest = self.high * positive - self.low * negative
        return largest <= 32767 and self.low * positive - self.high * negative >= -32768


def bounds(path: str | Path | bytes) -> list[Bound]:
    """The int8 convolutions and fully connected layers of a file, builtin and Oaq.

    Raises:
      ModelFileError: the file cannot be read as a model, or no runtime could run it.
    """
    layers, _ = layers_of(read(path))
    return [Bound(**vars(layer)) for layer in layers]


def verify(path: str | Path | bytes, plans: Mapping[str, Iterable[Any]] | None = None) -> list[str]:
    """Compares a file's certificate, and plans, with what its codes say.

    Args:
      path: a .tflite file.
      plans: entries of `Interpreter.plan()` made with plan="int16", as objects or dictionaries, by
        what to call them: their ISA.

    Returns:
      What does not agree, a sentence each; empty where all does.

    Raises:
      ModelFileError: the file cannot be read as a model, no runtime could run it, or its
        certificate is no JSON.
    """
    model = read(path)
    layers, skipped = layers_of(model)
    found = [Bound(**vars(layer)) for layer in layers]
    certificate = certificate_of(model)
    problems = [] if certificate is None else [*_check_certificate(certificate, found, skipped)]
    for isa, plan in (plans or {}).items():
        disagreements = _check_plan(plan, found, recodings_of(model))
        problems += [f"{isa}: {disagreement}" for disagreement in disagreements]
    return problems


def _check_certificate(
    certificate: Any, layers: list[Bound], skipped: list[Skipped]
) -> Iterator[str]:
    if not isinstance(certificate, dict):
        yield f"the certificate is {_show(certificate)}, expected an object"
        return
    for key, allows in _SETTINGS.items():
        if key not in certificate or not allows(certificate[key]):
            yield f"the certificate has the {_words(key)} {_show(certificate.get(key))}"
            return
    facts = {
        "layers": [_layer_facts(layer, certificate) for layer in layers],
        # Why one was left out is for people to read.
        "skipped": [{**vars(layer), "reason": str} for layer in skipped],
    }
    for key in sorted(certificate.keys() - {*_SETTINGS, *facts}):
        yield f"the certificate has the unknown field {_show(key)}"
    for key, known in facts.items():
        claims = certificate.get(key)
        if not isinstance(claims, list) or len(claims) != len(known):
            count = len(claims) if isinstance(claims, list) else "no list of"
            yield f"the certificate has {count} {key}, the file has {len(known)}"
            continue
        for claim, fact in zip(claims, known, strict=True):
            yield from _differences(f"{fact['name']}:", claim, fact)


def _layer_facts(layer: Bound, certificate: dict[str, Any]) -> dict[str, Any]:
    """A certificate's entry of one layer, by the settings of this certificate."""
    depth = certificate["first_layer_depth" if layer.first else "depth"]
    bits = certificate["accumulator_bits"]
    target = [layout for layout in layer.layouts if layout in certificate["target"]]
    proofs = {layout: layer.proof(layout, depth, bits) for layout in target}
    layouts = {layout: entry for layout, (entry, _, _) in proofs.items()}
    if layer.kind != "DEPTHWISE_CONV_2D" and layer.products <= _BROADCAST_PRODUCTS:
        entry, _, _ = layer.proof("broadcast", depth, bits)
        if entry["never_drained"]:
            layouts["broadcast"] = entry
    # Nothing is proven, nor never drained, where no target applies.
    channels = range(len(layer.channels) if target else 0)
    safe = [all(proven[n] for _, proven, _ in proofs.values()) for n in channels]
    whole = [all(never[n] for _, _, never in proofs.values()) for n in channels]
    return {
        "subgraph": layer.subgraph,
        "op": layer.op,
        "name": layer.name,
        "kind": layer.kind,
        "macs": layer.macs,
        "channels": len(layer.channels),
        "products": layer.products,
        "input_range": [layer.low, layer.high],
        "depth": depth,
        "first": layer.first,
        "proven": bool(safe) and all(safe),
        "proven_channels": sum(safe),
        "never_drained_channels": sum(whole),
        "layouts": layouts,
    }


def _differences(where: str, claim: Any, fact: Any) -> Iterator[str]:
    """What a claim has that differs from the facts; a fact that is a type allows any of it."""
    if isinstance(fact, dict):
        if not isinstance(claim, dict):
            yield f"{where} {_show(claim)}, expected an object"
            return
        for key in sorted(claim.keys() - fact.keys()):
            yield f"{where} {_words(key)} is in the certificate, found none"
        for key, value in fact.items():
            if key not in claim:
                yield f"{where} {_words(key)} is not in the certificate"
            else:
                yield from _differences(f"{where} {_words(key)}", claim[key], value)
    elif isinstance(fact, type):
        if not isinstance(claim, fact):
            yield f"{where} {_show(claim)}, expected a {fact.__name__}"
    elif isinstance(fact, float):
        number = type(claim) in (int, float)
        # Rounded to four places there. Written so that no NaN is near.
        if not (number and abs(claim - fact) <= 1e-4):
            yield f"{where} {_show(claim)}, found {fact:.4f}"
    elif type(claim) is not type(fact) or claim != fact:
        yield f"{where} {_show(claim)}, found {fact}"


def _words(key: str) -> str:
    return key.replace("_", " ")


def _show(value: Any) -> str:
    return repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."


def _check_plan(
    plan: Iterable[Any], layers: list[Bound], recodings: list[Recoding]
) -> Iterator[str]:
    entries = {}
    for entry in plan:
        fields = entry if isinstance(entry, dict) else vars(entry)
        entries[fields.get("subgraph", 0), fields["op"]] = fields
    # A runtime may keep a whole subgraph from a delegate, but not one operator of it.
    seen = {0, *(subgraph for subgraph, _ in entries)}
    for layer in layers:
        if layer.subgraph in seen:
            yield from _check_entry(layer, entries.pop((layer.subgraph, layer.op), None))
    for recoding in recodings:
        entry = entries.get((recoding.subgraph, recoding.op))
        if entry is not None and entry["runs"] == recoding.runs:
            del entries[recoding.subgraph, recoding.op]
            yield from _check_table(recoding, entry)
    for entry in entries.values():
        if entry["runs"] in _SUM_NOTHING:
            yield (
                f"op {entry['op']}: the plan runs it as a {entry['runs']}, the file has no "
                f"{_SUM_NOTHING[entry['runs']]} there"
            )
        elif entry["runs"] != "stock":
            yield f"op {entry['op']}: the plan runs it {entry['runs']}, the file has no int8 layer"


def _check_table(recoding: Recoding, entry: Mapping[str, Any]) -> Iterator[str]:
    """Nothing is summed where codes are looked up or copied: no lanes, no tiles, no products."""
    if list(entry["range"] or ()) != [recoding.low, recoding.high]:
        yield f"{recoding.name}: the plan has range {entry['range']}"
    if entry["macs"] != 0:
        yield f"{recoding.name}: the plan has {entry['macs']} MACs, a {recoding.runs} has none"
    least = 256 if recoding.runs == "table" else 0
    if entry["weights_bytes"] != 0 or entry["packed_bytes"] < least:
        yield f"{recoding.name}: the plan has weights, or not what a {recoding.runs} takes"
    for field in _OF_LAYERS:
        if entry[field] is not None:
            yield (
                f"{recoding.name}: the plan has {_words(field)} {entry[field]}, a {recoding.runs} "
                "has none"
            )


def _check_entry(layer: Bound, entry: Mapping[str, Any] | None) -> Iterator[str]:
    if entry is None:
        yield f"{layer.name}: missing from the plan"
        return
    if entry["runs"] == "stock" and entry["isa"] is not None:
        yield f"{layer.name}: left to the runtime, though the plan has kernels of {entry['isa']}"
    if entry["isa"] is not None:
        yield from _check_memory(layer, entry)
    if entry["runs"] != "int16":
        return  # exact sums need no proof
    if list(entry["range"]) != [layer.low, layer.high]:
        yield f"{layer.name}: the plan has range {entry['range']}"
    tilings = layer.tilings(entry["tile_channels"])
    problems = [[*_check_tiles(layer, entry, tiles)] for tiles in tilings]
    yield from min(problems, key=len)


def _check_tiles(
    layer: Bound, entry: Mapping[str, Any], tiles: list[list[list[int]]]
) -> Iterator[str]:
    if entry["tiles"] != len(tiles):
        yield f"{layer.name}: the plan has {entry['tiles']} tiles, found {len(tiles)}"
        return
    if entry["layout"] == "channel_pairs":
        order = _pairs_of_taps(*layer.taps)
        tiles = [[[row[tap] for tap in order] for row in rows] for rows in tiles]
    if _PRODUCTS_OF_A_STEP[entry["layout"]] == 2:
        tiles = [rows for rows in tiles if not layer.saturates(rows)]
    drains, depth = layer.drains(entry["layout"], tiles)
    planned = (entry["tiles_int16"], entry["drains"], entry["depth"])
    if planned != (len(tiles), drains, depth):
        yield (
            f"{layer.name}: the plan drains {planned[0]} tiles {planned[1]} times at T = "
            f"{planned[2]}, found {len(tiles)}, {drains} and {depth}"
        )
    if entry["never_drained"] != (drains == len(tiles)):
        yield f"{layer.name}: never drained is {entry['never_drained']}, found {drains} drains"


def _check_memory(layer: Bound, entry: Mapping[str, Any]) -> Iterator[str]:
    """Every code of the file is kept, in tiles of whole channels.

    What else the kernels keep, and their scratch, which depends on the inputs' shapes, are no part
    of the proof.
    """
    codes = sum(len(row) for matrix in layer.matrices for row in matrix)
    if entry["weights_bytes"] != codes:
        yield f"{layer.name}: the plan has {entry['weights_bytes']} weights, found {codes}"
    width = entry["tile_channels"]
    least = min(sum(width * len(rows[0]) for rows in tiles) for tiles in layer.tilings(width))
    if entry["packed_bytes"] < least:
        yield f"{layer.name}: {entry['packed_bytes']} bytes packed, {least} are needed"


def _pairs_of_taps(height: int, width: int) -> list[int]:
    """Taps of a depthwise filter, row by row in the file, as a lane adds two of them a step.

    First and last row in pairs from column to column, and so on inwards; the middle row of an odd
    number by itself, from both ends to its middle.
    """
    middle = [*range(height // 2 * width, (height // 2 + 1) * width)] if height % 2 else []
    inwards = [middle.pop(-(n % 2)) for n in range(len(middle))]
    pairs = [
        row * width + column
        for top in range(height // 2)
        for column in range(width)
        for row in (top, height - 1 - top)
    ]
    return pairs + inwards


def _lanes(row: list[int], layout: str) -> list[list[int]]:
    """The products of one output channel by lane, in the order in which each lane adds them."""
    if layout in ("channel", "channel_pairs", "broadcast"):
        return [row]
    if layout == "c8":
        return [row[lane::8] for lane in range(8) if lane < len(row)]
    even = [code for k, code in enumerate(row) if k % 4 in (0, 1)]
    odd = [code for k, code in enumerate(row) if k % 4 in (2, 3)]
    return [even, odd] if odd else [even]


def _pair_sums(row: list[int]) -> list[tuple[int, int]]:
    """For each pair of neighbours, the sum of its positive codes and that of its negative ones."""
    return [_signed_sums(row[start : start + 2]) for start in range(0, len(row), 2)]


def _signed_sums(codes: list[int]) -> tuple[int, int]:
    """The sum of the positive codes, and that of the negative ones without their sign."""
    return sum(code for code in codes if code > 0), -sum(code for code in codes if code < 0)
