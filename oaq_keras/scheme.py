# SPDX-License-Identifier: Apache-2.0
"""The tfmot scheme: prepares a model's graph and gives every layer its QuantizeConfig."""

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from oaq_keras._keras import keras, tfmot
from oaq_keras.canonical import ACTIVATION_SUFFIX, canonicalize
from oaq_keras.configs import OverflowAwareQuantizeConfig, QuantizeInput
from oaq_keras.errors import UnsupportedError
from oaq_keras.format_assignment import Assignment, assign_formats
from oaq_keras.graph import Graph, build_model
from oaq_keras.macs import count_macs
from oaq_keras.options import Options
from oaq_keras.paper import PaperWeightQuantizer
from oaq_keras.quantizers import (
    DEFAULT_WIDTH,
    ActivationQuantizer,
    FormatTable,
    WeightQuantizer,
    format_table,
)
from oaq_keras.registry import LayerRule, OverflowAwareQuantizeRegistry, rule_of
from oaq_keras.tf_keras_models import read_model
from oaq_keras.weight_structure import structure_of


class OverflowAwareQuantizeScheme(tfmot.quantization.keras.QuantizeScheme):
    """Overflow aware quantization for `tfmot.quantization.keras.quantize_apply`.

    ```python
    annotated = tfmot.quantization.keras.quantize_annotate_model(model)
    model = tfmot.quantization.keras.quantize_apply(annotated, OverflowAwareQuantizeScheme())
    oaq_keras.first_widths.choose_first_widths(model)
    ```

    The last line does what `quantize` does besides; without it closed formats start at width 127.
    """

    def __init__(
        self,
        options: Options | None = None,
        weight_quantizer: type[WeightQuantizer] | None = None,
        activation_quantizer: type[ActivationQuantizer] = ActivationQuantizer,
    ) -> None:
        """Makes a scheme for one model.

        Args:
          options: as for `quantize`.
          weight_quantizer: class that quantizes kernels, for methods of one's own; by default that
            of the options' policy.
          activation_quantizer: class that quantizes activations.

        Raises:
          ValueError: an option out of range.
        """
        self.options = options or Options()
        self.options.check()
        paper = self.options.policy == "paper"
        self.weight_quantizer = weight_quantizer or (
            PaperWeightQuantizer if paper else WeightQuantizer
        )
        self.activation_quantizer = activation_quantizer

    def get_layout_transformer(self) -> "OverflowAwareLayoutTransform":
        """The transform that sees the whole model."""
        return OverflowAwareLayoutTransform(
            self.options, self.weight_quantizer, self.activation_quantizer
        )

    def get_quantize_registry(self) -> OverflowAwareQuantizeRegistry:
        """Configs for layers seen alone."""
        return OverflowAwareQuantizeRegistry(self.options.depth, self.options.accumulator_bits)


