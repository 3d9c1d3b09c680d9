# SPDX-License-Identifier: Apache-2.0
"""What an exported int8 file still needs before it is certified."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from oaq_keras.certificate import TARGETS
from oaq_keras.errors import CertificateError, UnsupportedError
from oaq_keras.flatbuffer import (
    Model,
    constant,
    read_model,
    write_model,
)
from oaq_keras.float_operators import float_operators, owner, remember
from oaq_keras.inflate import inflate_layer
from oaq_keras.int8_layers import Int8Layer, int8_layers
from oaq_keras.layouts import C4, C8, CHANNEL
from oaq_keras.tables import short_name

LARGEST_INFLATION = 1.1
"""Beyond this the file's codes are not those that were trained, and inflating hides a mistake."""


def finish(
    exported: bytes,
    depth: int | None,
    first_layer_depth: int | None,
    accumulator_bits: int = 16,
    target: Sequence[str] = TARGETS,
    float_layers: Mapping[str, str] | None = None,
) -> bytes:
    """Inflates what rounding in the converter left over the bound.

    Args:
      exported: a .tflite file whose weights were trained to fit.
      depth: accumulation depth T of every layer but those that read the model's input; None for
        a file that need not fit.
      first_layer_depth: that of those.
      accumulator_bits: bits of a lane.
      target: lane layouts to fit.
      float_layers: layers that are to be in float, and why.

    Returns:
      The file, its layers fitting; with constants aligned. A warning names operators that compute
      in float, and why those do that are to.

    Raises:
      UnsupportedError: a convolution or fully connected layer is not int8; the message names it.
      CertificateError: a layer exceeds the bound by more than rounding explains.
    """
    model = read_model(exported)
    known = float_layers or {}
    _warn_of_float_operators(model, known)
    layers, skipped = int8_layers(model)
    for other in skipped:
        if owner(other.name, known) is not None:
            continue
        raise UnsupportedError(
            f"Layer {short_name(other.name)!r} was exported without int8 codes: {other.reason}"
            ". Quantize it too, or run that part of the model outside this file."
        )
    for layer in layers:
        _check_bias(model, layer)
        kernels = (CHANNEL,) if layer.kind == "DEPTHWISE_CONV_2D" else (C8, C4)
        layouts = [layout for layout in kernels if layout.name in target]
        wanted = first_layer_depth if layer.first else depth
        if wanted is None or not layouts:
            continue
        factor = inflate_layer(model, layer, layouts, wanted, accumulator_bits)
        if factor > LARGEST_INFLATION:
            raise CertificateError(
                f"Layer {short_name(layer.name)!r} (operator {layer.op}) exceeds "
                f"{accumulator_bits} bits at T={wanted} by a factor of {factor:.2f} with inputs in "
                f"{list(layer.input_range)}. The file's codes or ranges are not those that were "
                "trained; nothing was exported.",
                [layer.name],
            )
    remember(model, known)
    return write_model(model)


def _warn_of_float_operators(model: Model, known: Mapping[str, str]) -> None:
    found = float_operators(model, known)
    for each in found:
        if each.reason is not None:
            warnings.warn(f"In float: {each}.", stacklevel=4)
    left = [f"{each.kinds[0]} {each.layer!r}" for each in found if each.reason is None]
    if left:
        warnings.warn(
            f"The converter left these operators in float: {', '.join(left)}. They run, but "
            "slower, and between conversions to and from int8.",
            stacklevel=4,
        )


def _check_bias(model: Model, layer: Int8Layer) -> None:
    if layer.bias < 0:
        return
    codes = constant(model, model.subgraphs[layer.subgraph], layer.bias)
    limits = np.iinfo(codes.dtype)
    full = (codes == limits.max) | (codes == limits.min)
    if full.any():
        raise UnsupportedError(
            f"Layer {short_name(layer.name)!r} has {int(full.sum())} of {codes.size} biases "
            "beyond what int32 holds at the scale of its input times that of its weights: weights "
            "or inputs are tiny beside the bias. Scale the inputs up, or prune those channels. "
            "Nothing was exported."
        )
