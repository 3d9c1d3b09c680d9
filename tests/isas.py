# SPDX-License-Identifier: Apache-2.0
"""Kernels that a library has on this machine."""

from __future__ import annotations

from functools import cache

from ai_edge_litert import interpreter as litert

from oaq_keras.plan import ISAS


@cache
def available_isas(library: str) -> tuple[str, ...]:
    """Names that the delegate of a library takes here, `scalar` first."""
    return tuple(isa for isa in ISAS if _loads(library, isa))


def _loads(library: str, isa: str) -> bool:
    try:
        litert.load_delegate(library, {"isa": isa})
    except ValueError:
        return False
    return True
