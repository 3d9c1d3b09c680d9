# SPDX-License-Identifier: Apache-2.0
"""`recertify`: an int8 file that somebody made in, one whose sums provably fit out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from oaq_keras.argument_checks import is_whole
from oaq_keras.associated_files import keep_associated_files
from oaq_keras.certificate import METADATA, POLICY_METADATA
from oaq_keras.certification import certified, certify
from oaq_keras.errors import UnsupportedError
from oaq_keras.flatbuffer import drop_unused_buffers, read_model, remove_metadata, write_model
from oaq_keras.int8_layers import Int8Layer, int8_layers
from oaq_keras.lane_budgets import Budget, lane_budgets, load
from oaq_keras.layouts import C4, C8, CHANNEL, NEVER_DRAINED, Layout
from oaq_keras.model_file import Source, load_bytes
from oaq_keras.recalibration import copy_of, reconstruct_layers
from oaq_keras.refit import refit_layer
from oaq_keras.rewrite import to_builtin_ops, to_custom_ops


def recertify(
    model: Source,
    *,
    depth: int = 16,
    first_layer_depth: int = 4,
    accumulator_bits: int = 16,
    calibration: Sequence[Sequence[NDArray[Any]]] | None = None,
) -> bytes:
    """Makes the int8 layers of a file fit their accumulators, with as little error as it can.

    The codes of layers that do not fit are chosen anew, with coarser scales, so that every block of
    products is safe. With calibration data those of all layers are, by what the layer's outputs
    lose on it, after what the layers before have lost; biases, where a layer has one, take up what
    is left of the mean.

    Args:
      model: bytes of a .tflite file with int8 layers, builtin operators or ours, or its path.
      depth: accumulation depth T that every layer is to fit.
      first_layer_depth: the same for layers that read the model's input.
      accumulator_bits: bits of a lane, 8 to 16.
      calibration: a list of inputs, 100 or so, each a list of arrays as the file takes them, in
        the order of its inputs.

    Returns:
      The file with its certificate. Operators, shapes, inputs and outputs are those given; a file
      that has some of our operators comes out with ours throughout.

    Raises:
      ModelFileError: not a model, or a damaged one.
      UnsupportedError: no int8 layers, depth or bits out of range, calibration data that does not
        fit, or a layer whose weights cannot be changed; the message names it.
      CertificateError: a layer that does not fit all the same.
    """
    if not is_whole(accumulator_bits) or not 8 <= accumulator_bits <= 16:
        raise UnsupportedError(
            f"accumulator_bits is {accumulator_bits!r}; lanes hold 8 to 16 bits. Give one of these."
        )
    for name, value in {"depth": depth, "first_layer_depth": first_layer_depth}.items():
        if not is_whole(value) or not 1 <= value <= NEVER_DRAINED:
            raise UnsupportedError(
                f"{name} is {value!r}; give a number of products from 1 to {NEVER_DRAINED}, "
                "never drained."
            )
    depth, first_layer_depth = int(depth), int(first_layer_depth)
    accumulator_bits = int(accumulator_bits)
    given = load_bytes(model)
    certify(given, depth=depth, first_layer_depth=first_layer_depth)
    custom = any(layer.custom for layer in int8_layers(read_model(given))[0])
    parsed = read_model(to_builtin_ops(given) if custom else given)
    for name in (METADATA, POLICY_METADATA):
        remove_metadata(parsed, name)  # It speaks of codes that are about to change.
    layers, _ = int8_layers(parsed)

    def budgets(layer: Int8Layer) -> tuple[Budget, ...]:
        width = layer.input_range[1] - layer.input_range[0]
        wanted = first_layer_depth if layer.first else depth
        return lane_budgets(layer.phases, _layouts(layer), wanted, width, accumulator_bits)

    original = copy_of(parsed)
    if calibration is None:
        for layer in layers:
            if load(layer.codes, budgets(layer)).max() > 1.0:
                refit_layer(parsed, original, layer, budgets(layer))
    else:
        reconstruct_layers(parsed, original, calibration, budgets)
    drop_unused_buffers(parsed)  # the codes that others have taken the place of
    fitted = keep_associated_files(given, write_model(parsed))
    return certified(
        to_custom_ops(fitted) if custom else fitted,
        depth=depth,
        first_layer_depth=first_layer_depth,
        accumulator_bits=accumulator_bits,
    )


def _layouts(layer: Int8Layer) -> tuple[Layout, ...]:
    return (CHANNEL,) if layer.kind == "DEPTHWISE_CONV_2D" else (C8, C4)
