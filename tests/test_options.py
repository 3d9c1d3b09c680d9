# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import oaq_keras
from oaq_keras._keras import keras, tf
from oaq_keras.certificate import POLICY_METADATA
from oaq_keras.flatbuffer import get_metadata, read_model
from oaq_keras.inspection import inspect_model
from oaq_keras.quantization import quantize
from oaq_keras.targets import TARGET_NAMES
from oaq_keras.trained import format_tables, weight_quantizers
from tests.keras_models import images, mixed_network, sequential_network


def test_overrides_reach_the_layers_that_they_name() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="block_1")(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu6", name="block_2")(x)
    x = keras.layers.Conv2D(4, 3, name="head")(x)
    model = quantize(
        keras.Model(inputs, x),
        overrides={
            "block*": {"depth": 32, "width": 85},
            "block_2": {"depth": 8, "accumulator_bits": 15, "regularization": 0.5},
        },
    )
    first, second, head = weight_quantizers(model).values()
    assert (first.depth, second.depth, head.depth) == (32, 8, 16)
    assert (first.accumulator_bits, second.accumulator_bits) == (16, 15)
    assert (first.regularization, second.regularization) == (0.01, 0.5)
    (table,) = format_tables(model)
    assert float(table.width(second.input_format)) == 85
    assert float(table.width(head.input_format)) == 85


@pytest.mark.parametrize(
    "override", [{"depth": 8}, {"accumulator_bits": 13}, {"regularization": 0.5}, {"width": 85}]
)
def test_models_with_overrides_are_exported(override: dict[str, Any]) -> None:
    model = quantize(mixed_network(keras), overrides={"conv2d*": override})
    content = oaq_keras.convert(oaq_keras.calibrate(model, [images(8)]))
    certificate = oaq_keras.certify(content)
    assert certificate.proven
    assert certificate.accumulator_bits == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overrides": {"conv*": {"detph": 32}}}, r"overrides\['conv\*'\] has the option 'detph'"),
        ({"overrides": {"conv*": {"depth": 0}}}, r"overrides\['conv\*'\]: depth .* got 0"),
        ({"overrides": {"blocks": {"depth": 8}}}, "'blocks', which matches no layer"),
        ({"overrides": [("conv", 3)]}, "overrides is a mapping"),
        ({"target": "cortex"}, "target is one of all, arm, .* got 'cortex'"),
        ({"policy": "prooven"}, "got 'prooven'"),
        ({"regularization": float("inf")}, "regularization is a number"),
        (
            {"policy": "paper", "overrides": {"conv*": {"regularization": 1.0}}},
            "gives regularization, which policy 'paper' does not have",
        ),
        ({"distillation": True}, r"oaq_keras.Distillation\(.*got True"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quantize(sequential_network(keras), **options)


def test_target_decides_layouts_and_certificate() -> None:
    for target, gemm in (("a53", ("c8",)), ("avx2", ("c4",)), ("all", ("c8", "c4"))):
        model = oaq_keras.post_training_quantize(
            mixed_network(keras), [images(8)], target=target, depth=8
        )
        for quantizer in weight_quantizers(model).values():
            assert quantizer.layouts == (("channel",) if quantizer.kind == "depthwise" else gemm)
        certificate = oaq_keras.certify(oaq_keras.convert(model))
        assert certificate.proven
        assert certificate.target == (*gemm, "channel")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"relu_1": {"depth": 8}}, r"overrides\['relu_1'\] gives depth, .* no layer with weights"),
        (
            {"d": {"width": 85}},
            r"overrides\['d'\] gives width, .* no layer with a width: c, relu_1",
        ),
    ],
)
def test_overrides_that_reach_nothing_are_refused(override: Any, message: str) -> None:
    x = inputs = keras.Input((8, 8, 3))
    for layer in (
        keras.layers.Conv2D(4, 3, name="c"),
        keras.layers.ReLU(name="relu_1"),
        keras.layers.Flatten(),
        keras.layers.Dense(3, name="d"),
    ):
        x = layer(x)
    with pytest.raises(ValueError, match=message):
        quantize(keras.Model(inputs, x), overrides=override)


def test_widths_of_a_shared_format_are_those_of_any_member() -> None:
    inputs = keras.Input((12, 12, 3))
    both = [keras.layers.Conv2D(4, 3, activation="relu", name=name)(inputs) for name in "ab"]
    x = keras.layers.Conv2D(4, 3)(keras.layers.Concatenate()(both))
    network = keras.Model(inputs, x)
    for overrides in ({"b": {"width": 60}}, {"*": {"width": 99}, "[ab]": {"width": 60}}):
        model = oaq_keras.post_training_quantize(network, [images(8)], overrides=overrides)
        *_, last = weight_quantizers(model).values()
        (table,) = format_tables(model)
        assert float(table.width(last.input_format)) == pytest.approx(60)
    with pytest.raises(ValueError, match=r"a, b share one format, .* the widths 60, 99"):
        quantize(network, overrides={"a": {"width": 60}, "b": {"width": 99}})


