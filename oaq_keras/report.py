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
_ROW_HEIGHT = 0.28
_BAR_HEIGHT = 0.8


def plot_headroom(certificate: Certificate, path: str | os.PathLike[str]) -> None:
    """Save a bar chart of every layer's headroom, in bits, at its required depth.

    A layer has a bar for each layout. What does not fit is red: left of zero a block, right of it a
    pair that may saturate. A dot marks what is never drained.

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
        if not layout.proven:
            # The layout's colour stays visible at the root of a bar that says "does not fit".
            axes.barh(y, layout.headroom * 0.08, height * 0.9, color=_COLOURS[name], zorder=3)
        if layout.never_drained:
            axes.plot(layout.headroom + 0.12, y, "o", color=colour, markersize=2.6, zorder=3)


def _decorate(
    axes: Any, certificate: Certificate, bars: list[tuple[int, str, LayoutCertificate]]
) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    rows = range(len(certificate.layers))
    labels = [f"{short_name(layer.name, 32)}   K {layer.products}" for layer in certificate.layers]
    axes.set_yticks(rows, labels, fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.axvline(0, color="#333333", linewidth=1, zorder=4)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6, zorder=0)
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel(f"headroom of {certificate.accumulator_bits}-bit lanes, bits", fontsize=8)
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
    dot = Line2D([], [], marker="o", linestyle="", color="#555555", markersize=3)
    dot.set_label("never drained")
    axes.figure.legend(
        handles=[*handles, dot],
        loc="outside lower center",
        ncols=len(handles) + 1,
        fontsize=8,
        frameon=False,
    )
