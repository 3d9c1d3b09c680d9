# SPDX-License-Identifier: Apache-2.0
"""`convert`: a trained, quantized model in; a certified .tflite file out."""

from __future__ import annotations

import re
import tempfile
import warnings
from typing import Any

import numpy as np

from oaq_keras._keras import tf
from oaq_keras.argument_checks import is_whole
from oaq_keras.canonical import ACTIVATION_SUFFIX
from oaq_keras.certificate import POLICY_METADATA, TARGETS
from oaq_keras.certification import certified
from oaq_keras.errors import UnsupportedError
from oaq_keras.exporting import exporting
from oaq_keras.finish import finish
from oaq_keras.flatbuffer import read_model as read_file
from oaq_keras.flatbuffer import set_metadata, write_model
from oaq_keras.folding import foldable
from oaq_keras.paper import PaperWeightQuantizer
from oaq_keras.quantizers import WeightQuantizer
from oaq_keras.rewrite import to_custom_ops
from oaq_keras.tflite_layers import TfliteConv2DTranspose
from oaq_keras.trained import format_tables, weight_quantizers
from oaq_keras.wrapper import inner_of

_PAPER_NOTE = (
    "policy paper: alpha followed the overflow observed in training batches (arXiv 2005.13297). "
    "Nothing is proven, and there is no certificate; kernels prove what they can when they load it."
)


def convert(
    model: Any,
    *,
    ops: str = "custom",
    inference_input_type: Any = "float32",
    inference_output_type: Any = "float32",
    batch_size: int | None = None,
) -> bytes:
    """Exports a model from `quantize` to TensorFlow Lite, with a proof that its sums fit.

    The codes in the file are proven, not those of the training graph. Where rounding in the
    converter pushed a channel over the bound its scale is inflated a little.

    Args:
      model: a model from `quantize`, trained (or calibrated); it is not changed.
      ops: "custom" for Oaq operators, which always run on our kernels; "builtin" for stock ones,
        which run in any TFLite, and on our kernels where the delegate claims them.
      inference_input_type: "float32", "int8" or "uint8", or that type of TensorFlow or numpy: what
        the file's inputs are; codes have the scale and zero point that the input's tensor tells.
      inference_output_type: the same for its outputs.
      batch_size: how many inputs the file takes at once; None for files whose inputs can be resized
        to any number, which models with a Conv2DTranspose cannot be: theirs take one.

    Returns:
      The .tflite file, int8 inside, and the certificate as metadata.
      With policy "paper" there is none, and metadata named POLICY_METADATA says so.

    Raises:
      UnsupportedError: not a model from `quantize`, not trained or calibrated yet, a weight that
        is not finite, or a layer that the converter left in float; the message names it.
      CertificateError: a layer whose exported codes do not fit; the message names it.
      ValueError: an unknown `ops` or type, or a batch size below 1.
    """
    types = _type(inference_input_type, "input"), _type(inference_output_type, "output")
    if ops not in ("custom", "builtin"):
        raise ValueError(f"ops is 'custom' or 'builtin', got {ops!r}.")
    if batch_size is not None and (not is_whole(batch_size) or batch_size < 1):
        raise ValueError(f"batch_size is a whole number from 1, or None, got {batch_size!r}.")
    _weight_quantizers(model)
    model = _on_one_device(model)
    quantizers = _weight_quantizers(model)
    _check_calibrated(model)
    _check_finite(model)
    with foldable(model), exporting():
        exported = _to_tflite(model, batch_size or _batch_size(model), *types)
    depth, first_layer_depth = _depths(quantizers)
    # What fits fewer bits fits these.
    accumulator_bits = max(quantizer.accumulator_bits for quantizer in quantizers)
    if any(isinstance(quantizer, PaperWeightQuantizer) for quantizer in quantizers):
        return _without_certificate(model, exported, ops, accumulator_bits)
    target = _target(quantizers)
    left = getattr(model, "float_layers", {})
    fitted = finish(exported, depth, first_layer_depth, accumulator_bits, target, left)
    converted = to_custom_ops(fitted) if ops == "custom" else fitted
    return certified(
        converted,
        depth=depth,
        first_layer_depth=first_layer_depth,
        accumulator_bits=accumulator_bits,
        target=target,
    )


def _type(given: Any, which: str) -> Any:
    try:
        found = tf.as_dtype(given)
    except TypeError:
        found = None
    if found not in (tf.float32, tf.int8, tf.uint8):
        raise ValueError(f"inference_{which}_type is 'float32', 'int8' or 'uint8', got {given!r}.")
    return found


def _weight_quantizers(model: Any) -> list[WeightQuantizer]:
    found = list(weight_quantizers(model).values())
    if not found:
        raise UnsupportedError(
            f"convert() takes a model from oaq_keras.quantize(), got {type(model).__name__} "
            "without quantized weights. Call quantize(model), train the result, convert that."
        )
    return found


