# SPDX-License-Identifier: Apache-2.0
"""What to train for: options of a whole model, and overrides by layer name."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from oaq_keras.argument_checks import is_real, is_whole
from oaq_keras.certificate import POLICIES
from oaq_keras.distillation import Distillation
from oaq_keras.formats import CODES, MIN_WIDTH
from oaq_keras.layouts import NEVER_DRAINED
from oaq_keras.targets import Target, target_of
from oaq_keras.weight_structure import PRESERVED

OVERRIDABLE = ("depth", "accumulator_bits", "regularization", "width", "preserve")
"""Options that a layer can have of its own."""


@dataclass(frozen=True)
class Options:
    """What to train for.

    Attributes:
      depth: accumulation depth T that every layer must fit, products a lane adds between drains.
      first_layer_depth: the same for layers that read the model's input, whose 256 codes are
        given and whose K is small.
      accumulator_bits: bits of a lane, 8 to 16.
      regularization: lambda of the overflow regularization, which policy "paper" does not have.
      width: width at which closed activation formats start, in codes; None to choose it format by
        format (`first_widths`).
      target: a name of `targets.TARGET_NAMES`: the layouts to fit, and what T saves.
      policy: "proven", or "paper" for the observed overflow of arXiv 2005.13297.
      overrides: layer-name pattern (fnmatch) -> options of the layers that it matches, later ones
        winning; see OVERRIDABLE.
      distillation: what the float model teaches besides; None for nothing.
      preserve: "sparsity" for weights of 0 that stay 0, "clusters" for equal weights that stay
        equal; None for neither.
    """

    depth: int = 16
    first_layer_depth: int = 4
    accumulator_bits: int = 16
    regularization: float = 0.01
    width: float | None = None
    target: str = "all"
    policy: str = "proven"
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    distillation: Distillation | None = None
    preserve: str | None = None

    def check(self) -> None:
        """Refuses options out of range.

        Raises:
          ValueError: the option, what was given and what is expected.
        """
        _check_values(self)
        self.resolved_target()
        if self.policy not in POLICIES:
            raise ValueError(f"policy is 'proven' or 'paper', got {self.policy!r}.")
        if self.distillation is not None and not isinstance(self.distillation, Distillation):
            raise ValueError(
                "distillation is an oaq_keras.Distillation(weight=..., temperature=...) or None, "
                f"got {self.distillation!r}."
            )
        if not isinstance(self.overrides, Mapping):
            raise ValueError(
                'overrides is a mapping such as {"block_1*": {"depth": 32}}, got '
                f"{self.overrides!r}."
            )
        for pattern, options in self.overrides.items():
            if not isinstance(pattern, str) or not isinstance(options, Mapping):
                raise ValueError(
                    'overrides is a mapping such as {"block_1*": {"depth": 32}}, got the entry '
                    f"{pattern!r}: {options!r}."
                )
            for name in options:
                if name not in OVERRIDABLE:
                    raise ValueError(
                        f"overrides[{pattern!r}] has the option {name!r}; a layer can have "
                        f"{', '.join(OVERRIDABLE)} of its own. Got {dict(options)!r}."
                    )
            if self.policy == "paper" and "regularization" in options:
                raise ValueError(
                    f"overrides[{pattern!r}] gives regularization, which policy 'paper' does not "
                    "have. Leave it out."
                )
            try:
                _check_values(replace(self, **options))
            except ValueError as error:
                raise ValueError(f"overrides[{pattern!r}]: {error}") from error

    def check_patterns(self, names: Iterable[str]) -> None:
        """Refuses patterns that match no layer of a model.

        Raises:
          ValueError: the pattern, and the names there are.
        """
        known = list(names)
        for pattern in self.overrides:
            if not any(fnmatchcase(name, pattern) for name in known):
                raise ValueError(
                    f"overrides has the pattern {pattern!r}, which matches no layer of the model; "
                    f"got {_listed(known)}."
                )

    def check_reach(self, kernels: Collection[str], closed: Collection[str]) -> None:
        """Refuses overrides that change nothing.

        Args:
          kernels: names of the layers with weights.
          closed: names of the layers whose output is a closed format, or is made from their sums.

        Raises:
          ValueError: the pattern and the option, and the layers that have one.
        """
        for pattern, options in self.overrides.items():
            for name in options:
                names, have = (closed, "a width") if name == "width" else (kernels, "weights")
                if not any(fnmatchcase(each, pattern) for each in names):
                    raise ValueError(
                        f"overrides[{pattern!r}] gives {name}, but matches no layer with {have}: "
                        f"{_listed(names)}."
                    )

    def of_layer(self, name: str) -> "Options":
        """The options of one layer."""
        found = self
        for pattern, options in self.overrides.items():
            if fnmatchcase(name, pattern):
                found = replace(found, **options)
        return found

    def depth_of(self, name: str, reads_input: bool) -> int:
        """The T that a layer must fit: an override's, or that of first or inner layers."""
        own = self._override("depth", name)
        if own is not None:
            return int(own)
        return self.first_layer_depth if reads_input else self.depth

    def width_of(self, *names: str) -> float | None:
        """The width that overrides give what some layers, fused, write; None where none does."""
        own = self._override("width", *names)
        return None if own is None else float(own)

    def _override(self, option: str, *names: str) -> Any:
        """The last override of an option whose pattern matches one of the names."""
        found = [
            options[option]
            for pattern, options in self.overrides.items()
            if option in options and any(fnmatchcase(name, pattern) for name in names)
        ]
        return found[-1] if found else None

    def resolved_target(self) -> Target:
        """The target of that name."""
        return target_of(self.target)


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    return f"{', '.join(known[:8])}{', ...' if len(known) > 8 else ''}" or "there is none"


def _check_values(options: Options) -> None:
    for name in ("depth", "first_layer_depth"):
        value = getattr(options, name)
        if not is_whole(value) or not 1 <= value <= NEVER_DRAINED:
            raise ValueError(
                f"{name} is a whole number of products from 1 to NEVER_DRAINED ({NEVER_DRAINED}), "
                f"got {value!r}."
            )
    bits = options.accumulator_bits
    if not is_whole(bits) or not 8 <= bits <= 16:
        raise ValueError(f"accumulator_bits is a whole number, 8 to 16, got {bits!r}.")
    weight = options.regularization
    if not is_real(weight) or not 0 <= weight < math.inf:
        raise ValueError(f"regularization is a number, at least 0, got {weight!r}.")
    if options.preserve not in (None, *PRESERVED):
        raise ValueError(f"preserve is 'sparsity', 'clusters' or None, got {options.preserve!r}.")
    width = options.width
    if width is not None and not (is_real(width) and MIN_WIDTH <= width <= CODES.width):
        raise ValueError(f"width is {MIN_WIDTH} to {CODES.width} codes or None, got {width!r}.")
