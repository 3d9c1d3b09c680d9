# SPDX-License-Identifier: Apache-2.0
"""Quantization without training: formats and codes from a few inputs."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from oaq_keras._keras import tf
from oaq_keras.errors import UnsupportedError
from oaq_keras.keras_reconstruction import choose_formats, reconstruct_layers
from oaq_keras.quantization import quantize
from oaq_keras.trained import format_tables


def calibrate(model: Any, representative_dataset: Iterable[Any]) -> Any:
    """Sets the activation formats of a quantized model from data, without training.

    Weights and BatchNormalization statistics stay as they are. A model that was calibrated starts
    `fit` with these formats instead of those of its first steps.

    Args:
      model: a model from `quantize`; its formats are changed in place.
      representative_dataset: batches as the model takes them, float32 arrays or tensors with the
        batch first; for models with several inputs, lists of them. A callable that returns such
        an iterable is taken too, as TFLite's converter does. 100 images or so are enough.

    Returns:
      The model.

    Raises:
      UnsupportedError: not a quantized model, no data, or data whose shape is not the model's.
    """
    tables = format_tables(model)
    if not tables:
        raise UnsupportedError(
            "calibrate() takes a model from oaq_keras.quantize(), got one without formats. "
            "Call quantize(model) first."
        )
    count = 0
    for batch in _batches(representative_dataset):
        inputs = _inputs(model, batch)
        for table in tables:
            table.observing = True
        try:
            model(inputs, training=False)
        finally:
            for table in tables:
                table.observing = False
        count += 1
    if not count:
        raise UnsupportedError(
            "representative_dataset holds no batches; pass at least one, such as x_train[:100] "
            "in batches of 10."
        )
    return model


def post_training_quantize(
    model: Any, representative_dataset: Iterable[Any], **options: Any
) -> Any:
    """Quantizes a float model without training it.

    Activation formats are those with which the layers that read them lose least: coarser
    activations let weights be finer. Layer by layer, codes are then chosen within the bound by what
    answers lose on the data, after what the layers before have lost; biases, where a layer has one,
    take up what is left of the mean.

    Args:
      model: as for `quantize`.
      representative_dataset: as for `calibrate`; all of it is kept in memory, with what two layers
        make of it.
      **options: as for `quantize`, but for policy "paper" and distillation, which need training.
        A `width` that is given stays.

    Returns:
      A model to pass to `convert`, or to train further.

    Raises:
      UnsupportedError: as for `quantize` and `calibrate`.
      ValueError: an option that is out of range, or works in training alone.
    """
    for option, why in _OF_TRAINING.items():
        if options.get(option) not in (None, "proven"):
            raise ValueError(
                f"post_training_quantize() got {option}={options[option]!r}, but {why}. Leave it "
                "out, or use quantize() and fit()."
            )
    batches = list(_batches(representative_dataset))
    quantized = calibrate(quantize(model, **options), batches)
    choose_formats(quantized, batches)
    reconstruct_layers(quantized, batches)
    return quantized


_OF_TRAINING = {
    "policy": "the paper's rule follows the overflow of training batches",
    "distillation": "it is a term of the loss of training",
}


def _batches(dataset: Any) -> Iterable[Any]:
    batches = dataset() if callable(dataset) else dataset
    if not isinstance(batches, Iterable):
        raise UnsupportedError(
            "representative_dataset is an iterable of batches, or a callable that returns one; "
            f"got {type(batches).__name__}."
        )
    return batches


def _inputs(model: Any, batch: Any) -> Any:
    given = list(batch) if isinstance(batch, (list, tuple)) else [batch]
    if len(given) != len(model.inputs):
        raise UnsupportedError(
            f"A batch of representative_dataset holds {len(given)} arrays, the model takes "
            f"{len(model.inputs)}. Yield inputs alone, without labels."
        )
    tensors = []
    for value, expected in zip(given, model.inputs, strict=True):
        tensor = tf.convert_to_tensor(value)
        if not (tensor.dtype.is_floating or tensor.dtype.is_integer):
            raise UnsupportedError(
                f"A batch of representative_dataset holds {tensor.dtype.name}, input "
                f"{expected.name!r} takes {expected.dtype.name}."
            )
        tensor = tf.cast(tensor, expected.dtype)
        if not expected.shape.is_compatible_with(tensor.shape):
            raise UnsupportedError(
                f"A batch of representative_dataset has shape {tuple(tensor.shape)}, input "
                f"{expected.name!r} takes {tuple(expected.shape)} (batch first)."
            )
        if not np.isfinite(tensor.numpy()).all():
            raise UnsupportedError(
                f"A batch of representative_dataset for input {expected.name!r} holds values "
                "that are not finite; clean the data."
            )
        tensors.append(tensor)
    return tensors[0] if len(tensors) == 1 else tensors