def _without_certificate(model: Any, exported: bytes, ops: str, accumulator_bits: int) -> bytes:
    """The file of a model that followed observed overflow: nothing is proven, and it says so."""
    left = getattr(model, "float_layers", {})
    aligned = finish(exported, None, None, accumulator_bits, float_layers=left)
    parsed = read_file(to_custom_ops(aligned) if ops == "custom" else aligned)
    set_metadata(parsed, POLICY_METADATA, _PAPER_NOTE.encode())
    return write_model(parsed)


def _on_one_device(model: Any) -> Any:
    """A copy of a model whose variables lie on several devices, which cannot be exported there."""
    if not any(isinstance(each, tf.distribute.DistributedValues) for each in model.variables):
        return model
    copied = type(model).from_config(model.get_config())
    copied.set_weights(model.get_weights())
    return copied


def _target(quantizers: list[WeightQuantizer]) -> tuple[str, ...]:
    """Layouts that the layers were trained to fit; all that no layer speaks of count as well."""
    kernels = [quantizer for quantizer in quantizers if quantizer.kind != "depthwise"]
    wanted = {name for quantizer in kernels for name in quantizer.layouts} or {"c8", "c4"}
    return tuple(name for name in TARGETS if name in wanted | {"channel"})


def _depths(quantizers: list[WeightQuantizer]) -> tuple[int, int]:
    """Depths T that all layers were trained to fit: inner ones, and those that read the input."""
    inner = [quantizer.depth for quantizer in quantizers if not quantizer.reads_input]
    first = [quantizer.depth for quantizer in quantizers if quantizer.reads_input]
    return min(inner or first), min(first or inner)


def _check_calibrated(model: Any) -> None:
    for table in format_tables(model):
        for name, variables in table.items():
            if np.min(variables["calibrated"].numpy()) == 0.0:
                raise UnsupportedError(
                    f"The activation format of {name!r} has seen no data yet. Train the model "
                    "with fit(), or call oaq_keras.calibrate(model, dataset), then convert."
                )


def _check_finite(model: Any) -> None:
    for variable in model.weights:
        if not np.isfinite(variable.numpy()).all():
            raise UnsupportedError(
                f"The weights {variable.name!r} hold values that are not finite: training "
                "diverged. Train again with a smaller learning rate, or restore a checkpoint."
            )


def _batch_size(model: Any) -> int | None:
    """One for models with transposed convolutions, whose output shape TFLite has as a constant."""
    kinds = {type(inner_of(layer)) for layer in model.layers}
    return 1 if TfliteConv2DTranspose in kinds else None


def _to_tflite(model: Any, batch_size: int | None, input_type: Any, output_type: Any) -> bytes:
    """Runs TensorFlow's converter on the inference graph alone, with the model's tensor names."""
    names = [tensor.name.split(":")[0] for tensor in model.inputs]
    specs = [
        tf.TensorSpec([batch_size or tensor.shape[0], *tensor.shape[1:]], tensor.dtype, name)
        for tensor, name in zip(model.inputs, names, strict=True)
    ]

    def serve(*inputs: Any) -> Any:
        outputs = model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)
        return dict(zip(_output_names(model), tf.nest.flatten(outputs), strict=True))

    module = tf.Module()
    module.tracked = list(model.variables)  # the model itself would save every layer's functions
    serving = tf.function(serve, input_signature=specs, autograph=False)
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            # Every tensor carries its range already; the converter warns that no dataset gave one.
            warnings.filterwarnings("ignore", message="Statistics for quantized inputs")
            tf.saved_model.save(
                module, folder, signatures={"serving_default": serving.get_concrete_function()}
            )
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.inference_input_type = input_type
            converter.inference_output_type = output_type
            return bytes(converter.convert())
    except Exception as error:
        raise UnsupportedError(
            f"TensorFlow's converter refused model {model.name!r}: {_reason(model, error)}. Leave "
            "that part out of the model, or report it with the model's code."
        ) from error


def _reason(model: Any, error: Exception) -> str:
    """What the converter said, without where in its own graph, and the layers that it spoke of."""
    said = str(error) or type(error).__name__
    words = said.splitlines()[0].rpartition("): ")[2][:300].rstrip(". ")
    names = {inner_of(layer).name for layer in model.layers}
    named = sorted(name for name in names if re.search(rf"\b{re.escape(name)}\b", said))
    return f"{words} (layers {', '.join(named[:8])})" if named else words


def _output_names(model: Any) -> list[str]:
    """Names of the outputs in the float model, before layers were wrapped and split."""
    if getattr(model, "answers", None):
        return list(model.answers)
    inner = {layer.name: inner_of(layer).name for layer in model.layers}
    names = []
    for wrapped in model.output_names:
        name = inner[wrapped]
        whole = name.removesuffix(ACTIVATION_SUFFIX)
        names.append(whole if whole in inner.values() else name)
    return names
