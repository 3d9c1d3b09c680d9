# SPDX-License-Identifier: Apache-2.0

"""One table of methods: ours beside others, from the same float networks with the same budget.

    python -m results.methods --data ../shared/data [--only ...] [--seconds 3600] [--table]

Rows are trained, kept and read as in `results.cifar10`, whose rows are part of the table. With
`--write` the table goes into docs/methods.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from oaq_keras.layouts import NEVER_DRAINED
from results import cifar10
from results.cifar10 import Data, Method
from results.rows import write_table

_NETWORKS = ("resnet8",)
SEEDS = 1
PAGE = "docs/methods.md"


def _float_trained(model: Any, data: Data, settings: dict[str, Any], method: Method) -> bytes:
    """The same, trained on by the recipe."""
    del method
    return _converted(cifar10.fit(model, data, settings, _last(model)))


def _stock_post_training(model: Any, data: Data, settings: dict[str, Any], method: Method) -> bytes:
    """int8 by TensorFlow's converter, calibrated."""
    del method
    return _converted(model, [[image[None]] for image in _some(data, settings)])


def _our_post_training(model: Any, data: Data, settings: dict[str, Any], method: Method) -> bytes:
    import oaq_keras

    given = [_some(data, settings)]
    quantized = oaq_keras.post_training_quantize(model, given, **(method.options or {}))
    return bytes(oaq_keras.convert(quantized, ops="builtin"))


def _other(weights: str, activations: str = "ActivationQuantizer", learns: bool = False) -> Any:
    """Trains with quantizers of `other_methods`; widths learn or stay at all 256 codes."""

    def make(model: Any, data: Data, settings: dict[str, Any], method: Method) -> bytes:
        import oaq_keras
        from oaq_keras.callbacks import Schedule
        from oaq_keras.options import Options
        from oaq_keras.quantization import apply_scheme
        from oaq_keras.scheme import OverflowAwareQuantizeScheme
        from results import other_methods

        fixed = {} if learns else {"width": 255, "regularization": 0.0}
        scheme = OverflowAwareQuantizeScheme(
            Options(**(method.options or {}), **fixed),
            getattr(other_methods, weights),
            getattr(other_methods, activations),
        )
        schedule = Schedule() if learns else Schedule(learn_widths=1.0, freeze=1.0)
        quantized = apply_scheme(model, scheme)
        trained = cifar10.fit(quantized, data, settings, _last(model), [schedule])
        if (method.options or {}).get("depth") is None:
            return _converted(trained, [])
        return bytes(oaq_keras.convert(trained, ops="builtin"))

    return make


def _last(model: Any) -> str | None:
    activation: str | None = model.layers[-1].get_config().get("activation")
    return activation


def _some(data: Data, settings: dict[str, Any]) -> Any:
    draw = np.random.default_rng(settings["seed"])
    return data.x_train[draw.choice(len(data.x_train), 200, replace=False)]


def _converted(model: Any, inputs: list[Any] | None = None) -> bytes:
    """TensorFlow's converter alone; int8 where there are inputs, or formats in the model."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if inputs is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if inputs:
        converter.representative_dataset = lambda: iter(inputs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return bytes(converter.convert())


Make = Callable[[Any, Data, dict[str, Any], Method], bytes]

_T16 = {"depth": 16}
_NEVER = {"depth": NEVER_DRAINED}

ROWS: tuple[tuple[Method, Make | None], ...] = (
    (cifar10.FLOAT, None),
    (Method("float, trained on"), _float_trained),
    (Method("stock int8 after training (TensorFlow)"), _stock_post_training),
    (cifar10.METHODS[0], None),
    (Method("LSQ, int8"), _other("LearntStepWeights")),
    (Method("PACT, int8"), _other("PlainWeights", "PactActivations")),
    (Method("A2Q's bound, 16 bits", options=_NEVER), _other("WholeSumWeights")),
    (Method("ours after training, T = 16", options=_T16), _our_post_training),
    (Method("ours, T = 8", options={"depth": 8}), cifar10.quantized),
    (cifar10.METHODS[1], None),
    (
        Method("ours, T = 16, one scale a layer", options=_T16),
        _other("OneScaleWeights", learns=True),
    ),
    (Method("ours, T = 32", options={"depth": 32}), cifar10.quantized),
    (cifar10.METHODS[2], None),
    (Method('policy="paper"', options={"policy": "paper"}), cifar10.quantized),
)


def main() -> int:
    """Fills in the rows that are missing, then prints or writes the table.

    Returns:
      The exit code.
    """
    options = cifar10.parse(__doc__)
    wanted = [
        (cifar10.settings_of(network, method, seed), method, make)
        for seed in range(1, SEEDS + 1)
        for network in _NETWORKS
        for method, make in ROWS
        if options.only in network or options.only in method.label
    ]
    missing = cifar10.fill(wanted, options)
    text = "\n\n".join(table(network) for network in _NETWORKS)
    print(text)
    if options.write:
        write_table(PAGE, "methods", text)
    if missing:
        print(f"{missing} rows are missing; run again to go on.")
    return 0


def table(network: str) -> str:
    """Markdown of the rows that there are."""
    lines = [
        f"| {network} | top-1 | beside stock training | 95 % | T = 16 proven | never drained |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    stock = cifar10.rows_of(network, cifar10.METHODS[0], SEEDS)
    for method, _ in ROWS:
        rows = cifar10.rows_of(network, method, SEEDS)
        if not rows:
            continue
        shared = sorted(set(rows) & set(stock))
        cells = [method.label, f"{100 * np.mean([row['top1'] for row in rows.values()]):.2f} %"]
        compared = method is not cifar10.METHODS[0] and bool(shared)
        loss, low, high = cifar10.difference(
            [stock[seed] for seed in shared], [rows[seed] for seed in shared]
        )
        cells += [f"{-loss:+.2f}", f"{-high:+.2f} to {-low:+.2f}"] if compared else ["", ""]
        for share in ("proven_share_16", "never_drained_share"):
            shares = [row[share] for row in rows.values()]
            cells.append("" if None in shares else f"{100 * np.mean(shares):.1f} %")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", _where_paper_overflows(network)]).rstrip()


def _where_paper_overflows(network: str) -> str:
    """What the checker says of the file that followed observed overflow."""
    method = ROWS[-1][0]
    rows = cifar10.rows_of(network, method, SEEDS)
    if not rows:
        return ""
    layers = next(iter(rows.values()))["can_overflow"]
    return (
        f"Never drained, {method.label} leaves {len(layers)} layers in which an input can make a "
        f"lane overflow: {', '.join(layers) or 'none'}."
    )


if __name__ == "__main__":
    sys.exit(main())
