# SPDX-License-Identifier: Apache-2.0
"""Variables that several layers train together: calls of one layer in the given model."""

from collections.abc import Mapping
from typing import Any

from oaq_keras._keras import tf


def variables_of(layer: Any) -> dict[str, Any]:
    """The variables of a built layer by the names that it made them by, such as "kernel"."""
    return {
        variable.name.rpartition("/")[2].partition(":")[0]: variable for variable in layer.weights
    }


def take(layer: Any, variables: Mapping[str, Any]) -> None:
    """Lets a layer that is not built yet take variables in place of making its own."""

    def shared(name: str | None = None, *_: Any, **__: Any) -> Any:
        return variables[str(name)]

    layer.add_weight = shared


def tie(layer: Any, leader: Any) -> None:
    """Gives a built layer, and those inside it, the variables of another of the same kind."""
    pairs = zip((layer, *layer.submodules), (leader, *leader.submodules), strict=True)
    for own, others in pairs:
        for name, value in list(vars(own).items()):
            if isinstance(value, tf.Variable):
                setattr(own, name, getattr(others, name))
