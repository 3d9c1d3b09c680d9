# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oaq_keras import accumulator
from oaq_keras.accumulator import (
    headroom,
    limit,
    max_depth,
    pair_worst_case,
    prove,
    worst_case,
)
from oaq_keras.layouts import BROADCAST, C4, C8, CHANNEL, LAYOUTS, Layout


def lanes(row: np.ndarray, layout: Layout) -> list[list[int]]:
    """The codes each lane sees, in order, padding left out."""
    width = layout.lanes * layout.products_per_step
    dealt: list[list[int]] = [[] for _ in range(layout.lanes)]
    for k, q in enumerate(row.tolist()):
        dealt[k % width // layout.products_per_step].append(q)
    return dealt


def span(codes: list[int], low: int, high: int) -> int:
    """Largest minus smallest sum over every assignment of extreme activations."""
    sums = [
        sum(a * q for a, q in zip(activations, codes, strict=True))
        for activations in itertools.product((low, high), repeat=len(codes))
    ]
    return max(sums) - min(sums)


def blocks(codes: list[int], length: int) -> list[list[int]]:
    return [codes[i : i + length] for i in range(0, len(codes), length)]


def oracle_worst(row: np.ndarray, layout: Layout, depth: int, low: int, high: int) -> int:
    length = -(-depth // layout.products_per_step) * layout.products_per_step
    return max(
        span(block, low, high) for lane in lanes(row, layout) for block in blocks(lane, length)
    )


@pytest.mark.parametrize("layout", [C8, C4, BROADCAST, CHANNEL], ids=lambda layout: layout.name)
@pytest.mark.parametrize("bounds", [(-128, 127), (0, 127), (-75, 127), (-63, 63), (5, 5)])
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_worst_case_is_what_some_input_reaches(
    layout: Layout, bounds: tuple[int, int], depth: int
) -> None:
    low, high = bounds
    codes = np.random.default_rng(depth).integers(-128, 128, (3, 19)).astype(np.int8)
    expected = [oracle_worst(row, layout, depth, low, high) for row in codes]
    assert worst_case(codes, layout, depth, high - low).tolist() == expected


@pytest.mark.parametrize("layout", [C8, C4, BROADCAST, CHANNEL], ids=lambda layout: layout.name)
@pytest.mark.parametrize("bits", [12, 16])
def test_max_depth_is_the_largest_safe_uniform_one(layout: Layout, bits: int) -> None:
    rng = np.random.default_rng(bits)
    codes = rng.integers(-128, 128, (16, 40)) // rng.integers(1, 60, (16, 1))
    for width in (40, 127, 255):
        found = max_depth(codes, layout, width, bits)
        for row, depth in zip(codes, found.tolist(), strict=True):
            share, step = layout.share(row.size), layout.products_per_step
            safe = [
                t
                for t in range(step, share + 1, step)
                if max(
                    width * sum(map(abs, block))
                    for lane in lanes(row, layout)
                    for block in blocks(lane, t)
                )
                <= limit(bits)
            ]
            assert depth == max(safe, default=0)


def test_max_depth_is_not_monotone() -> None:
    # T = 2 adds 100 + 100; T = 3 splits them.
    codes = np.array([[0, 0, 100, 100, 0, 0]])
    assert worst_case(codes, CHANNEL, 2, 400)[0] > limit() >= worst_case(codes, CHANNEL, 3, 400)[0]
    assert max_depth(codes, CHANNEL, 400).tolist() == [3]


@pytest.mark.parametrize(
    ("codes", "width", "safe"),
    [
        ([127, 127, 3], 255, True),  # 255 * 257 = 65535: reached exactly
        ([127, 127, 4], 255, False),
        ([-128, -128, 1], 255, True),
        ([65535], 1, True),
        ([65536], 1, False),
        ([0, 0], 255, True),
    ],
)
def test_the_bound_is_exact(codes: list[int], width: int, safe: bool) -> None:
    proof = prove(np.array([codes]), CHANNEL, len(codes), width)
    assert proof.proven.tolist() == proof.never_drained.tolist() == [safe]


def test_a_lane_wraps_exactly_beyond_the_bound() -> None:
    """Replay int16 lanes: what the bound calls safe is recovered, one code more is not."""
    for extra, recovered in ((3, True), (4, False)):
        codes = np.array([127, -127, extra])
        low, high = -128, 127
        smallest = sum(min(low * q, high * q) for q in codes.tolist())
        start = -32768 - smallest  # centres the lane's range on what int16 holds
        sums = [
            sum(a * q for a, q in zip(activations, codes.tolist(), strict=True))
            for activations in itertools.product((low, high), repeat=3)
        ]
        wrapped = [int(np.int64(total + start).astype(np.int16)) - start for total in sums]
        assert (wrapped == sums) is recovered


@pytest.mark.parametrize(
    ("pair", "width", "safe"),
    [
        ([127, 127], 127, True),
        ([-128, -128], 127, True),
        ([127, 1], 255, True),
        ([127, 2], 255, False),
        ([-128, 0], 255, True),
        ([-128, -1], 255, False),
        ([127, -128], 255, True),
        ([-128, -128], 128, True),  # exactly -32768
        ([127, 127], 129, True),  # 32766
        ([127, 127], 130, False),
        ([64, 64], 256, False),  # exactly 32768
    ],
)
def test_pairs_do_not_saturate(pair: list[int], width: int, safe: bool) -> None:
    codes = np.array([pair], np.int8)
    sums = [
        sum(a * q for a, q in zip(activations, pair, strict=True))
        for activations in itertools.product((0, width), repeat=2)
    ]
    assert (min(sums) >= -32768 and max(sums) <= 32767) is safe
    positive, negative = pair_worst_case(codes, C4, width)
    assert (int(positive[0]), -int(negative[0])) == (max(0, *sums), min(0, *sums))
    proof = prove(codes, C4, 2, width)
    assert bool(proof.proven[0]) is safe
    assert bool(proof.never_drained[0]) is safe
    assert int(proof.max_depth[0]) == (2 if safe else 0)


@given(
    codes=arrays(np.int8, st.tuples(st.integers(1, 4), st.integers(1, 30))),
    width=st.integers(0, 255),
    depth=st.integers(1, 40),
    name=st.sampled_from(sorted(LAYOUTS)),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_prove_agrees_with_its_parts(codes: np.ndarray, width: int, depth: int, name: str) -> None:
    layout = LAYOUTS[name]
    proof = prove(codes, layout, depth, width)
    np.testing.assert_array_equal(proof.worst_case, worst_case(codes, layout, depth, width))
    whole = worst_case(codes, layout, proof.share, width) <= limit()
    if layout is C4:
        positive, negative = pair_worst_case(codes, C4, width)
        whole &= (positive <= 32767) & (negative <= 32768)
    np.testing.assert_array_equal(proof.never_drained, whole)
    # Signs do not matter to the span.
    np.testing.assert_array_equal(
        proof.worst_case, worst_case(-codes.astype(np.int64), layout, depth, width)
    )


def test_many_channels_are_proven_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.random.default_rng(1).integers(-127, 128, (50, 40)).astype(np.int8)
    for layout in (C8, C4):
        whole = prove(codes, layout, 4, 200)
        with monkeypatch.context() as patch:
            patch.setattr(accumulator, "_CODES_AT_ONCE", 7 * 40)
            parts = prove(codes, layout, 4, 200)
        assert parts.share == whole.share
        assert (parts.pair_worst_case is None) == (whole.pair_worst_case is None)
        for name in ("worst_case", "max_depth", "pair_worst_case", "proven", "never_drained"):
            np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_headroom_counts_bits() -> None:
    assert headroom(65535).item() == 0.0
    assert headroom(0).item() == headroom(1).item() == pytest.approx(16, abs=1e-4)
    np.testing.assert_allclose(headroom(np.array([2 * 65535, 65535 // 4])), [-1, 2], atol=1e-4)


@pytest.mark.parametrize(
    "call",
    [
        lambda: limit(1),
        lambda: limit(33),
        lambda: worst_case(np.zeros((1, 4), np.int8), C8, 0, 255),
        lambda: worst_case(np.zeros((1, 4), np.int8), C8, 4, -1),
        lambda: pair_worst_case(np.zeros((1, 4), np.int8), C8, 255),
    ],
)
def test_wrong_arguments_say_what_was_expected(call: object) -> None:
    with pytest.raises(ValueError, match=r"expected|at least|no pairs"):
        call()  # type: ignore[operator]


def test_a_large_layer_takes_a_fraction_of_a_second() -> None:
    codes = np.random.default_rng(1).integers(-127, 128, (1000, 1280)).astype(np.int8)
    start = time.perf_counter()
    for layout in (C8, C4):
        prove(codes, layout, 16, 255)
    assert time.perf_counter() - start < 2
