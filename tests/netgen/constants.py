# SPDX-License-Identifier: Apache-2.0
"""Weights, biases and inputs: all the codes of a network, drawn from its seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int8]

# Each with its standard deviation, from which a scale is chosen that fills the output's range.
WEIGHTS = {
    "laplace": 25.0,
    "uniform": 74.0,
    "small": 2.0,
    "sparse": 20.0,
    "extreme": 127.0,
    "one_sign": 127.0,
    "zero_channels": 60.0,
}
INPUTS = ("random", "extreme", "low", "high", "blocks")


def weights(kind: str, seed: int, shape: tuple[int, ...], axis: int) -> Codes:
    """Weight codes; `axis` is that of the output channels."""
    rng = np.random.default_rng([seed, 1])
    channels = np.reshape(
        rng.random(shape[axis]), [-1 if i == axis else 1 for i in range(len(shape))]
    )
    drawn: NDArray[Any]
    if kind == "laplace":
        # What an untrained or a well trained layer looks like: each channel's largest is 127.
        drawn = rng.laplace(0, 1, shape)
        others = tuple(i for i in range(len(shape)) if i != axis)
        drawn = np.rint(drawn * 127 / np.abs(drawn).max(others, keepdims=True))
    elif kind == "uniform":
        drawn = rng.integers(-128, 128, shape)
    elif kind == "small":
        drawn = rng.integers(-3, 4, shape)
    elif kind == "sparse":
        drawn = np.where(rng.random(shape) < 0.1, rng.integers(-128, 128, shape), 0)
    elif kind == "extreme":
        drawn = np.where(rng.random(shape) < 0.5, -128, 127)
    elif kind == "one_sign":
        # Every lane reaches its bound where the inputs are at an end of their range.
        drawn = np.broadcast_to(np.where(channels < 0.5, -128, 127), shape)
    elif kind == "zero_channels":
        drawn = np.where(channels < 0.5, 0, rng.integers(-128, 128, shape))
    else:
        raise ValueError(f"weights are {kind!r}; expected one of {', '.join(WEIGHTS)}")
    return np.ascontiguousarray(drawn.astype(np.int8))


def biases(seed: int, channels: int, largest: float) -> NDArray[np.int32]:
    """Bias codes in [-largest, largest]; none of them so large that a sum could leave int32."""
    bound = int(min(largest, 2.0**30))
    return np.random.default_rng([seed, 2]).integers(-bound, bound + 1, channels).astype(np.int32)


def spread(seed: int, channels: int, octaves: float) -> NDArray[np.float64]:
    """Factors of the channels' scales, up to `octaves` apart from 1 either way."""
    drawn: NDArray[np.float64] = np.random.default_rng([seed, 3]).uniform(-1, 1, channels)
    return np.exp2(np.rint(drawn * octaves * 16) / 16)


def operand(seed: int, shape: tuple[int, ...]) -> Codes:
    """The constant operand of a binary operator."""
    return np.random.default_rng([seed, 4]).integers(-128, 128, shape).astype(np.int8)


def inputs(kind: str, seed: int, shape: tuple[int, ...]) -> Codes:
    """Codes of one input of the network."""
    rng = np.random.default_rng([seed, 5])
    if kind == "random":
        return rng.integers(-128, 128, shape).astype(np.int8)
    if kind == "extreme":
        return np.where(rng.random(shape) < 0.5, -128, 127).astype(np.int8)
    if kind == "blocks":
        # Every channel at one end: sums of one sign, as far as the weights let them.
        ends = np.where(rng.random(shape[-1]) < 0.5, -128, 127)
        return np.ascontiguousarray(np.broadcast_to(ends, shape).astype(np.int8))
    return np.full(shape, {"low": -128, "high": 127}[kind], np.int8)
