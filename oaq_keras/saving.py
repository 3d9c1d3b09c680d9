# SPDX-License-Identifier: Apache-2.0
"""Quantized models from files that `model.save` wrote."""

import os
from collections.abc import Mapping
from typing import Any

from oaq_keras._keras import keras, tf
from oaq_keras.channel_affine import ChannelAffine
from oaq_keras.configs import OverflowAwareQuantizeConfig, QuantizeInput
from oaq_keras.errors import ModelFileError, UnsupportedError
from oaq_keras.images import AsImages, FromImages
from oaq_keras.normalization import FreezableBatchNormalization
from oaq_keras.tflite_layers import TFLITE_LAYERS
from oaq_keras.training import QuantizedModel
from oaq_keras.wrapper import QuantizeWrapper

_CLASSES = (
    *(QuantizedModel, QuantizeWrapper, OverflowAwareQuantizeConfig, QuantizeInput),
    *(AsImages, FromImages, ChannelAffine, FreezableBatchNormalization, *TFLITE_LAYERS.values()),
)


def load_model(
    path: str | os.PathLike[str],
    *,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
) -> Any:
    """Loads a quantized model that `model.save(path)` wrote, to go on with it.

    Outputs, formats, certificates and the optimizer's state are those of the model that was saved.

    Args:
      path: a .keras or .h5 file, or the folder of a SavedModel.
      custom_objects: layers, losses and the like of your own, by name.
      compile: whether to compile as the model was when it was saved.

    Returns:
      A model as from `quantize`. What it was taught by (`distillation`) is not in the file.

    Raises:
      FileNotFoundError: there is no such file.
      ModelFileError: Keras cannot read it; the message says why.
      UnsupportedError: it holds another model than one from `quantize`.
    """
    given = os.fspath(path)  # perhaps of another file system, such as "gs://..."
    if not tf.io.gfile.exists(given):
        raise FileNotFoundError(f"There is no {given}. Save a model there by model.save(path).")
    try:
        # HDF5 files call classes by their bare names.
        known = {kind.__name__: kind for kind in _CLASSES} | dict(custom_objects or {})
        with keras.saving.custom_object_scope(known):
            model = keras.models.load_model(given, compile=compile)
            if isinstance(model, QuantizedModel) and tf.io.gfile.isdir(given):
                _complete(model, given)
    except UnsupportedError:
        raise
    except Exception as error:  # whatever Keras makes of a file that is none
        words = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise ModelFileError(
            f"{given} is no model that Keras can load: {words} Save one by model.save(path), and "
            "name classes of your own in custom_objects."
        ) from error
    if not isinstance(model, QuantizedModel):
        raise UnsupportedError(
            f"{given} holds a model that is not quantized ({type(model).__name__}). Load it with "
            "keras.models.load_model, and pass it to quantize()."
        )
    return model


def _complete(model: Any, folder: str) -> None:
    """Does what Keras leaves out of a SavedModel: frozen layers, the optimizer's variables."""
    for name in model.frozen_when_saved:
        model.get_layer(name).trainable = False
    if getattr(model, "optimizer", None) is None:
        return
    if model.frozen_when_saved:  # it was compiled with all layers trained
        model.compile_from_config(model.get_compile_config())
    model.build_optimizer()
    saved = tf.train.Checkpoint(optimizer=model.optimizer)
    saved.restore(f"{folder.rstrip('/')}/variables/variables").expect_partial()
