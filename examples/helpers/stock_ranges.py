# SPDX-License-Identifier: Apache-2.0
"""Ranges of activations for tfmot's stock int8, which a short training would not find."""

from typing import Any

import tensorflow as tf

_DECAY = 0.999
"""Of tfmot's moving averages, a step."""

_BEGIN = 6.0
"""Where they begin, whatever the network computes: at -6 and 6."""


def settle(model: Any, data: Any, rounds: int = 4, steps: int = 40) -> None:
    """Gives a network that tfmot quantized the ranges that a long training would give it.

    What is left in the moving averages of where they began is taken out of them. Ranges of what
    comes first change what comes later: hence the rounds. Weights stay as they are; the moving
    averages of BatchNormalization go on, as in a training.

    Args:
      model: by tfmot's `quantize_model`; changed.
      data: tf.data.Dataset of batches of inputs and targets.
      rounds: of so many `steps`, a batch each.
      steps: of a round.
    """
    ranges = [each for each in model.non_trainable_weights if _is_of_activations(each)]
    forward = tf.function(lambda images: model(images, training=True))
    left = _DECAY**steps
    for _ in range(rounds):
        begun = [each.numpy() for each in ranges]
        for images, *_ in data.repeat().take(steps):
            forward(images)
        for each, first in zip(ranges, begun, strict=True):
            each.assign((each - left * first) / (1 - left))


def _is_of_activations(variable: Any) -> bool:
    """Those of weights and of the input are no averages; the input's begins elsewhere."""
    begins = variable.shape == () and abs(float(variable)) == _BEGIN
    return (
        begins and variable.name.endswith(("_min:0", "_max:0")) and "kernel_" not in variable.name
    )
