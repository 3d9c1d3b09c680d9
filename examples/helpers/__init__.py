# SPDX-License-Identifier: Apache-2.0
"""What the examples share: reading data, boxes, scores, and training stock and ours alike."""
