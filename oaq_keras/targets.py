# SPDX-License-Identifier: Apache-2.0
"""Cores to train for: which lane layouts their kernels use, and what T saves on them.

Cycles of a multiplication are `whole + drain / T` with 16-bit sums and `exact` with 32-bit ones.
Figures are MAC/cycle of docs/reached.md: models of cores for ARM, measured for x86.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from oaq_keras.certificate import TARGETS


@dataclass(frozen=True)
class Cost:
    """Cycles of one multiplication.

    Attributes:
      whole: with 16-bit sums that are never drained.
      drain: of a drain, which T multiplications share.
      exact: with 32-bit sums, or the stock kernels' where those are faster.
    """

    whole: float
    drain: float
    exact: float

    def saved(self, depth: int) -> float:
        """Cycles that 16-bit sums of `depth` products save; 0 where they cost more."""
        return max(self.exact - self.whole - self.drain / depth, 0.0)


@dataclass(frozen=True)
class Target:
    """A core.

    Attributes:
      layouts: lane layouts that its kernels use, and that have to be certified.
      gemm, depthwise: costs of convolutions and Dense, and of depthwise convolutions; None where
        every multiplication counts the same.
    """

    layouts: tuple[str, ...]
    gemm: Cost | None = None
    depthwise: Cost | None = None

    def saved(self, kind: str, depth: int) -> float:
        """Worth of a multiplication in layers of a kind: cycles saved, or 1 without a table."""
        cost = self.depthwise if kind == "depthwise" else self.gemm
        return 1.0 if cost is None else cost.saved(depth)


_ARM = ("c8", "channel")
_X86 = ("c4", "channel")

# Never drained 6.4 MAC/cycle, T = 16 5.5, T = 8 4.8; XNNPACK's best 3.24. Depthwise 3.3, exact 2.5.
_A53 = Target(_ARM, Cost(1 / 6.4, 0.42, 1 / 3.24), Cost(1 / 3.3, 0.0, 1 / 2.5))
# Never drained 8.0; the rest as A53, whose issue rules it shares.
_A55 = Target(_ARM, Cost(1 / 8.0, 0.42, 1 / 3.24), Cost(1 / 3.3, 0.0, 1 / 2.5))
# Never drained 8.0, T = 16 7.8, T = 8 7.5; exact 8.0, XNNPACK's with a quarter more instructions.
_A72 = Target(_ARM, Cost(1 / 8.0, 0.065, 1.25 / 8.0), Cost(1 / 7.2, 0.0, 1 / 5.9))
# The instructions of A53 on half the registers, so the same ratios.
_ARMV7 = _A53
# Never drained 44.6, T = 16 40.8, exact 22.9. Depthwise 23.6, 6.5 times the baseline.
_AVX2 = Target(_X86, Cost(1 / 44.6, 0.0334, 1 / 22.9), Cost(1 / 23.6, 0.0, 6.5 / 23.6))
# Never drained 18.6, which is 2.09 times the baseline, T = 16 17.1. Depthwise as AVX2.
_SSE41 = Target(_X86, Cost(1 / 18.6, 0.0754, 2.09 / 18.6), Cost(2 / 23.6, 0.0, 13.0 / 23.6))

TARGET_NAMES: Mapping[str, Target] = {
    "all": Target(TARGETS),
    "arm": _A53,
    "a53": _A53,
    "a35": _A53,
    "a55": _A55,
    "a57": _A72,
    "a72": _A72,
    "a73": _A72,
    "armv7": _ARMV7,
    "x86": _AVX2,
    "avx2": _AVX2,
    "avx512bw": _AVX2,
    "sse41": _SSE41,
}
"""Targets by the names that `quantize(target=...)` takes."""


def target_of(name: str) -> Target:
    """The target of a name.

    Raises:
      ValueError: there is none; the message lists those there are.
    """
    if not isinstance(name, str) or name not in TARGET_NAMES:
        raise ValueError(f"target is one of {', '.join(TARGET_NAMES)}, got {name!r}.")
    return TARGET_NAMES[name]
