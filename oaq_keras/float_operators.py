# SPDX-License-Identifier: Apache-2.0
"""Which operators of a file compute in float, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from oaq_keras.flatbuffer import (
    Model,
    get_metadata,
    kind,
    set_metadata,
    tensor_name,
    type_name,
)

METADATA = "oaq_float_layers"
"""Metadata of files with layers that are left in float: a JSON object, layer to reason."""

UNEXPLAINED = "the converter left it in float"

_MOST = 1 << 16
_BETWEEN = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class FloatOperators:
    """Operators that compute in float for one reason.

    Attributes:
      layer: the Keras layer that they are of, or the tensor that a lone one writes.
      kinds: the operators, in order of execution.
      reason: why they are not int8; None where the converter decided it.
    """

    layer: str
    kinds: tuple[str, ...]
    reason: str | None

    def __str__(self) -> str:
        """A line for people."""
        shown = sorted(set(self.kinds))
        words = ", ".join(shown[:6]) + (", ..." if len(shown) > 6 else "")
        count = len(self.kinds)
        operators = f"{count} operator{'s' if count > 1 else ''}"
        return f"{self.layer}: {operators} ({words}): {self.reason or UNEXPLAINED}"


def float_operators(model: Model, known: Mapping[str, str] | None = None) -> list[FloatOperators]:
    """The operators of a file that compute in float.

    Args:
      model: the file.
      known: layers that are to be in float, and why; by default what the file's metadata says.

    Returns:
      Those of a known layer as one entry, each other by itself; conversions to and from int8 are
      not counted.
    """
    reasons = _reasons(model) if known is None else known
    found: dict[str, list[str]] = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            name = kind(model, operator)
            outputs = [int(index) for index in operator.outputs]
            if name not in _BETWEEN and any(
                type_name(graph.tensors[index]) == "FLOAT32" for index in outputs
            ):
                # The converter calls the model's outputs by other names than their layers'.
                known_by = [outputs[0]]
                if outputs[0] in map(int, graph.outputs):
                    known_by += [int(index) for index in operator.inputs if index >= 0]
                names = [tensor_name(graph, index) for index in known_by]
                owners = [who for each in names if (who := owner(each, reasons))]
                found.setdefault((owners or names)[0], []).append(name)
    return [FloatOperators(who, tuple(kinds), reasons.get(who)) for who, kinds in found.items()]


def owner(tensor: str, layers: Mapping[str, str]) -> str | None:
    """The layer that a tensor's name speaks of; None where it is none of these."""
    # Behind the model's name, which may be that of a layer too.
    paths = [f"/{whole.partition('/')[2] or whole}/" for whole in tensor.split(";")]
    return next((layer for layer in layers if any(f"/{layer}/" in path for path in paths)), None)


def remember(model: Model, known: Mapping[str, str]) -> None:
    """Writes into a file's metadata which layers are to be in float, and why."""
    if known:
        set_metadata(model, METADATA, json.dumps(dict(known), ensure_ascii=False).encode())


def _reasons(model: Model) -> dict[str, str]:
    """What `remember` wrote; nothing where it is missing or is not that."""
    text = get_metadata(model, METADATA)
    if text is None or len(text) > _MOST:
        return {}
    try:
        found = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(key): value for key, value in found.items() if isinstance(value, str)}
