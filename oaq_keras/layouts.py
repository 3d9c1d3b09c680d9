# SPDX-License-Identifier: Apache-2.0
"""Lane layouts: which of an output's K products go to which int16 lane, and in which order.

A kernel reads the products of an output channel in steps. In one step every lane takes
`products_per_step` products with consecutive k; the lanes of a channel take theirs side by side, so
a step covers `lanes * products_per_step` consecutive k. The last step is padded with zero weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEVER_DRAINED = 1 << 24
"""An accumulation depth T that is longer than any lane's whole share of K."""


@dataclass(frozen=True)
class Layout:
    """How the products of one output channel are dealt to int16 lanes.

    Attributes:
      name: the word used in certificates and plans.
      lanes: lanes that share the products of one output channel.
      products_per_step: products a lane takes at once; 2 where the instruction adds pairs
        (VPMADDUBSW), which also saturates each pair.
    """

    name: str
    lanes: int
    products_per_step: int = 1

    def steps(self, products: int) -> int:
        """Steps that `products` take, the last one padded."""
        return -(-products // (self.lanes * self.products_per_step))

    def share(self, products: int) -> int:
        """Products a lane sees in all, zero padding of the last step included."""
        return self.steps(products) * self.products_per_step

    def steps_per_block(self, depth: int) -> int:
        """Steps between two drains at accumulation depth `depth`.

        A lane cannot be drained in the middle of a step, so an odd depth rounds up where a step
        takes two products: a proof for the longer block holds for the shorter one too.
        """
        if depth < 1:
            raise ValueError(f"depth is {depth}; a lane adds at least 1 product between two drains")
        return -(-depth // self.products_per_step)

    def split(self, codes: NDArray[np.integer]) -> NDArray[np.int64]:
        """Deal weight codes to lanes.

        Args:
          codes: [channels, products] integers.

        Returns:
          [steps, channels, lanes, products_per_step] int64, zero where the last step is padded.
        """
        if codes.ndim != 2 or codes.shape[1] == 0:
            raise ValueError(
                f"codes have shape {codes.shape}; expected [channels, products], products >= 1"
            )
        channels, products = codes.shape
        steps = self.steps(products)
        width = self.lanes * self.products_per_step
        padded = np.zeros((channels, steps * width), np.int64)
        padded[:, :products] = codes
        shaped = padded.reshape(channels, steps, self.lanes, self.products_per_step)
        return np.ascontiguousarray(shaped.transpose(1, 0, 2, 3))


C8 = Layout("c8", lanes=8)
C4 = Layout("c4", lanes=2, products_per_step=2)
BROADCAST = Layout("broadcast", lanes=1)
CHANNEL = Layout("channel", lanes=1)

LAYOUTS = {layout.name: layout for layout in (C8, C4, BROADCAST, CHANNEL)}


def lane_steps(codes: NDArray[np.integer], layout: Layout) -> NDArray[np.int64]:
    """Sums of |q| per step: [steps, channels, lanes] int64 from codes [channels, products]."""
    sums: NDArray[np.int64] = np.abs(layout.split(codes)).sum(axis=3)
    return sums


def lane_blocks(codes: NDArray[np.integer], layout: Layout, depth: int) -> NDArray[np.int64]:
    """Sums of |q| per block: the T = `depth` products that a lane adds between two drains.

    Blocks start at multiples of T from the first product of the lane; the last may be shorter.

    Args:
      codes: [channels, products] integers; signs do not matter.
      layout: how products are dealt to lanes.
      depth: T, at least 1.

    Returns:
      [channels, blocks, lanes] int64, exact.

    Raises:
      ValueError: `codes` is not a matrix with products, or `depth` is below 1.
    """
    steps = lane_steps(codes, layout)
    starts = np.arange(0, steps.shape[0], layout.steps_per_block(depth))
    blocks: NDArray[np.int64] = np.add.reduceat(steps, starts, axis=0).transpose(1, 0, 2)
    return blocks
