# SPDX-License-Identifier: Apache-2.0
"""Draws the operators that only move codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd, prod
from typing import TYPE_CHECKING

from tests.netgen.node import Node, Shape

if TYPE_CHECKING:
    from tests.netgen.draw import Drawer


def _concatenation(drawer: Drawer, kind: str, source: int) -> Node | None:
    given = drawer.shapes[source]
    axis = int(drawer.rng.integers(len(given)))

    def fits(shape: Shape) -> bool:
        return len(shape) == len(given) and all(
            a == b for i, (a, b) in enumerate(zip(shape, given, strict=True)) if i != axis
        )

    fitting = [i for i, shape in enumerate(drawer.shapes) if fits(shape)]
    chosen = [source, *(drawer.pick(fitting) for _ in range(drawer.pick((1, 1, 2))))]
    inputs = alike(drawer, chosen)
    # TFLite takes no fused activation here.
    return Node(kind, inputs, options={"axis": axis, "activation": 0}) if inputs else None


def alike(drawer: Drawer, inputs: Sequence[int]) -> tuple[int, ...]:
    """The same values in the quantization of the first, through QUANTIZE where they need it."""
    wanted, made = drawer.quantizations[inputs[0]], []
    for index in inputs:
        if drawer.quantizations[index] == wanted:
            made.append(index)
        elif drawer.push(Node("QUANTIZE", (index,), *wanted)):
            made.append(len(drawer.nodes) - 1)
        else:
            return ()
    return tuple(made)


def _pad(drawer: Drawer, kind: str, source: int) -> Node | None:
    inner = [[drawer.pick((0, 1, 2)), drawer.pick((0, 1, 3))] for _ in drawer.shapes[source][1:-1]]
    return Node(
        kind, (source,), options={"paddings": [[0, 0], *inner, [0, drawer.pick((0, 0, 2))]]}
    )


def _reshape(drawer: Drawer, kind: str, source: int) -> Node | None:
    given = drawer.shapes[source]
    inner = prod(given[1:])
    factors = [n for n in range(1, min(inner, 64) + 1) if inner % n == 0]
    channels = drawer.pick(factors)
    shape = drawer.pick(
        (
            [given[0], inner // given[-1], given[-1]],
            [given[0], 1, inner // channels, channels],
            [given[0], inner // channels, 1, channels],
            [given[0], 1, inner // given[-1], given[-1]],
            [given[0], inner],
        )
    )
    return Node(kind, (source,), options={"shape": shape})


def _slice(drawer: Drawer, kind: str, source: int) -> Node | None:
    bounds = []
    for size in drawer.shapes[source]:
        begin = int(drawer.rng.integers((size + 1) // 2))
        bounds.append(
            (begin, int(drawer.rng.integers(begin, size)) + 1, drawer.pick((1, 1, 1, 2, 3)))
        )
    columns = [list(column) for column in zip(*bounds, strict=True)]
    options = dict(zip(("begin", "end", "strides"), columns, strict=True))
    return Node(kind, (source,), options=options)


def _resize(drawer: Drawer, kind: str, source: int) -> Node | None:
    aligned = drawer.chance(0.3)
    options = {
        "size": [drawer.pick((1, 2, 3, 5, 7, 8)), drawer.pick((1, 2, 3, 5, 7, 8))],
        "align_corners": aligned,
        "half_pixel_centers": not aligned and drawer.chance(0.5),
    }
    return Node(kind, (source,), options=options)


def _pack(drawer: Drawer, kind: str, source: int) -> Node | None:
    given = drawer.shapes[source]
    same = [i for i, shape in enumerate(drawer.shapes) if shape == given]
    inputs = alike(drawer, [source, *(drawer.pick(same) for _ in range(drawer.pick((0, 1, 2))))])
    if len(given) > 3 or not inputs:
        return None
    return Node(kind, inputs, options={"axis": int(drawer.rng.integers(len(given) + 1))})


def _mirror_pad(drawer: Drawer, kind: str, source: int) -> Node | None:
    mode = drawer.pick((0, 1))
    most = [size - (mode == 0) for size in drawer.shapes[source]]
    paddings = [[min(m, drawer.pick((0, 1, 2))), min(m, drawer.pick((0, 1, 3)))] for m in most[1:]]
    return Node(kind, (source,), options={"mode": mode, "paddings": [[0, 0], *paddings]})


def _squeeze(drawer: Drawer, kind: str, source: int) -> Node | None:
    given = drawer.shapes[source]
    # FULLY_CONNECTED wants two dimensions.
    ones = [axis for axis, size in enumerate(given) if size == 1][: len(given) - 2]
    chosen = [axis for axis in ones if drawer.chance(0.7)]
    return Node(kind, (source,), options={"axes": chosen}) if chosen else None


def _expand_dims(drawer: Drawer, kind: str, source: int) -> Node | None:
    rank = len(drawer.shapes[source])
    axis = int(drawer.rng.integers(rank + 1))
    return Node(kind, (source,), options={"axis": axis}) if rank < 4 else None


def _transpose(drawer: Drawer, kind: str, source: int) -> Node | None:
    order = drawer.rng.permutation(len(drawer.shapes[source]))
    return Node(kind, (source,), options={"order": order.tolist()})


def _plain_slice(drawer: Drawer, kind: str, source: int) -> Node | None:
    begin, sizes = [], []
    for size in drawer.shapes[source]:
        begin.append(int(drawer.rng.integers((size + 1) // 2)))
        sizes.append(drawer.pick((-1, int(drawer.rng.integers(size - begin[-1])) + 1)))
    return Node(kind, (source,), options={"begin": begin, "size": sizes})


def _gather(drawer: Drawer, kind: str, source: int) -> Node | None:
    given = drawer.shapes[source]
    axis = int(drawer.rng.integers(len(given)))
    indices = drawer.rng.integers(given[axis], size=drawer.pick((1, 2, 3, 5)))
    return Node(kind, (source,), options={"axis": axis, "indices": indices.tolist()})


def _tile(drawer: Drawer, kind: str, source: int) -> Node | None:
    multiples = [drawer.pick((1, 1, 1, 2, 3)) for _ in drawer.shapes[source]]
    return Node(kind, (source,), options={"multiples": multiples})


def _broadcast_to(drawer: Drawer, kind: str, source: int) -> Node | None:
    shape = [n if n > 1 else drawer.pick((1, 2, 3, 5)) for n in drawer.shapes[source]]
    return Node(kind, (source,), options={"shape": shape})


def _space_to_depth(drawer: Drawer, kind: str, source: int) -> Node | None:
    given = drawer.shapes[source]
    common = gcd(*given[1:3]) if len(given) == 4 else 1
    return _block(drawer, kind, source, [n for n in range(2, common + 1) if common % n == 0])


def _depth_to_space(drawer: Drawer, kind: str, source: int) -> Node | None:
    given = drawer.shapes[source]
    channels = given[3] if len(given) == 4 else 1
    return _block(drawer, kind, source, [n for n in range(2, 10) if channels % (n * n) == 0])


def _block(drawer: Drawer, kind: str, source: int, fitting: list[int]) -> Node | None:
    return Node(kind, (source,), options={"block": drawer.pick(fitting)}) if fitting else None


def _space_to_batch(drawer: Drawer, kind: str, source: int) -> Node | None:
    given = drawer.shapes[source]
    if len(given) != 4:
        return None
    blocks = drawer.pick(([1, 2], [2, 1], [2, 2], [3, 2]))
    paddings = []
    for size, block in zip(given[1:3], blocks, strict=True):
        before = drawer.pick((0, 1, 2))
        paddings.append([before, -(size + before) % block + drawer.pick((0, 0, block))])
    return Node(kind, (source,), options={"blocks": blocks, "paddings": paddings})


def _batch_to_space(drawer: Drawer, kind: str, source: int) -> Node | None:
    batch = drawer.shapes[source][0]
    forms = [[a, b] for a in range(1, 7) for b in range(1, 7) if a * b > 1 and batch % (a * b) == 0]
    if not forms:
        return None
    crops = [[drawer.pick((0, 0, 1)), drawer.pick((0, 0, 1))] for _ in range(2)]
    return Node(kind, (source,), options={"blocks": drawer.pick(forms), "crops": crops})


Draw = Callable[["Drawer", str, int], Node | None]
MOVES: dict[str, tuple[Draw, float]] = {
    "CONCATENATION": (_concatenation, 1.5),
    "PACK": (_pack, 1.4),
    "PAD": (_pad, 1),
    "MIRROR_PAD": (_mirror_pad, 0.4),
    "RESHAPE": (_reshape, 1),
    "SQUEEZE": (_squeeze, 0.6),
    "EXPAND_DIMS": (_expand_dims, 1),
    "TRANSPOSE": (_transpose, 0.5),
    "SLICE": (_plain_slice, 0.4),
    "STRIDED_SLICE": (_slice, 0.6),
    "GATHER": (_gather, 0.4),
    "TILE": (_tile, 0.5),
    "BROADCAST_TO": (_broadcast_to, 0.5),
    "RESIZE_NEAREST_NEIGHBOR": (_resize, 0.8),
    "SPACE_TO_DEPTH": (_space_to_depth, 2.5),
    "DEPTH_TO_SPACE": (_depth_to_space, 1),
    "SPACE_TO_BATCH_ND": (_space_to_batch, 0.6),
    "BATCH_TO_SPACE_ND": (_batch_to_space, 0.8),
}
"""How a kind is drawn, and how often."""