class OverflowAwareLayoutTransform(tfmot.quantization.keras.QuantizeLayoutTransform):
    """Brings the graph into the shape that TFLite runs and decides every tensor's format."""

    def __init__(
        self,
        options: Options,
        weight_quantizer: type[WeightQuantizer],
        activation_quantizer: type[ActivationQuantizer],
    ) -> None:
        """Makes a transform; arguments as for the scheme."""
        self.options = options
        self.weight_quantizer = weight_quantizer
        self.activation_quantizer = activation_quantizer

    def apply(self, model: Any, layer_quantize_map: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Returns the prepared model and the QuantizeConfig of each of its layers.

        Layers that are not annotated stay float; `convert` refuses a model in which such a layer
        has weights, since its sums would be proven by nobody. A config given with an annotation
        is kept.

        Raises:
          UnsupportedError: a layer that cannot be quantized, by name.
          ValueError: an override that reaches no layer.
        """
        prepared, configs = self.prepare(read_model(model), set(layer_quantize_map))
        for name, given in layer_quantize_map.items():
            if given.get("quantize_config") is not None:
                configs[name] = given["quantize_config"]
        return prepared, {name: {"quantize_config": config} for name, config in configs.items()}

    def prepare(
        self, graph: Graph, annotated: set[str]
    ) -> tuple[Any, dict[str, OverflowAwareQuantizeConfig]]:
        """Returns the prepared model of a graph, and the QuantizeConfig of each of its layers.

        Args:
          graph: changed in place.
          annotated: names of the layers to quantize.

        Raises:
          UnsupportedError: a layer that cannot be quantized, or no layer with weights to quantize.
          ValueError: an override that reaches no layer.
        """
        known = {node.name for node in graph}
        table = FormatTable()
        with format_table(table):
            annotated = canonicalize(graph, annotated)
        assignment = assign_formats(graph, annotated)
        if not assignment.kernels:
            raise UnsupportedError(
                f"Model {graph.name!r} has no convolution and no Dense layer that is quantized: "
                "there are no sums to bound. Quantize the model that has them."
            )
        members = _members(assignment)
        for name in assignment.inputs:
            label, (member, count) = assignment.formats[name], members[name]
            quantizer = ActivationQuantizer(
                "open", label, table=table, member=member, members=count
            )
            behind = graph.free_name(f"quantize_{name}")
            graph.insert_after(name, QuantizeInput(quantizer, name=behind))
            assignment.tensors[behind] = label
        prepared = build_model(graph)
        return prepared, self._configs(graph, prepared, assignment, table, known)

    def _configs(
        self,
        graph: Graph,
        prepared: Any,
        assignment: Assignment,
        table: FormatTable,
        known: set[str],
    ) -> dict[str, OverflowAwareQuantizeConfig]:
        shares = self._shares(graph, prepared, assignment)
        members, calls = _members(assignment), _call_numbers(graph)
        origins = {name: _origin(graph, name, assignment, prepared) for name in assignment.formats}
        widths = self._widths(assignment, origins, known)
        structures = self._structures(graph, prepared, assignment, known)
        configs = {}
        for name in assignment.quantized:
            rule = rule_of(graph[name].layer)
            options = self.options.of_layer(_given(name, known))
            weights = output = None
            if name in assignment.kernels:
                weights = self.weight_quantizer(
                    kind=rule.kind or "conv",
                    depth=self._depth(name, assignment),
                    accumulator_bits=int(options.accumulator_bits),
                    layouts=self._layouts(rule),
                    input_format=assignment.kernels[name],
                    regularization=float(options.regularization),
                    mac_share=shares[name][0],
                    worth=shares[name][1],
                    reads_input=name in assignment.first,
                    normalization=_normalization(graph, name),
                    call_number=calls[name],
                    preserve=structures[name],
                    table=table,
                )
            if name in assignment.formats:
                label = assignment.formats[name]
                width = widths.get(label)
                if width is not None:
                    table.keep_width(label)
                fixed = assignment.fixed.get(label)
                closed_or_open = "closed" if label in assignment.closed else "open"
                output = self.activation_quantizer(
                    "fixed" if fixed else closed_or_open,
                    label,
                    assignment.closed.get(label),
                    DEFAULT_WIDTH if width is None else width,
                    table,
                    origin=origins[name],
                    limits=fixed,
                    member=members[name][0],
                    members=members[name][1],
                )
            configs[name] = OverflowAwareQuantizeConfig(
                rule.kernel if weights else None, weights, output
            )
        return configs

    def _structures(
        self, graph: Graph, prepared: Any, assignment: Assignment, known: set[str]
    ) -> dict[str, str | None]:
        """What training is to keep of each layer's weights.

        Raises:
          ValueError: something is to be preserved, and no layer has it.
        """
        found, asked = {}, set()
        for name in assignment.kernels:
            wanted = self.options.of_layer(_given(name, known)).preserve
            kernel = getattr(prepared.get_layer(name), str(rule_of(graph[name].layer).kernel))
            found[name] = structure_of(kernel.numpy(), wanted)
            asked |= {wanted} - {None}
        for pattern, options in self.options.overrides.items():
            reached = [name for name in found if fnmatchcase(_given(name, known), pattern)]
            if options.get("preserve") and not any(found[name] for name in reached):
                raise ValueError(
                    f"overrides[{pattern!r}] gives preserve={options['preserve']!r}, and "
                    f"{', '.join(reached) or 'no layer'} has nothing to keep. Leave it out."
                )
        if asked and not any(found.values()):
            raise ValueError(
                f"preserve={' and '.join(sorted(map(repr, asked)))} has nothing to keep: no layer "
                "that it reaches has weights of 0, or 256 values at most. Prune or cluster the "
                "float model first, or leave it out."
            )
        return found

    def _widths(
        self, assignment: Assignment, origins: Mapping[str, Mapping[str, Any]], known: set[str]
    ) -> dict[str, float]:
        """Widths that were asked for, by format.

        A layer whose output is a closed format has its name, and that of the layer with weights
        that it is fused to.

        Raises:
          ValueError: an override that reaches no layer, or two widths for one format.
        """
        names: dict[str, tuple[str, str]] = {}
        for name, label in assignment.formats.items():
            if label in assignment.closed:
                own = _given(name, known)
                names[name] = (origins[name].get("sums_of", own), own)
        every = dict.fromkeys(each for group in names.values() for each in group)
        self.options.check_reach(assignment.kernels, every)
        asked: dict[str, set[float]] = {}
        for name, group in names.items():
            width = self.options.width_of(*group)
            if width is not None:
                asked.setdefault(assignment.formats[name], set()).add(width)
        for label, given in asked.items():
            if len(given) > 1:
                members = [
                    own for name, (_, own) in names.items() if assignment.formats[name] == label
                ]
                raise ValueError(
                    f"The layers {', '.join(members)} share one format, and overrides gives them "
                    f"the widths {', '.join(f'{width:g}' for width in sorted(given))}. Give one."
                )
        default = self.options.width
        found = {} if default is None else dict.fromkeys(assignment.closed, float(default))
        return found | {label: given.pop() for label, given in asked.items()}

    def _depth(self, name: str, assignment: Assignment) -> int:
        return int(self.options.depth_of(name, name in assignment.first))

    def _layouts(self, rule: LayerRule) -> tuple[str, ...]:
        wanted = self.options.resolved_target().layouts
        return tuple(name for name in rule.layouts if name in wanted)

    def _shares(
        self, graph: Graph, prepared: Any, assignment: Assignment
    ) -> dict[str, tuple[float, float]]:
        """Each layer's share of the MACs, and of the time that its 16-bit sums save."""
        target = self.options.resolved_target()
        macs = {name: count_macs(prepared.get_layer(name)) for name in assignment.kernels}
        saved = {
            name: macs[name]
            * target.saved(rule_of(graph[name].layer).kind or "conv", self._depth(name, assignment))
            for name in macs
        }
        total, worth = max(sum(macs.values()), 1), sum(saved.values())
        return {
            name: (count / total, saved[name] / worth if worth else 0.0)
            for name, count in macs.items()
        }


def _members(assignment: Assignment) -> dict[str, tuple[int, int]]:
    """Which of the tensors that share a format each one is, and of how many."""
    groups: dict[str, list[str]] = {}
    for name, label in assignment.formats.items():
        groups.setdefault(label, []).append(name)
    return {name: (i, len(group)) for group in groups.values() for i, name in enumerate(group)}


def _call_numbers(graph: Graph) -> dict[str, int]:
    """Which of its layer's calls each node is."""
    called: dict[str, int] = {}
    found = {}
    for node in graph:
        leader = node.shares or node.name
        found[node.name] = called.get(leader, 0)
        called[leader] = found[node.name] + 1
    return found


def _given(name: str, known: set[str]) -> str:
    """The layer of the given model, whose layers are `known`, that a node was made of."""
    return name if name in known else name.removesuffix(ACTIVATION_SUFFIX)


def _origin(graph: Graph, name: str, assignment: Assignment, prepared: Any) -> dict[str, Any]:
    """What the kernel computes a node's output from, for `ActivationQuantizer.origin`."""
    node = graph[name]
    if name not in assignment.quantized:
        return {}
    if rule_of(node.layer).output == "average":
        return {"averages": True}
    if isinstance(node.layer, keras.layers.GlobalAveragePooling2D):
        sizes = prepared.get_layer(name).input_shape[1:-1]
        source = assignment.tensors.get(node.inputs[0])
        known = source is not None and None not in sizes
        return {"mean_of": source, "values": math.prod(sizes)} if known else {}
    if isinstance(node.layer, (keras.layers.LeakyReLU, keras.layers.PReLU)):
        source = assignment.tensors.get(node.inputs[0])
        alpha = node.layer.get_config().get("alpha")
        slope = {} if alpha is None else {"slope": float(alpha)}
        return {} if source is None else {"sloped": source, **slope}
    while name not in assignment.kernels:
        inputs = graph[name].inputs
        if isinstance(graph[name].layer, keras.layers.Multiply):
            sources = [assignment.tensors.get(source) for source in inputs]
            return {"product_of": sources} if all(sources) else {}
        if len(inputs) != 1 or inputs[0] in assignment.formats:
            return {}
        (name,) = inputs
        if name not in assignment.quantized:
            return {}
    return {"sums_of": name}


def _normalization(graph: Graph, name: str) -> str | None:
    """The BatchNormalization that the converter folds into a layer."""
    for node in graph.consumers(name):
        if isinstance(node.layer, keras.layers.BatchNormalization):
            return node.name
    return None
