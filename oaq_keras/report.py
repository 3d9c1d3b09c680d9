# SPDX-License-Identifier: Apache-2.0
"""A picture of a certificate: headroom, layer by layer and layout by layout.

The tables are `str(certificate)` and `str(interpreter.plan())`.
"""

from __future__ import annotations

import os
from typing import Any

from oaq_keras.certificate import Certificate, LayoutCertificate, depth_text
from oaq_keras.errors import UnsupportedError
from oaq_keras.tables import short_name

_COLOURS = {"c8": "#2a6fbb", "c4": "#e08a1e", "channel": "#3f9b58", "broadcast": "#8c6bb1"}
_SHORTFALL = "#c0392b"
_ROW_HEIGHT = 0.36
_BAR_HEIGHT = 0.8


def plot_headroom(certificate: Certificate, path: str | os.PathLike[str]) -> None:
    """Save a bar chart of every layer's headroom, in bits, at its required depth.

    A layer has a bar for each layout, with its headroom behind it. What does not fit is red: left
    of zero a block, right of it a pair that may saturate. Trained layers end at 0: what headroom
    there was became resolution of the weights.

    Args:
      certificate: what `certify` returned.
      path: file to write; its suffix decides the format (PNG, SVG, PDF).

    Raises:
      UnsupportedError: matplotlib is not installed, or the certificate has no layers.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnsupportedError(
            "the picture needs matplotlib: pip install matplotlib; str(certificate) is a table"
        ) from error
    bars = [
        (i, name, layout)
        for i, layer in enumerate(certificate.layers)
        for name, layout in layer.layouts.items()
    ]
    if not bars:
        raise UnsupportedError("the certificate has no layers to draw")
    figure = Figure(figsize=(9, 1.9 + _ROW_HEIGHT * len(certificate.layers)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw_bars(axes, certificate, bars)
    _decorate(axes, certificate, bars)
    figure.savefig(path, dpi=150)


def _draw_bars(
    axes: Any, certificate: Certificate, bars: list[tuple[int, str, LayoutCertificate]]
) -> None:
    for row, name, layout in bars:
        names = list(certificate.layers[row].layouts)
        height = _BAR_HEIGHT / len(names)
        y = row - _BAR_HEIGHT / 2 + height * (names.index(name) + 0.5)
        colour = _COLOURS[name] if layout.proven else _SHORTFALL
        axes.barh(y, layout.headroom, height * 0.9, color=colour, alpha=0.9, zorder=2)
        words = f"{layout.headroom:+.2f}"
        if layout.never_drained:
            words += ", never drained"
        elif not layout.proven:
            words += ", does not fit"
        axes.annotate(
            words,
            (max(layout.headroom, 0.0), y),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
            color="#333333" if layout.proven else _SHORTFALL,
        )
    axes.margins(x=0.14)


def _decorate(
    axes: Any, certificate: Certificate, bars: list[tuple[int, str, LayoutCertificate]]
) -> None:
    from matplotlib.patches import Patch

    rows = range(len(certificate.layers))
    labels = [f"{_label(layer.name)}   K {layer.products}" for layer in certificate.layers]
    axes.set_yticks(rows, labels, fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.axvline(0, color="#333333", linewidth=1, zorder=4)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6, zorder=0)
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel(
        f"headroom of {certificate.accumulator_bits}-bit lanes in bits; 0 or more is proven",
        fontsize=8,
    )
    axes.tick_params(axis="x", labelsize=8)
    totals = certificate.summary()
    axes.set_title(
        f"{totals.proven_layers} of {totals.layers} layers proven at T = "
        f"{depth_text(certificate.depth)} (first layer "
        f"{depth_text(certificate.first_layer_depth)})\n{totals.proven:.1%} of the MACs proven, "
        f"{totals.never_drained:.1%} never drained",
        fontsize=9,
        loc="left",
    )
    used = [name for name in _COLOURS if any(name == bar[1] for bar in bars)]
    handles: list[Any] = [Patch(color=_COLOURS[name], label=name) for name in used]
    if any(not layout.proven for _, _, layout in bars):
        handles.append(Patch(color=_SHORTFALL, label="does not fit"))
    axes.figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        fontsize=8,
        frameon=False,
    )


def _label(name: str) -> str:
    """A tensor's name by its layer: what the converter appends is the same for many."""
    parts = name.split(";", maxsplit=1)[0].split("/")
    kept = parts[1:-1] if len(parts) > 2 else parts
    return short_name("/".join(kept).replace("quant_", ""), 32)
