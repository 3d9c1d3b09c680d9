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
      CLUSTERS where that is wanted and values are few: MOST_CLUSTERS and half the weights at most,
      in all or in each channel of the last axis. SPARSITY where something is wanted and some
      weights are 0. Else None; also where all are, since nothing was learnt there yet.
    """
    if wanted is None or not kernel.any():
        return None
    if wanted == CLUSTERS and _clustered(kernel) is not None:
        return CLUSTERS
    return SPARSITY if 0 in kernel else None


def groups_of(kernel: NDArray[np.floating], structure: str) -> NDArray[np.int32]:
    """The group of each weight, of the kernel's shape: 0 for zeros, which stay.

    Args:
      kernel: weights.
      structure: SPARSITY, for which all others are one group, or CLUSTERS, for which equal weights
        are one, of the kernel or of a channel.
    """
    if structure == SPARSITY:
        return np.where(kernel == 0, _ZEROS, _OTHERS).astype(np.int32)
    number = _clustered(kernel)
    if number is None:  # a kernel that is loaded into soon
        number = np.zeros(kernel.shape, np.int32)
    return np.where(kernel == 0, _ZEROS, number + 1).astype(np.int32)


def _clustered(kernel: NDArray[np.floating]) -> NDArray[np.int32] | None:
    """The cluster of each weight, from 0; None where there are too many."""
    values, number = np.unique(kernel, return_inverse=True)
    if len(values) <= min(MOST_CLUSTERS, kernel.size // 2):
        return np.asarray(number.reshape(kernel.shape), np.int32)
    channels = kernel.reshape(-1, kernel.shape[-1])
    found = np.zeros(channels.shape, np.int32)
    clusters = 0
    for channel, weights in enumerate(channels.T):
        values, number = np.unique(weights, return_inverse=True)
        if len(values) > min(MOST_CLUSTERS, weights.size // 2):
            return None
        found[:, channel] = number + clusters
        clusters += len(values)
    return found.reshape(kernel.shape)


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
        means = tf.math.unsorted_segment_mean(values, groups, values.shape.num_elements() + 1)
        values = tf.gather(means, groups)
    return tf.where(zeros, 0.0, values)
