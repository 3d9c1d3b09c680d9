# SPDX-License-Identifier: Apache-2.0
"""`quantize`: a Keras model in, a tf_keras model to compile and fit out."""

from typing import Any

from oaq_keras._keras import keras, tfmot
from oaq_keras.canonical import canonicalize
from oaq_keras.errors import UnsupportedError
from oaq_keras.format_assignment import assign_formats
from oaq_keras.graph import build_model, read_model
from oaq_keras.keras3 import is_keras3_model, read_keras3_model
from oaq_keras.layouts import NEVER_DRAINED
from oaq_keras.quantizers import DEFAULT_WIDTH
from oaq_keras.scheme import Options, OverflowAwareQuantizeScheme


def quantize(
    model: Any,
    *,
    depth: int = 16,
    first_layer_depth: int = 4,
    accumulator_bits: int = 16,
    regularization: float = 0.01,
    width: float = DEFAULT_WIDTH,
) -> Any:
    """Makes a model that trains with int8 formats whose sums provably fit int16 lanes.

    The method is overflow aware quantization (Xie et al., arXiv 2005.13297) with worst-case bounds
    in place of observed overflow. The first training steps calibrate the activation formats.

    Args:
      model: a built Sequential or Functional model with float weights, tf_keras or Keras 3. It is
        not changed.
      depth: accumulation depth T that every layer must fit: products a lane adds between two
        drains. NEVER_DRAINED asks for one reduction at the end alone.
      first_layer_depth: the same for layers that read the model's input.
      accumulator_bits: bits of a lane, 8 to 16.
      regularization: lambda of the overflow regularization, which shrinks worst-case sums until
        the weights need no coarser scale to fit.
      width: width, hi - lo in codes, at which the formats of ReLU outputs start.

    Returns:
      A tf_keras model to compile and fit, then to pass to `convert`.

    Raises:
      UnsupportedError: a model or layer that cannot be quantized; the message names it.
      ValueError: an option out of range.
    """
    options = Options(depth, first_layer_depth, accumulator_bits, regularization, width)
    _check(options)
    if is_keras3_model(model):
        model = build_model(read_keras3_model(model))
    elif not isinstance(model, keras.Model):
        raise UnsupportedError(
            f"quantize() takes a tf_keras or Keras 3 model, got {type(model).__name__}. "
            "Load a saved model first with keras.models.load_model(path)."
        )
    for layer in model.layers:
        if isinstance(layer, tfmot.quantization.keras.QuantizeWrapper):
            raise UnsupportedError(
                f"Model {model.name!r} is quantized already: layer {layer.name!r} is a quantize "
                "wrapper. Pass the float model."
            )
    graph = read_model(model)
    names = {node.name for node in graph}
    assignment = assign_formats(graph, canonicalize(graph, names))
    if not assignment.kernels:
        raise UnsupportedError(
            f"Model {model.name!r} has no Conv2D, DepthwiseConv2D or Dense layer: there are no "
            "sums to bound. Quantize the model that has them."
        )
    annotated = tfmot.quantization.keras.quantize_annotate_model(model)
    return tfmot.quantization.keras.quantize_apply(annotated, OverflowAwareQuantizeScheme(options))


def _check(options: Options) -> None:
    for name in ("depth", "first_layer_depth"):
        value = getattr(options, name)
        if type(value) is not int or not 1 <= value <= NEVER_DRAINED:
            raise ValueError(
                f"{name} is a number of products from 1 to NEVER_DRAINED ({NEVER_DRAINED}), "
                f"got {value!r}."
            )
    if options.accumulator_bits not in range(8, 17):
        raise ValueError(f"accumulator_bits is 8 to 16, got {options.accumulator_bits!r}.")
    if not options.regularization >= 0:
        raise ValueError(f"regularization is at least 0, got {options.regularization!r}.")
