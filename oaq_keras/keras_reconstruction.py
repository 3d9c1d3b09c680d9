# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization of a Keras model: formats and codes by what its layers answer.

The model from `quantize` is run layer by layer, once as the float model that it was made of and
once as it is, so that every layer is fitted to the inputs that it will get.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaq_keras._keras import keras
from oaq_keras.activation_choice import Reader, choose_closed, choose_open
from oaq_keras.configs import QuantizeInput
from oaq_keras.custom_ops import LayerOptions
from oaq_keras.graph import Slot
from oaq_keras.lane_budgets import Budget, lane_budgets
from oaq_keras.layouts import LAYOUTS
from oaq_keras.patches import sample_patches
from oaq_keras.quantizers import ActivationQuantizer, WeightQuantizer
from oaq_keras.reconstruction import InputStatistics, mean_shift, reconstruct
from oaq_keras.tf_keras_models import read_calls
from oaq_keras.trained import weight_quantizers
from oaq_keras.weight_structure import CLUSTERS, SPARSITY
from oaq_keras.wrapper import inner_of, wrappers

PATCHES = 16384
"""Patches of all images from which a layer's moments are taken."""

_PATCHES_FOR_FORMATS = 2048
_VALUES_FOR_FORMATS = 65536
_SEED = 1
_SAME, _VALID = 0, 1

Batches = list[NDArray[Any]]


class _Run:
    """A model's tensors on calibration data, layer by layer."""

    def __init__(self, model: Any, batches: Sequence[Any], call: Callable[..., Any]) -> None:
        """Starts with the inputs.

        Args:
          model: a functional model, every layer called once.
          batches: inputs, an array each or a list of arrays.
          call: computes a layer.
        """
        self._call = call
        self._calls = read_calls(model.get_config())
        given = [batch if isinstance(batch, (list, tuple)) else [batch] for batch in batches]
        self._values: dict[str, Batches] = {
            name: [np.asarray(batch[i], np.float32) for batch in given]
            for i, name in enumerate(model.input_names)
        }
        self._unread = [name for call in self._calls.values() for name, _, _ in call.inputs]

    def input(self, layer: Any) -> Batches:
        """What a layer with one input reads."""
        return self._values[self._calls[layer.name].inputs[0][0]]

    def step(self, layer: Any) -> Batches:
        """Calls a layer, and forgets inputs that no later one reads."""
        call = self._calls[layer.name]
        names = [name for name, _, _ in call.inputs]
        slots = {k: v.index for k, v in call.arguments.items() if isinstance(v, Slot)}
        found = []
        for inputs in zip(*(self._values[name] for name in names), strict=True):
            first = [value for i, value in enumerate(inputs) if i not in slots.values()]
            given = first if call.as_list or len(first) > 1 else first[0]
            arguments = {**call.arguments, **{key: inputs[i] for key, i in slots.items()}}
            found.append(np.asarray(self._call(layer, given, **arguments)))
        self._values[layer.name] = found
        for name in names:
            self._unread.remove(name)
            if name not in self._unread:
                del self._values[name]
        return found


def choose_formats(model: Any, batches: Sequence[Any]) -> None:
    """Gives every activation the format with which the layers that read it lose least.

    Args:
      model: from `quantize`; its formats are changed.
      batches: inputs, as the model takes them.
    """
    samples: dict[str, list[NDArray[np.float32]]] = {}
    outputs: dict[str, ActivationQuantizer] = {}
    readers: dict[str, list[Reader]] = {}
    run = _Run(model, batches, _float_answer)
    for layer in _computing(model):
        quantizer = _weight_quantizer(layer)
        if quantizer is not None and _has_patches(quantizer) and quantizer.input_format is not None:
            found = _reader(inner_of(layer), quantizer, run.input(layer))
            readers.setdefault(quantizer.input_format, []).append(found)
        answers = run.step(layer)
        output = _output_quantizer(layer)
        if output is not None and output.kind != "fixed":
            name = str(output.name or layer.name)
            outputs.setdefault(name, output)
            samples.setdefault(name, []).append(_sampled(answers))
    for name, output in outputs.items():
        values = np.concatenate(samples[name])
        if output.kind == "closed":
            given = output.table.is_width_given(name)
            widths = (round(float(output.table.width(name))),) if given else None
            form = choose_closed(values, readers.get(name, ()), output.max_value, widths)
        else:
            form = choose_open(values, readers.get(name, ()))
        output.table.choose(name, form)


def reconstruct_layers(model: Any, batches: Sequence[Any]) -> None:
    """Gives every layer codes that fit, and biases that keep the mean, in order of execution.

    Args:
      model: from `quantize`, its formats calibrated; kernels and biases are changed.
      batches: inputs, as the model takes them.
    """
    quantizers = weight_quantizers(model)
    layers = {name: inner_of(layer) for name, layer in wrappers(model).items()}
    shifts: dict[str, NDArray[np.float32]] = {}

    def float_answer(layer: Any, inputs: Any, **arguments: Any) -> Any:
        # A normalization takes the shift up in its mean, and is to answer as it did before.
        inner = inner_of(layer)
        shift = None if inner is layer else shifts.get(inner.name)
        return _float_answer(layer, inputs if shift is None else inputs - shift, **arguments)

    wanted = _Run(model, batches, float_answer)
    given = _Run(model, batches, _answer)
    for layer in _computing(model):
        quantizer = _weight_quantizer(layer)
        fits = (
            quantizer is not None
            and _has_patches(quantizer)
            and not _is_shared(quantizer, quantizers.values())
        )
        inputs = (wanted.input(layer), given.input(layer)) if fits else None
        wanted.step(layer)  # with the weights that it had
        if quantizer is not None and inputs is not None:
            shift = _fit(inner_of(layer), quantizer, *inputs).astype(np.float32)
            norm = layers.get(quantizer.normalization or "")
            if isinstance(norm, keras.layers.BatchNormalization):
                norm.moving_mean.assign_sub(shift)
                shifts[norm.name] = shift
            elif inner_of(layer).use_bias:
                inner_of(layer).bias.assign_add(shift)
        given.step(layer)


