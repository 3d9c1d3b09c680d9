# SPDX-License-Identifier: Apache-2.0
"""One operator of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Shape = tuple[int, ...]


class InvalidNetworkError(ValueError):
    """The recipe describes no network: shapes or quantizations do not go together."""


@dataclass(frozen=True)
class Node:
    """One operator, or an input of the network.

    Attributes:
      kind: builtin operator name, or INPUT.
      inputs: positions of the nodes it reads.
      scale, zero_point: of its output; kinds in `KEEPS` have their input's instead.
      options: what the kind needs; JSON values.
    """

    kind: str
    inputs: tuple[int, ...] = ()
    scale: float = 0.05
    zero_point: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    def having(self, **options: Any) -> Node:
        """The same node with some options changed."""
        return replace(self, options={**self.options, **options})


def require(met: bool, node: Node) -> None:
    """Refuse a recipe.

    Raises:
      InvalidNetworkError: the condition is not met.
    """
    if not met:
        raise InvalidNetworkError(f"{node.kind} cannot take its inputs: {dict(node.options)}")
