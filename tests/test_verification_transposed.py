# SPDX-License-Identifier: Apache-2.0
"""Phases of transposed convolutions, merged, against the definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from oaq_keras.verification_transposed import merged, phases

CASES = [
    ((taps, stride, size), same)
    for taps, stride, size in itertools.product((1, 2, 3, 4, 5, 9), (1, 2, 3), (6, 7, 8, 9))
    for same in (True, False)
    if stride <= taps <= size
]


def transposed(
    codes: NDArray[np.int64], image: NDArray[np.int64], stride: int, size: int, padding: int
) -> NDArray[np.int64]:
    """[size, size, channels] by the definition: inputs add the filter to where they lie."""
    taps = codes.shape[1]
    whole = np.zeros((size + 2 * taps, size + 2 * taps, len(codes)), np.int64)
    for y, x in np.ndindex(*image.shape[:2]):
        top, left = (n * stride - padding + taps for n in (y, x))
        whole[top : top + taps, left : left + taps] += np.tensordot(
            codes, image[y, x], (3, 0)
        ).transpose(1, 2, 0)
    return whole[taps : taps + size, taps : taps + size]


@pytest.mark.parametrize(("shape", "same"), CASES)
def test_a_block_of_outputs_is_one_convolution(shape: tuple[int, int, int], same: bool) -> None:
    taps, stride, size = shape
    rng = np.random.default_rng(taps + 10 * stride + 100 * size)
    codes = rng.integers(-9, 10, (2, taps, taps, 3))
    # The windows over the output, as TensorFlow Lite counts them.
    inputs = -(-size // stride) if same else (size - taps) // stride + 1
    padding = max((inputs - 1) * stride + taps - size, 0) // 2 if same else 0
    image = rng.integers(-9, 10, (inputs, inputs, 3))
    expected = transposed(codes, image, stride, size, padding)
    one = merged(codes.astype(np.int8), (stride, stride), (size, size), same)
    reach = one.shape[1]
    # Which input a block's first tap meets is not said: some shift gives all outputs.
    blocks = -(-size // stride)
    padded = np.pad(image, [(reach + taps, reach + taps + blocks)] * 2 + [(0, 0)])
    found = [
        all(
            np.array_equal(
                np.tensordot(one, padded[k : k + reach, m : m + reach], 3).reshape(
                    stride, stride, 2
                )[: size - y, : size - x],
                expected[y : y + stride, x : x + stride],
            )
            for (k, y), (m, x) in itertools.product(
                [(n + start, n * stride) for n in range(blocks)], repeat=2
            )
        )
        for start in range(reach + 2 * taps)
    ]
    assert sum(found) == 1


def test_taps_are_in_the_order_of_the_inputs() -> None:
    codes = np.arange(5, dtype=np.int8).reshape(1, 5, 1, 1)
    assert [phase.reshape(-1).tolist() for phase in phases(codes, (2, 1))] == [[4, 2, 0], [3, 1]]
    (first, second) = merged(codes, (2, 1), (8, 1), same=True).reshape(2, -1).tolist()
    # Padding of 1 before: the output above an input meets tap 1.
    assert (first, second) == ([3, 1, 0], [4, 2, 0])


def test_a_stride_beyond_the_filter_is_not_merged() -> None:
    assert not len(merged(np.ones((2, 2, 2, 3), np.int8), (3, 2), (6, 6), same=False))
