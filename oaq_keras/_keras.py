# SPDX-License-Identifier: Apache-2.0
"""TensorFlow, tf_keras and tfmot, imported without changing what `tf.keras` means.

tfmot 0.8 works on tf_keras (Keras 2) and, when imported, sets `TF_USE_LEGACY_KERAS`, which turns a
`tf.keras` that nobody has touched yet into tf_keras for the whole process. Resolving `tf.keras`
first and putting the variable back afterwards leaves both as the user had them.
"""

import os

try:
    import tensorflow as tf

    _LEGACY_FLAG = "TF_USE_LEGACY_KERAS"
    _before = os.environ.get(_LEGACY_FLAG)
    tf.keras.__name__  # noqa: B018  (the access resolves TensorFlow's lazy loader)

    import tensorflow_model_optimization as tfmot
    import tf_keras as keras

    if _before is None:
        os.environ.pop(_LEGACY_FLAG, None)
    else:
        os.environ[_LEGACY_FLAG] = _before
except ImportError as error:
    raise ImportError(
        f"Training and conversion need TensorFlow, tf_keras and tensorflow-model-optimization, "
        f"but {error.name!r} cannot be imported ({error}). "
        "Install this package with its extra 'train': pip install '.[train]' in its source folder."
    ) from error

__all__ = ["keras", "tf", "tfmot"]
