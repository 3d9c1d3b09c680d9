# SPDX-License-Identifier: Apache-2.0
"""What arguments are, before they are compared with their limits."""

from numbers import Integral, Real
from typing import Any


def is_whole(value: Any) -> bool:
    """Whether an argument is a whole number; numpy's are, truth values are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Whether an argument is a number; truth values are not."""
    return isinstance(value, Real) and not isinstance(value, bool)