@pytest.mark.parametrize(
    ("options", "width"),
    [
        ({"overrides": {"*": {"width": 99}, "c": {"width": 60}}}, 60),
        ({"overrides": {"stem_activation": {"width": 60}, "c": {"width": 99}}}, 99),
        ({"width": 127, "overrides": {"c": {"width": 60}, "stem_*": {"width": 127}}}, 127),
        ({"width": 127}, 127),
    ],
)
def test_later_overrides_win_by_whichever_name(options: dict[str, Any], width: float) -> None:
    x = inputs = keras.Input((12, 12, 3))
    for layer in (
        keras.layers.Conv2D(4, 3, name="c"),
        keras.layers.ReLU(name="stem_activation"),
        keras.layers.Conv2D(4, 3),
    ):
        x = layer(x)
    model = quantize(keras.Model(inputs, x), **options)
    *_, last = weight_quantizers(model).values()
    (table,) = format_tables(model)
    assert float(table.width(last.input_format)) == pytest.approx(width)


def test_widths_of_a_separate_activation_are_given_by_either_name() -> None:
    x = inputs = keras.Input((12, 12, 3))
    for layer in (
        keras.layers.Conv2D(4, 3, name="c"),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(name="relu_1"),
        keras.layers.Conv2D(4, 3, name="last"),
    ):
        x = layer(x)
    network = keras.Model(inputs, x)
    for name in ("c", "relu_1"):
        model = oaq_keras.post_training_quantize(
            network, [images(8)], overrides={name: {"width": 60}}
        )
        *_, last = weight_quantizers(model).values()
        (table,) = format_tables(model)
        assert float(table.width(last.input_format)) == pytest.approx(60)


@pytest.mark.parametrize("name", TARGET_NAMES)
def test_targets_save_more_the_longer_blocks_are(name: str) -> None:
    target = TARGET_NAMES[name]
    for kind in ("conv", "dense", "depthwise"):
        saved = [target.saved(kind, depth) for depth in (1, 4, 16, 10**6)]
        assert saved == sorted(saved)
        assert saved[-1] > 0


def test_regularization_counts_the_time_that_the_core_saves() -> None:
    worths = {}
    for target in ("all", "a53", "avx2"):
        found = weight_quantizers(quantize(mixed_network(keras), target=target)).values()
        worths[target] = [quantizer.worth for quantizer in found]
        assert sum(worths[target]) == pytest.approx(1.0)
        assert sum(quantizer.mac_share for quantizer in found) == pytest.approx(1.0)
    kinds = [quantizer.kind for quantizer in found]
    depthwise, inner = kinds.index("depthwise"), kinds.index("depthwise") + 1
    ratios = {name: worth[depthwise] / worth[inner] for name, worth in worths.items()}
    assert ratios["avx2"] > 2 * ratios["all"]
    assert ratios["a53"] < 0.9 * ratios["all"]
    assert worths["a53"][0] < worths["all"][0]  # T = 4 saves less


def _fitted(**options: Any) -> Any:
    keras.utils.set_random_seed(4)
    model = quantize(mixed_network(keras), **options)
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    labels = np.random.default_rng(0).integers(0, 5, 48)
    model.fit(images(48), labels, batch_size=8, epochs=2, verbose=0)
    return model


def test_policy_paper_trains_and_exports_without_a_certificate() -> None:
    model = _fitted(policy="paper")
    alphas = [float(each.log2_alpha) for each in weight_quantizers(model).values()]
    assert any(alpha > 0 for alpha in alphas)
    content = oaq_keras.convert(model)
    note = get_metadata(read_model(content), POLICY_METADATA)
    assert note is not None
    assert b"no certificate" in note
    assert get_metadata(read_model(content), "oaq_certificate") is None
    certificate = oaq_keras.certify(content, depth=oaq_keras.NEVER_DRAINED)
    assert not certificate.proven
    assert certificate.policy == "paper"
    assert "policy paper" in str(certificate)
    assert "policy paper" in str(inspect_model(content))
    assert all(layer.name and layer.layouts for layer in certificate.unproven)


