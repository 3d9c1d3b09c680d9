# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, a command
"""Runs whole networks on a library built with a sanitizer: `make sanitize`.

python -m tests.sanitized, with OAQ_LIBRARY set and the sanitizer's runtime preloaded. Every network
and thread count in both forms, twice and resized, two interpreters at the same time; each answer
must be the reference's.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from ai_edge_litert import interpreter as litert

from oaq_keras.rewrite import to_custom_ops
from oaq_keras.runtime import Interpreter
from tests.models import (
    enlarging_network,
    requantizing_network,
    small_network,
    threaded_network,
    upsampling_network,
)

Codes = np.ndarray


def run(interpreter: litert.Interpreter, image: Codes) -> Codes:
    """The first output's codes."""
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    answer: Codes = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return answer


def check(make: Callable[[int], bytes]) -> None:
    """One network against the reference."""
    content = make(15)
    stock = litert.Interpreter(
        model_content=content, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
    )
    shape = stock.get_input_details()[0]["shape"]
    image = np.random.default_rng(1).integers(-128, 128, shape, "i1")
    expected = run(stock, image)
    for data in (content, to_custom_ops(content)):
        for threads in (1, 2, 8):
            made = Interpreter(
                model_content=data,
                builtin=True,
                plan="int16",
                num_threads=threads,
                experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
            )
            for _ in range(2):
                np.testing.assert_array_equal(run(made, image), expected)
            made.resize_tensor_input(0, shape)
            np.testing.assert_array_equal(run(made, image), expected)


def main() -> None:
    """All networks, then all at the same time."""
    networks = (
        small_network,
        upsampling_network,
        enlarging_network,
        threaded_network,
        requantizing_network,
    )
    for make in networks:
        check(make)
    with ThreadPoolExecutor() as pool:
        list(pool.map(check, networks))
    print("all equal")


if __name__ == "__main__":
    main()
