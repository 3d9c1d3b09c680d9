# SPDX-License-Identifier: Apache-2.0
"""Distillation: the float model's answers as a second target of training."""

import math
from dataclasses import dataclass
from typing import Any

from oaq_keras._keras import keras, tf
from oaq_keras.argument_checks import is_real
from oaq_keras.errors import UnsupportedError

_LEAST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Distillation:
    """What the float model teaches; pass it to `quantize(distillation=...)`.

    The loss gains weight * t^2 * KL(softmax(teacher / t) || softmax(student / t)), mean over the
    batch (Hinton et al., arXiv 1503.02531). Each step runs the teacher forward once, about a third
    of a float training step in time, and holds its weights besides. The term is part of the loss in
    training, not in `evaluate`, and shown as the metric "distillation". Sample weights leave it
    alone. Training loops of one's own have it from `model.compute_loss`.

    Attributes:
      weight: of the term, which the logged loss holds too.
      temperature: t, which softens both distributions.
      teacher: a tf_keras model with the same inputs and outputs; None for the model to quantize.
      from_logits: whether teacher and student answer logits, not probabilities; None to see it by
        the softmax that each ends in.
    """

    weight: float = 1.0
    temperature: float = 2.0
    teacher: Any = None
    from_logits: bool | None = None

    def __post_init__(self) -> None:
        """Refuses numbers that make no sense.

        Raises:
          ValueError: the weight is negative, or the temperature not positive, or either no number.
        """
        if not is_real(self.weight) or not 0 <= self.weight < math.inf:
            raise ValueError(f"weight is a number, at least 0, got {self.weight!r}.")
        if not is_real(self.temperature) or not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature is a number above 0, got {self.temperature!r}.")

    def check(self, model: Any) -> None:
        """Refuses a teacher that cannot teach `model`.

        Raises:
          UnsupportedError: not a functional tf_keras model, or of other shapes; no classifier.
        """
        if not isinstance(self.teacher, keras.Model):
            raise UnsupportedError(
                f"The teacher of distillation is a tf_keras model, got "
                f"{type(self.teacher).__name__}. Leave it out to take the float model."
            )
        if not self.teacher.inputs or not self.teacher.outputs:
            raise UnsupportedError(
                f"The teacher of distillation, {self.teacher.name!r}, is a subclassed model or has "
                "no input shape yet. Build it with keras.Model(inputs, outputs)."
            )
        shapes = [[tuple(each.shape) for each in kind] for kind in (model.inputs, model.outputs)]
        given = [
            [tuple(each.shape) for each in kind]
            for kind in (self.teacher.inputs, self.teacher.outputs)
        ]
        if given != shapes:
            raise UnsupportedError(
                f"The teacher of distillation has inputs and outputs {given}, the model {shapes}. "
                "Give one with the same."
            )
        if len(model.outputs) != 1 or model.outputs[0].shape[-1] in (None, 1):
            raise UnsupportedError(
                f"Distillation compares classes, but model {model.name!r} has outputs "
                f"{shapes[1]}. Leave it out for models that are no classifiers."
            )

    def answers_probabilities(self, model: Any) -> bool:
        """Whether a functional model, teacher or student, answers probabilities, not logits."""
        return ends_in_softmax(model) if self.from_logits is None else not self.from_logits

    def loss(self, inputs: Any, student: Any, probabilities: bool) -> Any:
        """The term of the loss for a batch, a float32 scalar.

        Args:
          inputs: as the teacher takes them.
          student: what the student answers, [batch, ..., classes].
          probabilities: whether these are probabilities, not logits.
        """
        taught = tf.stop_gradient(self.teacher(inputs, training=False))
        taught = tf.cast(taught, student.dtype)
        t = self.temperature
        target = tf.nn.log_softmax(_logits(taught, self.answers_probabilities(self.teacher)) / t)
        answer = tf.nn.log_softmax(_logits(student, probabilities) / t)
        divergence = tf.reduce_sum(tf.exp(target) * (target - answer), axis=-1)
        return self.weight * t * t * tf.reduce_mean(divergence)


_PASSING = (keras.layers.Dropout, keras.layers.Reshape, keras.layers.Flatten)
"""Layers behind a softmax that leave probabilities what they are."""


def ends_in_softmax(model: Any) -> bool:
    """Whether the last layer of a functional model that computes anything is a softmax."""
    last = model.get_layer(model.output_names[0])
    while isinstance(last, _PASSING):
        # A layer that is called again has several outputs, and none of them by this name.
        once = [layer for layer in model.layers if len(layer.inbound_nodes) == 1]
        before = [layer for layer in once if layer.output is last.input]
        if not before:
            return False
        (last,) = before
    if isinstance(last, keras.Model):
        return ends_in_softmax(last)
    activation = last.get_config().get("activation")
    return isinstance(last, keras.layers.Softmax) or activation == "softmax"


def _logits(answers: Any, probabilities: bool) -> Any:
    """What softmax makes of it is `answers`, where they are probabilities; else they themselves."""
    return tf.math.log(tf.maximum(answers, _LEAST_PROBABILITY)) if probabilities else answers
