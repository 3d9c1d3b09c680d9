# SPDX-License-Identifier: Apache-2.0
"""Overflow aware quantization for Keras and TensorFlow Lite.

```python
model = oaq_keras.quantize(model)  # tf_keras or Keras 3; then compile and fit as ever
tflite = oaq_keras.convert(model)  # a .tflite file whose int8 sums provably fit 16 bits
interpreter = oaq_keras.Interpreter(model_content=tflite)  # LiteRT, on our kernels
```

Names are imported on first use: checking and running files needs no TensorFlow, and importing this
package never changes what `tf.keras` means.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from oaq_keras.errors import (
    CertificateError,
    LibraryError,
    ModelFileError,
    OaqError,
    UnsupportedError,
)
from oaq_keras.layouts import NEVER_DRAINED
from oaq_keras.version import __version__

if TYPE_CHECKING:
    from oaq_keras.certification import attach_certificate, certify
    from oaq_keras.comparison import compare
    from oaq_keras.configs import OverflowAwareQuantizeConfig
    from oaq_keras.conversion import convert
    from oaq_keras.distillation import Distillation
    from oaq_keras.options import Options
    from oaq_keras.post_training import calibrate, post_training_quantize
    from oaq_keras.quantization import quantize
    from oaq_keras.quantizers import ActivationQuantizer, WeightQuantizer
    from oaq_keras.recertification import recertify
    from oaq_keras.registry import OverflowAwareQuantizeRegistry
    from oaq_keras.rewrite import to_builtin_ops, to_custom_ops
    from oaq_keras.runtime import Interpreter
    from oaq_keras.saving import load_model
    from oaq_keras.schedule import freeze, thaw
    from oaq_keras.scheme import OverflowAwareQuantizeScheme
    from oaq_keras.seeds import set_seed
    from oaq_keras.stripping import strip

_MODULE_OF = {
    "ActivationQuantizer": "quantizers",
    "Distillation": "distillation",
    "Interpreter": "runtime",
    "Options": "options",
    "OverflowAwareQuantizeConfig": "configs",
    "OverflowAwareQuantizeRegistry": "registry",
    "OverflowAwareQuantizeScheme": "scheme",
    "WeightQuantizer": "quantizers",
    "attach_certificate": "certification",
    "calibrate": "post_training",
    "certify": "certification",
    "compare": "comparison",
    "convert": "conversion",
    "freeze": "schedule",
    "load_model": "saving",
    "post_training_quantize": "post_training",
    "quantize": "quantization",
    "recertify": "recertification",
    "set_seed": "seeds",
    "strip": "stripping",
    "thaw": "schedule",
    "to_builtin_ops": "rewrite",
    "to_custom_ops": "rewrite",
}

_MODULES = ("callbacks", "metrics")
"""Reached as attributes of the package before anything imported them."""

__all__ = [
    "NEVER_DRAINED",
    "ActivationQuantizer",
    "CertificateError",
    "Distillation",
    "Interpreter",
    "LibraryError",
    "ModelFileError",
    "OaqError",
    "Options",
    "OverflowAwareQuantizeConfig",
    "OverflowAwareQuantizeRegistry",
    "OverflowAwareQuantizeScheme",
    "UnsupportedError",
    "WeightQuantizer",
    "__version__",
    "attach_certificate",
    "calibrate",
    "certify",
    "compare",
    "convert",
    "freeze",
    "load_model",
    "post_training_quantize",
    "quantize",
    "recertify",
    "set_seed",
    "strip",
    "thaw",
    "to_builtin_ops",
    "to_custom_ops",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"oaq_keras.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'oaq_keras' has no attribute {name!r}")
    value = getattr(import_module(f"oaq_keras.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
