# SPDX-License-Identifier: Apache-2.0
"""Random int8 networks, run by our kernels and by TFLite's reference kernels, bit for bit."""
