# SPDX-License-Identifier: Apache-2.0
"""Trainings that can be repeated to the bit."""

from oaq_keras._keras import keras, tf
from oaq_keras.argument_checks import is_whole


def set_seed(seed: int) -> None:
    """Makes what follows the same in every run on this machine's CPU, weights and files to the bit.

    Seeds Python's, numpy's and TensorFlow's random numbers, and has TensorFlow sum in one order.
    Call it first, before the float model is built. The number of threads is part of the order.

    Args:
      seed: 0 to 2^32 - 1.

    Raises:
      ValueError: no such number.
    """
    if not is_whole(seed) or not 0 <= seed < 1 << 32:
        raise ValueError(f"seed is a whole number from 0 to 2^32 - 1, got {seed!r}.")
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
