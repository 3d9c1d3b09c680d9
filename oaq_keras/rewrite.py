# SPDX-License-Identifier: Apache-2.0
"""Turn builtin int8 layers into Oaq custom operators and back, without changing a code.

Tensors, buffers, signatures and metadata stay as they are; only operators, their options and the
list of operator codes differ. A certificate in the file stays valid.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from oaq_keras.associated_files import keep_associated_files
from oaq_keras.certification import check_certificate
from oaq_keras.custom_ops import (
    BUILTIN_TO_CUSTOM,
    CUSTOM_TO_BUILTIN,
    LayerOptions,
    encode_options,
)
from oaq_keras.errors import UnsupportedError
from oaq_keras.flatbuffer import (
    Model,
    Operator,
    builtin_code,
    quantization,
    read_model,
    write_model,
)
from oaq_keras.int8_layers import Int8Layer, int8_layers
from oaq_keras.model_file import Source, load_bytes
from oaq_keras.ranges import FUSING_TRANSPOSE_CONV, activation_range
from oaq_keras.tflite_schema import schema

_ACTIVATIONS = (
    schema.ActivationFunctionType.NONE,
    schema.ActivationFunctionType.RELU,
    schema.ActivationFunctionType.RELU_N1_TO_1,
    schema.ActivationFunctionType.RELU6,
)
_CUSTOM_VERSION = 1
# What the kernels refuse beyond: a multiplier's exponent, and parts of a TRANSPOSE_CONV's filter.
_LARGEST_EXPONENT = 30
_MOST_PHASES = 1024


def to_custom_ops(model: Source) -> bytes:
    """Rewrite int8 convolutions and fully connected layers as Oaq operators.

    A layer that the custom options cannot describe (a fused activation that is none of NONE, RELU,
    RELU6 and RELU_N1_TO_1, options of a rarer kind) stays builtin, and so does one that the kernels
    refuse: with a scale of input times weights of 2^30 or more outputs', or a TRANSPOSE_CONV of
    more than 1,024 phases.

    Args:
      model: bytes of a .tflite file, or its path.

    Returns:
      The rewritten file; it needs our delegate, or our operators in the resolver, to run.

    Raises:
      ModelFileError: not a model, or a damaged one.
      CertificateError: the file's certificate is not that of its codes.
      UnsupportedError: there is no int8 layer that could be rewritten.
    """
    given = load_bytes(model)
    parsed = read_model(given)
    check_certificate(parsed)
    layers, _ = int8_layers(parsed)
    changed = [layer for layer in layers if not layer.custom and _expressible(parsed, layer)]
    if not changed and not any(layer.custom for layer in layers):
        raise UnsupportedError(
            "the model has no int8 convolution or fully connected layer that Oaq operators could "
            "replace; convert it with int8 inputs, weights and outputs first"
        )
    codes = _OperatorCodes(parsed)
    for layer in changed:
        graph = parsed.subgraphs[layer.subgraph]
        operator = graph.operators[layer.op]
        limits = activation_range(layer.options.activation, quantization(graph, layer.output))
        options = LayerOptions(
            **{
                **vars(layer.options),
                "input_lo": layer.input_range[0],
                "input_hi": layer.input_range[1],
                "output_lo": limits[0],
                "output_hi": limits[1],
            }
        )
        operator.builtinOptionsType = schema.BuiltinOptions.NONE
        operator.builtinOptions = None
        operator.customOptions = encode_options(layer.kind, options)
        operator.customOptionsFormat = schema.CustomOptionsFormat.FLEXBUFFERS
        codes.assign(operator, BUILTIN_TO_CUSTOM[layer.kind], _CUSTOM_VERSION)
    codes.drop_unused()
    return keep_associated_files(given, write_model(parsed))


def to_builtin_ops(model: Source) -> bytes:
    """Rewrite Oaq operators as the builtin operators they came from.

    Args:
      model: bytes of a .tflite file, or its path.

    Returns:
      A file that any TFLite runtime runs, with the same results.

    Raises:
      ModelFileError: not a model, or a damaged one.
      CertificateError: the file's certificate is not that of its codes.
      UnsupportedError: an operator limits its output codes more tightly than its fused activation,
        which the builtin operator would not do.
    """
    given = load_bytes(model)
    parsed = read_model(given)
    check_certificate(parsed)
    layers, _ = int8_layers(parsed)
    codes = _OperatorCodes(parsed)
    for layer in layers:
        if not layer.custom:
            continue
        graph = parsed.subgraphs[layer.subgraph]
        options = layer.options
        low, high = activation_range(options.activation, quantization(graph, layer.output))
        if options.output_lo > low or options.output_hi < high:
            raise UnsupportedError(
                f"layer {layer.name!r} clips its output codes to [{options.output_lo}, "
                f"{options.output_hi}], its fused activation only to [{low}, {high}]: as a builtin "
                "operator it would give other results; export the model again with builtin ops"
            )
        operator = graph.operators[layer.op]
        operator.customOptions = None
        operator.builtinOptionsType, operator.builtinOptions = _builtin_options(layer)
        version = options.builtin_version
        if layer.kind == "TRANSPOSE_CONV" and options.activation:
            version = max(version, FUSING_TRANSPOSE_CONV)
        codes.assign(operator, layer.kind, version)
    codes.drop_unused()
    return keep_associated_files(given, write_model(parsed))


def _expressible(model: Model, layer: Int8Layer) -> bool:
    operator: Operator = model.subgraphs[layer.subgraph].operators[layer.op]
    options = layer.options
    if options.activation not in _ACTIVATIONS or not np.isin(options.padding, (0, 1)):
        return False
    if options.depth_multiplier < 1 or len(layer.phases) > _MOST_PHASES:
        return False
    if _largest_exponent(model, layer) > _LARGEST_EXPONENT:
        return False
    # What the custom options have no key for must hold its default, or the way back loses it.
    restored = vars(_builtin_options(layer)[1])
    return bool(vars(operator.builtinOptions) == restored) and operator.builtinOptions2 is None


def _largest_exponent(model: Model, layer: Int8Layer) -> int:
    """Of input scale * weight scale / output scale as a 31-bit fraction times a power of two."""
    graph = model.subgraphs[layer.subgraph]
    source, output = (quantization(graph, i).scale[0] for i in (layer.input, layer.output))
    weights = quantization(graph, layer.weights, len(layer.codes)).scale
    fraction, exponent = np.frexp(float(source) * np.asarray(weights, np.float64) / float(output))
    return int((exponent + (np.rint(fraction * 2.0**31) == 2.0**31)).max())


def _builtin_options(layer: Int8Layer) -> tuple[int, Any]:
    options = layer.options
    if layer.kind == "FULLY_CONNECTED":
        dense = schema.FullyConnectedOptionsT()
        dense.fusedActivationFunction = options.activation
        dense.keepNumDims = bool(options.keep_num_dims)
        return schema.BuiltinOptions.FullyConnectedOptions, dense
    if layer.kind == "TRANSPOSE_CONV":
        transposed = schema.TransposeConvOptionsT()
        transposed.fusedActivationFunction = options.activation
        transposed.padding = options.padding
        transposed.strideH, transposed.strideW = options.stride_h, options.stride_w
        return schema.BuiltinOptions.TransposeConvOptions, transposed
    if layer.kind == "CONV_2D":
        number, window = schema.BuiltinOptions.Conv2DOptions, schema.Conv2DOptionsT()
    else:
        number = schema.BuiltinOptions.DepthwiseConv2DOptions
        window = schema.DepthwiseConv2DOptionsT()
        window.depthMultiplier = options.depth_multiplier
    window.fusedActivationFunction = options.activation
    window.padding = options.padding
    window.strideH, window.strideW = options.stride_h, options.stride_w
    window.dilationHFactor, window.dilationWFactor = options.dilation_h, options.dilation_w
    return number, window


class _OperatorCodes:
    """The model's list of operator codes, kept free of duplicates and unused entries."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def assign(self, operator: Operator, name: str, version: int) -> None:
        """Make `operator` one of kind `name`, builtin or custom."""
        code = schema.OperatorCodeT()
        custom = name in CUSTOM_TO_BUILTIN
        code.builtinCode = getattr(schema.BuiltinOperator, "CUSTOM" if custom else name)
        # Runtimes older than schema 3a read the deprecated byte; these codes all fit it.
        code.deprecatedBuiltinCode = code.builtinCode
        code.customCode = name if custom else None
        code.version = version
        operator.opcodeIndex = len(self._model.operatorCodes)
        self._model.operatorCodes.append(code)

    def drop_unused(self) -> None:
        """Number the codes in use in order of first use."""
        given = self._model.operatorCodes
        kept: list[Any] = []
        numbers: dict[tuple[int, bytes, int], int] = {}
        for graph in self._model.subgraphs:
            for operator in graph.operators:
                code = given[operator.opcodeIndex]
                custom = code.customCode or b""
                custom = custom.encode() if isinstance(custom, str) else custom
                key = (builtin_code(code), custom, int(code.version))
                if key not in numbers:
                    numbers[key] = len(kept)
                    kept.append(code)
                operator.opcodeIndex = numbers[key]
        self._model.operatorCodes = kept
