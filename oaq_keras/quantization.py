# SPDX-License-Identifier: Apache-2.0
"""`quantize`: a Keras model in, a tf_keras model to compile and fit out."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from oaq_keras._keras import keras, tfmot
from oaq_keras.custom_objects import CustomObjects
from oaq_keras.custom_objects import check as check_custom_objects
from oaq_keras.distillation import Distillation
from oaq_keras.errors import UnsupportedError
from oaq_keras.first_widths import choose_first_widths
from oaq_keras.float_layers import float_layers
from oaq_keras.graph import Graph, build_model
from oaq_keras.keras3 import is_keras3_model, read_keras3_model
from oaq_keras.options import Options
from oaq_keras.scheme import OverflowAwareQuantizeScheme
from oaq_keras.tf_keras_models import read_model
from oaq_keras.training import QuantizedModel
from oaq_keras.wrapper import wrapped


def quantize(
    model: Any,
    *,
    depth: int = 16,
    first_layer_depth: int = 4,
    accumulator_bits: int = 16,
    regularization: float = 0.01,
    width: float | None = None,
    target: str = "all",
    policy: str = "proven",
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    distillation: Distillation | None = None,
    preserve: str | None = None,
    custom_objects: CustomObjects | None = None,
) -> Any:
    """Makes a model that trains with int8 formats whose sums provably fit int16 lanes.

    The method is overflow aware quantization (Xie et al., arXiv 2005.13297) with worst-case bounds
    in place of observed overflow. `fit` follows a schedule (`oaq_keras.callbacks.Schedule`): its
    first steps calibrate the activation formats, widths learn from a tenth on, and the last 30 %
    train on formats that stay as they are.

    Args:
      model: a built Sequential or Functional model with float weights, tf_keras or Keras 3. It is
        not changed.
      depth: accumulation depth T that every layer must fit: products a lane adds between two
        drains. NEVER_DRAINED asks for one reduction at the end alone.
      first_layer_depth: the same for layers that read the model's input.
      accumulator_bits: bits of a lane, 8 to 16.
      regularization: lambda of the overflow regularization, which shrinks worst-case sums until
        the weights need no coarser scale to fit.
      width: width, hi - lo in codes, at which the formats of ReLU outputs start; by default chosen
        format by format, by what it makes the weights behind lose (`first_widths`).
      target: the core that it is for, such as "a53" or "avx2": its lane layouts alone have to fit,
        and the regularization counts the time saved there. "all" fits every layout.
      policy: "proven" bounds the worst case. "paper" is the rule of arXiv 2005.13297, which watches
        training batches for overflow; its files carry no certificate.
      overrides: options of single layers by name pattern, such as {"block_1*": {"depth": 32}};
        `depth`, `accumulator_bits`, `regularization`, `width` and `preserve` can be given.
        Certificates are made out for the smallest depth and the most bits of any layer.
      distillation: an `oaq_keras.Distillation`, for the float model's answers in the loss.
      preserve: for a model that was pruned or clustered: "sparsity" keeps weights of 0 at 0;
        "clusters" keeps the weights of a layer equal that are, and zeros too, where a layer has 256
        values at most. Nothing is kept by default.
      custom_objects: layer classes of your own, or their names, and how each is quantized: "same"
        where codes pass through as they are (a dropout, a reshape), "float" where it is to stay
        float, or a function that takes the layer and returns a tf_keras model, weights included,
        that computes the same by stock layers.

    Returns:
      A tf_keras model to compile and fit, then to pass to `convert`.

    Raises:
      UnsupportedError: a model or layer that cannot be quantized; the message names it.
      ValueError: an option out of range, overrides or custom_objects that reach no layer, or
        nothing to preserve.
    """
    options = Options(
        depth,
        first_layer_depth,
        accumulator_bits,
        regularization,
        width,
        target,
        policy,
        overrides or {},
        distillation,
        preserve,
    )
    options.check()
    custom = custom_objects or {}
    check_custom_objects(custom)
    graph = graph_of(model, custom)
    _check_reach(model, custom)
    _check_finite(graph)
    names = {node.name for node in graph}
    options.check_patterns(names)
    if distillation is not None:
        float_model = build_model(graph_of(model, custom)) if is_keras3_model(model) else model
        if distillation.teacher is None:
            distillation = replace(distillation, teacher=float_model)
        distillation.check(float_model)
    quantized = quantize_graph(graph, OverflowAwareQuantizeScheme(options))
    if distillation is not None:
        quantized.distill(distillation, float_model)
    return quantized


def graph_of(model: Any, custom: CustomObjects | None = None) -> Graph:
    """The graph of a float model, tf_keras or Keras 3.

    Raises:
      UnsupportedError: no such model, or one that is quantized already; the message says why.
    """
    if is_keras3_model(model):
        return read_keras3_model(model, custom)
    if not isinstance(model, keras.Model):
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
    return read_model(model, custom)


def apply_scheme(model: Any, scheme: OverflowAwareQuantizeScheme) -> QuantizedModel:
    """The quantized model of a model that `quantize` takes, by a scheme of one's own.

    Raises:
      UnsupportedError: a layer that cannot be quantized; the message names it.
    """
    return quantize_graph(graph_of(model), scheme)


def quantize_graph(graph: Graph, scheme: OverflowAwareQuantizeScheme) -> QuantizedModel:
    """The quantized model of a graph, which is changed.

    Raises:
      UnsupportedError: a layer that cannot be quantized; the message names it.
    """
    with _in_float32():
        return _quantized(graph, scheme)


@contextmanager
def _in_float32() -> Iterator[None]:
    """Layers made inside compute in float32, whatever policy is set for others."""
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(policy)


def _quantized(graph: Graph, scheme: OverflowAwareQuantizeScheme) -> QuantizedModel:
    left = float_layers(graph)
    annotated = {node.name for node in graph} - set(left)
    prepared, configs = scheme.get_layout_transformer().prepare(graph, annotated)

    shares = _shares(graph)

    def quantized_layer(layer: Any) -> Any:
        config = configs.get(layer.name)
        return layer if config is None else wrapped(layer, config, shares.get(layer.name))

    model = keras.models.clone_model(prepared, clone_function=quantized_layer)
    taken = {layer.name for layer in model.layers}
    outputs = [
        # Losses and metrics go by the names that outputs had in the given model.
        output if name in taken else keras.layers.Activation("linear", name=name)(output)
        for output, name in zip(model.outputs, graph.output_names, strict=True)
    ]
    quantized = QuantizedModel(model.inputs, graph.as_given(outputs), name=graph.name)
    quantized.answers = list(graph.output_names)
    quantized.float_layers = left
    quantized.tied = {name: shares[name] for name in shares if name not in configs}
    if scheme.options.policy != "paper":  # whose scales follow what batches show, not the bound
        choose_first_widths(quantized)
    return quantized


def _shares(graph: Graph) -> dict[str, str]:
    """Layers that train with others, and the name of the first of these, which is among them."""
    found = {node.name: node.shares for node in graph if node.shares is not None}
    return {**found, **{leader: leader for leader in found.values()}}


def _check_reach(model: Any, custom: CustomObjects) -> None:
    """Refuses what is said of layers that the model does not have.

    Raises:
      ValueError: it names the class.
    """
    found, waiting = set(), list(model.layers)
    while waiting:
        layer = waiting.pop()
        found |= {type(layer), type(layer).__name__}
        waiting += getattr(layer, "layers", [])
    for kind in custom:
        if kind not in found:
            raise ValueError(
                f"custom_objects speaks of {getattr(kind, '__name__', kind)}, and model "
                f"{model.name!r} has no such layer. Give the class of a layer, or its name."
            )


def _check_finite(graph: Graph) -> None:
    """Refuses weights that are not numbers.

    Raises:
      UnsupportedError: the layer that has some.
    """
    for node in graph:
        if not all(np.isfinite(values).all() for values in node.weights):
            raise UnsupportedError(
                f"Layer {node.name!r} has weights that are not finite: training diverged. Restore "
                "a checkpoint from before."
            )
