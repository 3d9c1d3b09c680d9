# SPDX-License-Identifier: Apache-2.0
"""What quantized networks answer on real images: scripts that measure, keep and print figures."""
