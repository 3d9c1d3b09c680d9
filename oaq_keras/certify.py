# SPDX-License-Identifier: Apache-2.0
"""Old name of `certification`: a module must not be called what the package calls a function."""

from oaq_keras.certification import attach_certificate, certify

__all__ = ["attach_certificate", "certify"]
