# SPDX-License-Identifier: Apache-2.0
"""What pruning and clustering leave in a kernel, and how it is kept where weights are trained."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaq_keras._keras import tf

SPARSITY = "sparsity"
CLUSTERS = "clusters"
PRESERVED = (SPARSITY, CLUSTERS)

MOST_CLUSTERS = 256

_ZEROS, _OTHERS = 0, 1
"""Groups of a pruned kernel; those of a clustered one are its zeros, then its other values."""


def structure_of(kernel: NDArray[np.floating], wanted: str | None) -> str | None:
    """What there is to keep in a kernel.

    Args:
      kernel: weights of any shape.
      wanted: SPARSITY for zeros, CLUSTERS for equal values and zeros, None for nothing.

    Returns:
      CLUSTERS where that is wanted and values are few: MOST_CLUSTERS and half the weights at most.
      SPARSITY where something is wanted and some weights are 0. Else None.
    """
    if wanted is None:
        return None
    values = np.unique(kernel)
    if wanted == CLUSTERS and len(values) <= min(MOST_CLUSTERS, kernel.size // 2):
        return CLUSTERS
    return SPARSITY if 0 in values else None


def groups_of(kernel: NDArray[np.floating], structure: str) -> NDArray[np.int32]:
    """The group of each weight, of the kernel's shape: 0 for zeros, which stay.

    Args:
      kernel: weights.
      structure: SPARSITY, for which all others are one group, or CLUSTERS, for which equal weights
        are one; of more values than MOST_CLUSTERS the rest are the last's.
    """
    if structure == SPARSITY:
        return np.where(kernel == 0, _ZEROS, _OTHERS).astype(np.int32)
    values = np.unique(kernel)
    number = np.searchsorted(values[values != 0], kernel) + 1
    return np.where(kernel == 0, _ZEROS, np.minimum(number, MOST_CLUSTERS)).astype(np.int32)


def kept(kernel: Any, groups: Any, structure: str) -> Any:
    """A kernel whose zeros are 0, and whose clusters have one value, the mean of their weights.

    Members of a cluster get its mean gradient, so that they stay equal under optimizers that treat
    each weight alike.

    Args:
      kernel: float32 tensor or variable.
      groups: as from `groups_of`.
      structure: SPARSITY or CLUSTERS.
    """
    values = tf.convert_to_tensor(kernel)
    zeros = tf.equal(groups, _ZEROS)
    if structure == CLUSTERS:
        means = tf.math.unsorted_segment_mean(values, groups, MOST_CLUSTERS + 1)
        values = tf.gather(means, groups)
    return tf.where(zeros, 0.0, values)