def test_alpha_goes_up_with_overflow_and_down_without() -> None:
    inputs = keras.Input((512,))
    model = quantize(keras.Model(inputs, keras.layers.Dense(2, name="d")(inputs)), policy="paper")
    (quantizer,) = weight_quantizers(model).values()
    full = np.ones((4, 512), np.float32)
    oaq_keras.calibrate(model, [full])
    quantizer.kernel.assign(np.full((1, 1, 512, 2), 0.5, np.float32))
    model(full, training=True)
    assert float(quantizer.overflows) == 8
    assert float(quantizer.log2_alpha) == pytest.approx(0.01 * np.log10(9), rel=1e-5)
    model(0 * full, training=True)
    assert float(quantizer.overflows) == 0
    assert float(quantizer.log2_alpha) == pytest.approx(0.01 * np.log10(9) - 0.002, rel=1e-4)
    before = float(quantizer.log2_alpha)
    model(full, training=False)
    oaq_keras.freeze(model)
    model(full, training=True)
    assert float(quantizer.log2_alpha) == before


def test_distillation_pulls_answers_to_the_teachers() -> None:
    keras.utils.set_random_seed(4)
    network = mixed_network(keras)
    x = images(64)
    wrong = (network.predict(x, verbose=0).argmax(-1) + 1) % 5
    errors = {}
    for weight in (0.0, 100.0):
        keras.utils.set_random_seed(4)
        model = quantize(network, distillation=oaq_keras.Distillation(weight))
        count = len(model.trainable_variables)
        model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
        model.fit(x, wrong, batch_size=16, epochs=4, verbose=0)
        answers = model.predict(x, verbose=0)
        errors[weight] = np.abs(answers - network.predict(x, verbose=0)).mean()
        assert len(model.trainable_variables) == count
    assert errors[100.0] < 0.7 * errors[0.0]


def test_distillation_is_part_of_training_alone_and_reads_each_model_as_it_ends() -> None:
    inputs = keras.Input((12, 12, 3))
    logits = keras.layers.Dense(5)(keras.layers.Flatten()(inputs))
    teacher = keras.Model(inputs, logits)
    student = keras.Model(inputs, keras.layers.Softmax()(logits))
    model = quantize(student, distillation=oaq_keras.Distillation(teacher=teacher))
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = images(16), np.arange(16) % 5
    history = model.fit(x, y, epochs=2, verbose=0, validation_data=(x, y)).history
    assert sorted(history) == ["distillation", "loss", "val_loss"]
    assert 0 < history["distillation"][-1] < 0.05
    assert model.evaluate(x, y, verbose=0) == pytest.approx(history["val_loss"][-1])
    y = tf.constant(y)
    taught = model.compute_loss(x, y, model(x, training=True))
    without = quantize(student)
    without.set_weights(model.get_weights())
    without.compile("sgd", "sparse_categorical_crossentropy")
    alone = without.compute_loss(x, y, without(x, training=True))
    assert float(taught) > float(alone) + 1e-5


def test_metrics_of_the_users_keep_their_names() -> None:
    model = quantize(sequential_network(keras))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="distillation")
    model.compile("sgd", loss, metrics=[accuracy])
    x, y = images(16), np.arange(16) % 5
    history = model.fit(x, y, verbose=0, validation_data=(x, y)).history
    assert "val_distillation" in history


def _ending(*last: Any) -> Any:
    x = inputs = keras.Input((4,))
    for layer in last:
        x = layer(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    ("teacher", "probabilities"),
    [
        (lambda: _ending(keras.layers.Softmax()), True),
        (lambda: _ending(keras.layers.Dense(4, "softmax"), keras.layers.Dropout(0.1)), True),
        (lambda: _ending(keras.layers.Softmax(), keras.layers.Reshape((4,))), True),
        (lambda: _ending(_ending(keras.layers.Softmax())), True),
        (lambda: _ending(keras.layers.Dense(4), keras.layers.Reshape((4,))), False),
    ],
)
def test_teachers_are_read_as_they_end(teacher: Any, probabilities: bool) -> None:
    found = oaq_keras.Distillation().answers_probabilities(teacher())
    assert found == probabilities
    given = oaq_keras.Distillation(from_logits=probabilities)
    assert given.answers_probabilities(teacher()) != probabilities


def test_teachers_without_inputs_are_refused() -> None:
    unbuilt = keras.Sequential([keras.layers.Dense(5)])
    with pytest.raises(oaq_keras.UnsupportedError, match="no input shape yet"):
        quantize(sequential_network(keras), distillation=oaq_keras.Distillation(teacher=unbuilt))


def test_distillation_of_what_is_no_classifier_is_refused() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    with pytest.raises(oaq_keras.UnsupportedError, match="classes"):
        quantize(model, distillation=oaq_keras.Distillation())
    with pytest.raises(oaq_keras.UnsupportedError, match="inputs and outputs"):
        quantize(sequential_network(keras), distillation=oaq_keras.Distillation(teacher=model))
    with pytest.raises(ValueError, match="got 0"):
        oaq_keras.Distillation(temperature=0)
