# SPDX-License-Identifier: Apache-2.0
"""What is in a .tflite file: its operators, the ranges of their outputs, and what can be proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oaq_keras.certificate import OF_POLICY_PAPER, Certificate
from oaq_keras.certification import certify
from oaq_keras.custom_ops import CUSTOM_TO_BUILTIN
from oaq_keras.errors import CertificateError, UnsupportedError
from oaq_keras.flatbuffer import is_int8, kind, read_model, tensor_name, type_name
from oaq_keras.ranges import tensor_ranges
from oaq_keras.tables import format_table, short_name


@dataclass(frozen=True)
class OperatorInfo:
    """One operator.

    Attributes:
      subgraph, op: where it is.
      kind: builtin or custom name.
      name: of its first output; empty where it has none.
      type: of that output.
      range: [lo, hi] of its codes, None where it is not int8.
    """

    subgraph: int
    op: int
    kind: str
    name: str
    type: str
    range: tuple[int, int] | None


@dataclass(frozen=True)
class Inspection:
    """A file.

    Attributes:
      size: in bytes.
      operators: in the order of execution.
      certificate: what can be proven, None where there is nothing to prove, or the file's own
        certificate is not to be trusted.
      reason: why there is no certificate.
    """

    size: int
    operators: tuple[OperatorInfo, ...]
    certificate: Certificate | None
    reason: str

    @property
    def custom_ops(self) -> int:
        """The number of Oaq operators."""
        return sum(operator.kind in CUSTOM_TO_BUILTIN for operator in self.operators)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "size": self.size,
            "operators": [dict(vars(operator)) for operator in self.operators],
            "summary": None if self.certificate is None else vars(self.certificate.summary()),
            "proven": None if self.certificate is None else self.certificate.proven,
            "depth": None if self.certificate is None else self.certificate.depth,
            "policy": None if self.certificate is None else self.certificate.policy,
            "reason": self.reason,
        }

    def __str__(self) -> str:
        """Tables for people."""
        several = any(operator.subgraph for operator in self.operators)
        rows = [
            (
                f"{operator.subgraph}.{operator.op}" if several else str(operator.op),
                operator.kind,
                operator.type,
                "" if operator.range is None else "{}..{}".format(*operator.range),
                short_name(operator.name),
            )
            for operator in self.operators
        ]
        lines = [
            f"{self.size / 1024:.1f} KiB, {len(self.operators)} operators, "
            f"{self.custom_ops} of them Oaq",
            "",
            format_table(("op", "kind", "type", "range", "output"), rows),
            "",
        ]
        if self.certificate is None:
            lines.append(f"not certified: {self.reason}")
            return "\n".join(lines)
        # The table of layers belongs to `certify`; its last lines sum it up.
        summary = self.certificate.summary()
        lines.append(
            f"{summary.layers} int8 layers, {summary.macs / 1e6:.1f} M MACs, at T = "
            f"{self.certificate.depth}: {summary.proven:.1%} proven, {summary.never_drained:.1%} "
            f"never drained ({summary.proven_layers} layers proven as a whole)"
        )
        if self.certificate.policy == "paper":
            lines.append(OF_POLICY_PAPER)
        return "\n".join(lines)


def inspect_model(data: bytes) -> Inspection:
    """Looks at a model.

    Args:
      data: bytes of a .tflite file.

    Raises:
      ModelFileError: not a model, or a damaged one.
    """
    model = read_model(data)
    operators = []
    for subgraph, graph in enumerate(model.subgraphs):
        ranges = tensor_ranges(model, graph)
        for op, operator in enumerate(graph.operators):
            outputs = [int(i) for i in operator.outputs if i >= 0]
            name, type_, known = "", "", None
            if outputs:
                tensor = graph.tensors[outputs[0]]
                name, type_ = tensor_name(graph, outputs[0]), type_name(tensor)
                known = ranges[outputs[0]] if is_int8(tensor) else None
            operators.append(OperatorInfo(subgraph, op, kind(model, operator), name, type_, known))
    try:
        certificate, reason = certify(data), ""
    except (UnsupportedError, CertificateError) as error:
        certificate, reason = None, str(error)
    return Inspection(len(data), tuple(operators), certificate, reason)
