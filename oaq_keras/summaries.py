# SPDX-License-Identifier: Apache-2.0
"""What TensorBoard shows of an overflow aware training."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaq_keras._keras import keras, tf
from oaq_keras.argument_checks import is_whole
from oaq_keras.schedule import check_quantized
from oaq_keras.trained import (
    figures,
    format_tables,
    headroom_of,
    weight_quantizers,
)

_BINS = 32
_WHOLE = ("proven", "headroom", "weight_bits_given_up", "activation_bits")


class Summaries(keras.callbacks.Callback):
    """Writes scalars and histograms for TensorBoard, beside those of Keras's own callback.

    ```python
    callbacks = [keras.callbacks.TensorBoard("logs"), oaq_keras.callbacks.Summaries("logs")]
    ```

    TensorBoard groups them by what stands in front of the slash: `overflow/proven`,
    `overflow/headroom` (the least), `overflow/weight_bits_given_up` and
    `overflow/activation_bits` of the whole model, then
    `headroom/LAYER` in bits, `width/FORMAT` in codes, and as histograms over a layer's channels
    `load/LAYER`, the share of the accumulator that the worst case takes, and `codes/LAYER`, the
    weights as integers.
    """

    def __init__(self, log_dir: str | os.PathLike[str], every: int = 1) -> None:
        """Makes the callback; it writes into `log_dir`/overflow at every `every`-th epoch.

        Raises:
          ValueError: `every` is not a whole number from 1.
        """
        super().__init__()
        if not is_whole(every) or every < 1:
            raise ValueError(f"every is a number of epochs, 1 or more, got {every!r}.")
        self.every = every
        self._folder = f"{os.fspath(log_dir).rstrip('/')}/overflow"  # perhaps "gs://..."
        self._writer: Any = None
        self._look: Any = None
        self._traced_for: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Opens the log.

        Raises:
          UnsupportedError: not a quantized model.
        """
        del logs
        check_quantized(self.model)
        self._writer = tf.summary.create_file_writer(self._folder)
        if self._traced_for is not self.model:
            self._look, self._traced_for = tf.function(self._figures, autograph=False), self.model

    def _figures(self) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Of the whole model, then loads and codes of each layer's channels."""
        quantizers = weight_quantizers(self.model)
        loads = {name: each.code_load() for name, each in quantizers.items()}
        return figures(self.model), loads, {name: q.codes() for name, q in quantizers.items()}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes what the model is like by now."""
        del logs
        if (epoch + 1) % self.every:
            return
        whole, loads, codes = self._look()
        with self._writer.as_default(step=epoch):
            for name, value in zip(_WHOLE, whole.numpy(), strict=True):
                _write_scalar(f"overflow/{name}", value)
            for name, load in loads.items():
                _write_scalar(f"headroom/{name}", headroom_of(load.numpy()))
                _write_histogram(f"load/{name}", load.numpy())
                _write_histogram(f"codes/{name}", codes[name].numpy())
            for table in format_tables(self.model):
                for name in dict(table.items()):
                    _write_scalar(f"width/{name}", float(table.width(name)))

    def on_train_end(self, logs: Any = None) -> None:
        """Closes the log."""
        del logs
        self._writer.close()


def _write_scalar(tag: str, value: float) -> None:
    tf.summary.write(tag, tf.constant(value, tf.float32), metadata=_shown_by("scalars"))


def _write_histogram(tag: str, values: NDArray[np.float32]) -> None:
    counts, edges = np.histogram(values, _BINS)
    bins = np.stack([edges[:-1], edges[1:], counts], axis=-1).astype(np.float32)
    tf.summary.write(tag, bins, metadata=_shown_by("histograms"))


def _shown_by(plugin: str) -> Any:
    """Says who is to show a tensor: `tf.summary.scalar` wants TensorBoard where it is written."""
    found = tf.compat.v1.SummaryMetadata()
    found.plugin_data.plugin_name = plugin
    return found
