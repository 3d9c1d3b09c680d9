# SPDX-License-Identifier: Apache-2.0
"""The tfmot scheme: prepares a model's graph and gives every layer its QuantizeConfig."""

from dataclasses import dataclass
from typing import Any

from oaq_keras._keras import keras, tfmot
from oaq_keras.canonical import canonicalize
from oaq_keras.configs import OverflowAwareQuantizeConfig, QuantizeInput
from oaq_keras.format_assignment import Assignment, assign_formats
from oaq_keras.graph import Graph, build_model, read_model
from oaq_keras.macs import count_macs
from oaq_keras.quantizers import DEFAULT_WIDTH, ActivationQuantizer, FormatTable, WeightQuantizer
from oaq_keras.registry import OverflowAwareQuantizeRegistry, rule_of


@dataclass(frozen=True)
class Options:
    """What to train for.

    Attributes:
      depth: accumulation depth T that every layer must fit, products a lane adds between drains.
      first_layer_depth: the same for layers that read the model's input, whose 256 codes are
        given and whose K is small.
      accumulator_bits: bits of a lane, 8 to 16.
      regularization: lambda of the overflow regularization.
      width: width at which closed activation formats start, in codes.
    """

    depth: int = 16
    first_layer_depth: int = 4
    accumulator_bits: int = 16
    regularization: float = 0.01
    width: float = DEFAULT_WIDTH


class OverflowAwareQuantizeScheme(tfmot.quantization.keras.QuantizeScheme):
    """Overflow aware quantization for `tfmot.quantization.keras.quantize_apply`.

    ```python
    annotated = tfmot.quantization.keras.quantize_annotate_model(model)
    model = tfmot.quantization.keras.quantize_apply(annotated, OverflowAwareQuantizeScheme())
    ```
    """

    def __init__(self, options: Options | None = None) -> None:
        """Makes a scheme for one model."""
        self.options = options or Options()

    def get_layout_transformer(self) -> "OverflowAwareLayoutTransform":
        """The transform that sees the whole model."""
        return OverflowAwareLayoutTransform(self.options)

    def get_quantize_registry(self) -> OverflowAwareQuantizeRegistry:
        """Configs for layers seen alone."""
        return OverflowAwareQuantizeRegistry(self.options.depth, self.options.accumulator_bits)


class OverflowAwareLayoutTransform(tfmot.quantization.keras.QuantizeLayoutTransform):
    """Brings the graph into the shape that TFLite runs and decides every tensor's format."""

    def __init__(self, options: Options) -> None:
        """Makes a transform."""
        self.options = options

    def apply(self, model: Any, layer_quantize_map: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Returns the prepared model and the QuantizeConfig of each of its layers.

        Layers that are not annotated stay float; `convert` refuses a model in which such a layer
        has weights, since its sums would be proven by nobody. A config given with an annotation
        is kept.

        Raises:
          UnsupportedError: a layer that cannot be quantized, by name.
        """
        graph = read_model(model)
        annotated = canonicalize(graph, set(layer_quantize_map))
        assignment = assign_formats(graph, annotated)
        table = FormatTable()
        for name in assignment.inputs:
            quantizer = ActivationQuantizer("open", assignment.formats[name], table=table)
            label = graph.free_name(f"quantize_{name}")
            graph.insert_after(name, QuantizeInput(quantizer, name=label))
        prepared = build_model(graph)
        configs = self._configs(graph, prepared, assignment, table)
        for name, given in layer_quantize_map.items():
            if given.get("quantize_config") is not None:
                configs[name] = given["quantize_config"]
        return prepared, {name: {"quantize_config": config} for name, config in configs.items()}

    def _configs(
        self, graph: Graph, prepared: Any, assignment: Assignment, table: FormatTable
    ) -> dict[str, OverflowAwareQuantizeConfig]:
        options = self.options
        macs = {name: count_macs(prepared.get_layer(name)) for name in assignment.kernels}
        total = max(sum(macs.values()), 1)
        configs = {}
        for name in assignment.quantized:
            rule = rule_of(graph[name].layer)
            weights = output = None
            if name in assignment.kernels:
                first = name in assignment.first
                weights = WeightQuantizer(
                    kind=rule.kind or "conv",
                    depth=options.first_layer_depth if first else options.depth,
                    accumulator_bits=options.accumulator_bits,
                    layouts=rule.layouts,
                    input_format=assignment.kernels[name],
                    regularization=options.regularization,
                    mac_share=macs[name] / total,
                    reads_input=first,
                    normalization=_normalization(graph, name),
                    table=table,
                )
            if name in assignment.formats:
                label = assignment.formats[name]
                output = ActivationQuantizer(
                    "closed" if label in assignment.closed else "open",
                    label,
                    assignment.closed.get(label),
                    options.width,
                    table,
                )
            configs[name] = OverflowAwareQuantizeConfig(
                rule.kernel if weights else None, weights, output
            )
        return configs


def _normalization(graph: Graph, name: str) -> str | None:
    """The BatchNormalization that the converter folds into a layer."""
    for node in graph.consumers(name):
        if isinstance(node.layer, keras.layers.BatchNormalization):
            return node.name
    return None