def _has_patches(quantizer: WeightQuantizer) -> bool:
    """Whether all outputs of a layer sum the same taps; those of a transposed one do not."""
    return quantizer.kind != "transpose"


def _is_shared(quantizer: WeightQuantizer, quantizers: Iterable[WeightQuantizer]) -> bool:
    """Whether another call of the layer reads the same kernel, at other inputs."""
    return sum(quantizer.kernel is other.kernel for other in quantizers) > 1


def _fit(
    layer: Any, quantizer: WeightQuantizer, wanted: Batches, given: Batches
) -> NDArray[np.float64]:
    """Chooses the kernel's codes; returns what to add to the bias."""
    statistics = InputStatistics()
    for pair in zip(
        _patches(layer, quantizer, wanted, PATCHES),
        _patches(layer, quantizer, given, PATCHES),
        strict=True,
    ):
        statistics.add(*pair)
    weights, scale, one_scale = _weights(quantizer)
    if quantizer.preserve == CLUSTERS:  # whose codes are nobody's to choose one by one
        codes = quantizer.codes() * quantizer.current_scale()
        return mean_shift(weights, codes.numpy().T.astype(np.float64), statistics)
    width = round(float(quantizer.table.width(quantizer.input_format)))
    found = reconstruct(
        weights,
        scale,
        statistics,
        _budgets(quantizer, weights, width),
        one_scale=one_scale,
        kept=weights != 0 if quantizer.preserve == SPARSITY else None,
    )
    chosen = found.rounded.scale.astype(np.float32)
    quantizer.choose(found.rounded.codes.T, chosen[0] if one_scale else chosen)
    return found.shift


def _reader(layer: Any, quantizer: WeightQuantizer, inputs: Batches) -> Reader:
    weights, scale, one_scale = _weights(quantizer)
    return Reader(
        np.concatenate(list(_patches(layer, quantizer, inputs, _PATCHES_FOR_FORMATS))),
        weights,
        scale,
        one_scale,
        lambda width: _budgets(quantizer, weights, width),
    )


def _weights(quantizer: WeightQuantizer) -> tuple[Any, Any, bool]:
    """[channels, products] weights, [channels] scales, and whether these are all equal."""
    weights = quantizer.channel_view(quantizer.weights().numpy()).T.astype(np.float64)
    scale = np.asarray(quantizer.plain_scale(), np.float64)
    return weights, np.broadcast_to(scale, (len(weights),)).copy(), scale.ndim == 0


def _budgets(quantizer: WeightQuantizer, weights: Any, width: int) -> tuple[Budget, ...]:
    taps = np.arange(weights.shape[1], dtype=np.intp)
    layouts = [LAYOUTS[name] for name in quantizer.layouts]
    return lane_budgets([taps], layouts, quantizer.depth, width, quantizer.accumulator_bits)


def _patches(
    layer: Any, quantizer: WeightQuantizer, batches: Batches, count: int
) -> Iterator[NDArray[np.float32]]:
    """[patches, groups, products] of every image in turn; the same places for the same count."""
    draw = np.random.default_rng(_SEED)
    images = sum(map(len, batches))
    for batch in batches:
        if quantizer.kind == "dense":
            yield batch.reshape(-1, 1, batch.shape[-1])
            continue
        kernel = quantizer.kernel.shape
        (stride_h, stride_w), (dilation_h, dilation_w) = layer.strides, layer.dilation_rate
        options = LayerOptions(
            1,
            0,
            padding=_SAME if layer.padding == "same" else _VALID,
            stride_h=stride_h,
            stride_w=stride_w,
            dilation_h=dilation_h,
            dilation_w=dilation_w,
        )
        for image in batch:
            at = draw.random((-(-count // images), 2))
            yield sample_patches(
                image,
                (kernel[0], kernel[1]),
                options,
                quantizer.kind == "depthwise",
                kernel[2],
                at,
            )


def _sampled(batches: Batches) -> NDArray[np.float32]:
    draw = np.random.default_rng(_SEED)
    each = -(-_VALUES_FOR_FORMATS // len(batches))
    return np.concatenate(
        [draw.choice(b.reshape(-1), min(each, b.size), replace=False) for b in batches]
    )


def _computing(model: Any) -> list[Any]:
    return [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]


def _weight_quantizer(layer: Any) -> WeightQuantizer | None:
    return getattr(getattr(layer, "quantize_config", None), "weight_quantizer", None)


def _output_quantizer(layer: Any) -> ActivationQuantizer | None:
    if isinstance(layer, QuantizeInput):
        found: ActivationQuantizer = layer.quantizer
        return found
    config = getattr(layer, "quantize_config", None)
    return getattr(config, "output_quantizer", None)


def _answer(layer: Any, inputs: Any, **arguments: Any) -> Any:
    return layer(inputs, **{**arguments, "training": False})


def _float_answer(layer: Any, inputs: Any, **arguments: Any) -> Any:
    """Of the layer without its quantizers."""
    if isinstance(layer, QuantizeInput):
        return inputs
    inner, config = inner_of(layer), getattr(layer, "quantize_config", None)
    if config is not None and getattr(config, "weight_quantizer", None) is not None:
        # A call of the wrapper leaves the quantized kernel in its place.
        setattr(inner, config.kernel, config.weight_quantizer.kernel)
    return inner(inputs, **{**arguments, "training": False})
