# SPDX-License-Identifier: Apache-2.0
"""Pruned and clustered models: zeros stay zeros, clusters stay clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import tensorflow as tf

import oaq_keras
from oaq_keras._keras import keras, tfmot
from oaq_keras.flatbuffer import read_model
from oaq_keras.int8_layers import int8_layers
from oaq_keras.trained import weight_quantizers
from oaq_keras.weight_structure import (
    CLUSTERS,
    MOST_CLUSTERS,
    PRESERVED,
    SPARSITY,
    groups_of,
    kept,
    structure_of,
)

LAYERS = {
    "conv": lambda: keras.layers.Conv2D(8, 3, name="layer"),
    "depthwise": lambda: keras.layers.DepthwiseConv2D(3, name="layer"),
    "dense": lambda: keras.layers.Dense(16, name="layer"),
    "transpose": lambda: keras.layers.Conv2DTranspose(8, 3, strides=2, name="layer"),
}
OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(1e-2),
    "momentum": lambda: keras.optimizers.SGD(1e-2, momentum=0.9, nesterov=True),
    "decay": lambda: keras.optimizers.AdamW(1e-2, weight_decay=1e-2),
}
VALUES = 12


def _small(kernel: np.ndarray, structure: str) -> np.ndarray:
    """A kernel of which half is 0, or that has few values, 0 among them."""
    if structure == SPARSITY:
        return np.where(np.abs(kernel) < np.median(np.abs(kernel)), 0.0, kernel)
    edges = np.linspace(kernel.min(), kernel.max(), VALUES - 1)
    found: np.ndarray = np.append(edges, 0.0)[np.abs(kernel[..., None] - edges).argmin(-1)]
    found.reshape(-1)[:5] = 0.0
    return found


def _network(layer: Any, structure: str) -> Any:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 8))
    x = keras.layers.Conv2D(8, 1, activation="relu", name="before")(inputs)
    x = keras.layers.BatchNormalization()(layer(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    model = keras.Model(inputs, keras.layers.Dense(4, name="classes")(x))
    for each in model.layers:
        if each.weights and not isinstance(each, keras.layers.BatchNormalization):
            kernel, *rest = each.get_weights()
            each.set_weights([_small(kernel, structure), *rest])
    return model


def _data() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.normal(size=(32, 8, 8, 8)).astype(np.float32), draw.normal(size=(32, 4)).astype(
        np.float32
    )


def _kernels(model: Any) -> dict[str, np.ndarray]:
    quantizers = weight_quantizers(model)
    return {name: quantizer.kernel.numpy() for name, quantizer in quantizers.items()}


def _check_file(content: bytes, floats: dict[str, np.ndarray], structure: str) -> None:
    """Codes are 0 where weights were, and equal in a channel where they were."""
    layers, _ = int8_layers(read_model(content))
    assert len(layers) == len(floats)
    for layer, (name, kernel) in zip(layers, floats.items(), strict=True):
        codes = layer.codes
        if structure == SPARSITY:
            assert (codes == 0).sum() >= (kernel == 0).sum() > 0, name
        else:
            most = max(len(np.unique(channel)) for channel in codes)
            assert most <= len(np.unique(kernel)), name


CASES = [
    *[(kind, structure, "adam") for kind in LAYERS for structure in PRESERVED],
    *[("conv", each, optimizer) for each in PRESERVED for optimizer in ("momentum", "decay")],
]


@pytest.mark.parametrize(("kind", "structure", "optimizer"), CASES)
def test_training_keeps_it(kind: str, structure: str, optimizer: str, tmp_path: Path) -> None:
    model = oaq_keras.quantize(_network(LAYERS[kind](), structure), preserve=structure)
    before = _kernels(model)
    assert {each.preserve for each in weight_quantizers(model).values()} == {structure}
    model.compile(OPTIMIZERS[optimizer](), "mse")
    x, y = _data()
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    if optimizer == "momentum":
        model.save(tmp_path / "model.keras")
        model = oaq_keras.load_model(tmp_path / "model.keras")
        model.fit(x, y, batch_size=8, epochs=3, initial_epoch=2, verbose=0)
    for name, kernel in _kernels(model).items():
        assert (kernel != before[name]).any()
        kept = weight_quantizers(model)[name].weights().numpy()
        np.testing.assert_allclose(kept, kernel, rtol=1e-5, atol=1e-7)
        assert (kept[before[name] == 0] == 0).all()
        if structure == CLUSTERS:
            assert len(np.unique(kept)) == len(np.unique(before[name]))
    _check_file(oaq_keras.convert(model), before, structure)


@pytest.mark.parametrize("structure", PRESERVED)
@pytest.mark.parametrize("kind", LAYERS)
def test_post_training_keeps_it(kind: str, structure: str) -> None:
    float_model = _network(LAYERS[kind](), structure)
    x, _ = _data()
    model = oaq_keras.post_training_quantize(float_model, [x], preserve=structure)
    floats = {name: float_model.get_layer(name).get_weights()[0] for name in _kernels(model)}
    _check_file(oaq_keras.convert(model), floats, structure)
    expected = float_model.predict(x, verbose=0)
    # Half of the bound is made of clusters, whose codes nobody may choose one by one.
    assert np.abs(model.predict(x, verbose=0) - expected).max() < 0.15 * np.abs(expected).max()


@pytest.mark.parametrize("structure", PRESERVED)
def test_what_tfmot_made_smaller(structure: str) -> None:
    keras.utils.set_random_seed(1)
    given = keras.Sequential(
        [
            keras.Input((8, 8, 8)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    x, y = _data()
    if structure == SPARSITY:
        of_tfmot = tfmot.sparsity.keras
        wrapped = of_tfmot.prune_low_magnitude(
            given, pruning_schedule=of_tfmot.ConstantSparsity(0.5, 0, frequency=1)
        )
        callbacks, strip = [of_tfmot.UpdatePruningStep()], of_tfmot.strip_pruning
    else:
        wrapped = tfmot.clustering.keras.cluster_weights(
            given,
            number_of_clusters=8,
            cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.LINEAR,
        )
        callbacks, strip = [], tfmot.clustering.keras.strip_clustering
    with pytest.raises(oaq_keras.UnsupportedError, match=strip.__name__):
        oaq_keras.quantize(wrapped)
    wrapped.compile("adam", "mse")
    wrapped.fit(x, y, epochs=2, verbose=0, callbacks=callbacks)
    model = oaq_keras.quantize(strip(wrapped), preserve=structure)
    before = _kernels(model)
    model.compile("adam", "mse")
    model.fit(x, y, epochs=2, verbose=0)
    _check_file(oaq_keras.convert(model), before, structure)


def test_nothing_is_kept_unless_asked_for() -> None:
    model = oaq_keras.quantize(_network(LAYERS["conv"](), SPARSITY))
    before = _kernels(model)
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    model.fit(*_data(), verbose=0)
    assert any((kernel[before[name] == 0] != 0).any() for name, kernel in _kernels(model).items())


def test_single_layers_can_be_kept() -> None:
    float_model = _network(LAYERS["conv"](), SPARSITY)
    model = oaq_keras.quantize(float_model, overrides={"layer": {"preserve": "sparsity"}})
    found = {name: each.preserve for name, each in weight_quantizers(model).items()}
    assert found == {"before": None, "layer": SPARSITY, "classes": None}


@pytest.mark.parametrize("structure", PRESERVED)
def test_replicas_keep_it(structure: str) -> None:
    float_model = _network(LAYERS["conv"](), structure)
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = oaq_keras.quantize(float_model, preserve=structure)
        before = _kernels(model)
        model.compile("adam", "mse")
    model.fit(*_data(), verbose=0)
    _check_file(oaq_keras.convert(model), before, structure)


@pytest.mark.parametrize("wanted", PRESERVED)
def test_nothing_to_keep_is_refused(wanted: str) -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 8))
    float_model = keras.Model(inputs, keras.layers.Conv2D(8, 3)(inputs))
    with pytest.raises(ValueError, match=f"preserve='{wanted}' has nothing to keep"):
        oaq_keras.quantize(float_model, preserve=wanted)


def test_overrides_that_keep_nothing_are_refused() -> None:
    float_model = _network(LAYERS["conv"](), SPARSITY)
    layer = float_model.get_layer("layer")
    layer.set_weights([layer.get_weights()[0] + 1.0, *layer.get_weights()[1:]])
    overrides = {name: {"preserve": "sparsity"} for name in ("before", "layer")}
    with pytest.raises(ValueError, match=r"overrides\['layer'\] gives preserve='sparsity', and"):
        oaq_keras.quantize(float_model, overrides=overrides)


@pytest.mark.parametrize("given", ["zeros", True, 0])
def test_unknown_structures_are_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="preserve is 'sparsity', 'clusters' or None"):
        oaq_keras.quantize(_network(LAYERS["conv"](), SPARSITY), preserve=given)


def test_structures_of_kernels() -> None:
    many = np.linspace(1, 2, 4 * MOST_CLUSTERS).astype(np.float32)
    few = np.repeat(np.float32([-1.0, 0.0, 2.0]), 8)
    assert structure_of(many, SPARSITY) is structure_of(many, CLUSTERS) is None
    assert structure_of(few, None) is None
    assert structure_of(few, SPARSITY) == SPARSITY
    assert structure_of(few, CLUSTERS) == CLUSTERS
    assert structure_of(np.append(many, 0.0), CLUSTERS) == SPARSITY
    assert structure_of(few[::8], CLUSTERS) == SPARSITY  # three weights, and three values
    assert groups_of(few, SPARSITY).tolist() == [1] * 8 + [0] * 8 + [1] * 8
    assert groups_of(few, CLUSTERS).tolist() == [1] * 8 + [0] * 8 + [3] * 8
    assert structure_of(np.zeros((3, 4)), SPARSITY) is None  # nothing was learnt there yet


def test_channels_may_have_clusters_of_their_own() -> None:
    channels = 512
    kernel = np.repeat(np.arange(2.0 * channels).reshape(2, channels), 4, axis=0)
    assert len(np.unique(kernel)) > MOST_CLUSTERS
    assert structure_of(kernel, CLUSTERS) == CLUSTERS
    groups = groups_of(kernel, CLUSTERS)
    assert len(np.unique(groups)) == 2 * channels
    kept_kernel = kept(tf.constant(kernel, tf.float32), groups, CLUSTERS).numpy()
    np.testing.assert_array_equal(kept_kernel, kernel)
