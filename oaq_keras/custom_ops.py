# SPDX-License-Identifier: Apache-2.0
"""The custom operators OaqConv2D, OaqDepthwiseConv2D, OaqFullyConnected and OaqTransposeConv.

docs/format.md is the contract with the C kernels; this module is its Python half.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from flatbuffers import flexbuffers

from oaq_keras.errors import ModelFileError
from oaq_keras.flatbuffer import Graph, Operator, tensor_name
from oaq_keras.tflite_schema import schema

VERSION = 1

BUILTIN_TO_CUSTOM = {
    "CONV_2D": "OaqConv2D",
    "DEPTHWISE_CONV_2D": "OaqDepthwiseConv2D",
    "FULLY_CONNECTED": "OaqFullyConnected",
    "TRANSPOSE_CONV": "OaqTransposeConv",
}
CUSTOM_TO_BUILTIN = {custom: builtin for builtin, custom in BUILTIN_TO_CUSTOM.items()}

_INT32_MAX = 2**31 - 1
_COMMON = (
    "version",
    "builtin_version",
    "activation",
    "input_lo",
    "input_hi",
    "output_lo",
    "output_hi",
)
_STRIDED = ("padding", "stride_h", "stride_w")
_WINDOW = (*_STRIDED, "dilation_h", "dilation_w")
_KEYS = {
    "CONV_2D": (*_COMMON, *_WINDOW),
    "DEPTHWISE_CONV_2D": (*_COMMON, *_WINDOW, "depth_multiplier"),
    "FULLY_CONNECTED": (*_COMMON, "keep_num_dims"),
    "TRANSPOSE_CONV": (*_COMMON, *_STRIDED),
}
_LIMITS = {
    "version": (VERSION, VERSION),
    "builtin_version": (1, _INT32_MAX),
    "activation": (0, 3),
    "padding": (0, 1),
    "keep_num_dims": (0, 1),
    "stride_h": (1, _INT32_MAX),
    "stride_w": (1, _INT32_MAX),
    "dilation_h": (1, _INT32_MAX),
    "dilation_w": (1, _INT32_MAX),
    "depth_multiplier": (1, _INT32_MAX),
    "input_lo": (-128, 127),
    "input_hi": (-128, 127),
    "output_lo": (-128, 127),
    "output_hi": (-128, 127),
}


@dataclass(frozen=True)
class LayerOptions:
    """What a convolution or fully connected operator does, in one shape for all kinds.

    Fields that a kind lacks keep their defaults. Names and values are those of docs/format.md.
    """

    builtin_version: int
    activation: int
    input_lo: int = -128
    input_hi: int = 127
    output_lo: int = -128
    output_hi: int = 127
    padding: int = schema.Padding.VALID
    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1
    depth_multiplier: int = 1
    keep_num_dims: int = 0

    @property
    def pads(self) -> bool:
        """Whether the operator may read the zero point's code from outside its input."""
        return bool(self.padding == schema.Padding.SAME)


def encode_options(kind: str, options: LayerOptions) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The FlexBuffers map of a custom operator of builtin kind `kind`."""
    values = {"version": VERSION, **asdict(options)}
    packed = flexbuffers.Dumps({key: int(values[key]) for key in _KEYS[kind]})
    return np.frombuffer(bytes(packed), np.uint8)


def decode_options(graph: Graph, operator: Operator, kind: str) -> LayerOptions:
    """Read and check a custom operator's options.

    Args:
      graph: the subgraph, for names.
      operator: the custom operator.
      kind: its builtin kind, a key of `BUILTIN_TO_CUSTOM`.

    Raises:
      ModelFileError: naming the operator's output and the key at fault.
    """
    where = f"{BUILTIN_TO_CUSTOM[kind]} {_output_name(graph, operator)!r}"
    if operator.customOptions is None or len(operator.customOptions) == 0:
        raise ModelFileError(f"{where} has no custom options; see docs/format.md")
    try:
        values = _integers(bytes(operator.customOptions), len(_KEYS[kind]))
    except Exception as error:  # the FlexBuffers reader raises whatever a wild offset leads to
        raise ModelFileError(
            f"{where}: custom options are not a FlexBuffers map of the integers in docs/format.md "
            f"({type(error).__name__}: {error})"
        ) from error
    for key in _KEYS[kind]:
        if key not in values:
            raise ModelFileError(f"{where}: custom options lack {key!r}")
        low, high = _LIMITS[key]
        if not low <= values[key] <= high:
            raise ModelFileError(
                f"{where}: custom option {key!r} is {values[key]}, expected {low} to {high}"
            )
    unknown = sorted(set(values) - set(_KEYS[kind]))
    if unknown:
        raise ModelFileError(f"{where}: unknown custom option {unknown[0]!r}")
    for end in ("input", "output"):
        if values[f"{end}_lo"] > values[f"{end}_hi"]:
            raise ModelFileError(
                f"{where}: custom options say {end}_lo {values[f'{end}_lo']} > "
                f"{end}_hi {values[f'{end}_hi']}"
            )
    known = {field.name for field in fields(LayerOptions)}
    return LayerOptions(**{key: value for key, value in values.items() if key in known})


def _integers(data: bytes, expected: int) -> dict[str, int]:
    """Read by hand: `flexbuffers.Loads` follows nested references as often as they are named."""
    table = flexbuffers.GetRoot(data).AsMap
    if len(table) != expected:
        raise ValueError(f"{len(table)} entries, expected {expected}")
    keys, entries = table.Keys, table.Values
    values: dict[str, int] = {}
    for i in range(expected):
        key, entry = keys[i].AsKey, entries[i]
        if not entry.IsInt:
            raise ValueError(f"{key!r} is not an integer")
        values[key] = int(entry.AsInt)
    return values


def _output_name(graph: Graph, operator: Operator) -> str:
    outputs = [index for index in operator.outputs if index >= 0]
    return tensor_name(graph, int(outputs[0])) if outputs else "(no output)"
