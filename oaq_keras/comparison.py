# SPDX-License-Identifier: Apache-2.0
"""Two int8 files of one network beside each other: what pruning it, say, did to the bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from oaq_keras.accumulator import worst_case
from oaq_keras.certificate import Certificate, LayerCertificate, depth_text
from oaq_keras.certification import certify
from oaq_keras.errors import UnsupportedError
from oaq_keras.flatbuffer import read_model
from oaq_keras.formats import CODES
from oaq_keras.int8_layers import Int8Layer, int8_layers
from oaq_keras.layouts import LAYOUTS, NEVER_DRAINED
from oaq_keras.model_file import Source, load_bytes
from oaq_keras.tables import format_table, short_name


@dataclass(frozen=True)
class LayerFigures:
    """One layer of one file; bits are means over the channels whose codes are not all 0.

    Attributes:
      zeros: share of the weight codes that are 0.
      sum_bits: log2 of the largest sum |q| of a block, with the codes as long as int8 has them. It
        depends on the weights alone, neither on the activation range nor on what was given up.
      bits_given_up: log2(127 / max |q|), resolution that the weights gave up so that sums fit.
      width: hi - lo of the codes that it reads.
      max_depth: the largest T proven in all layouts of the certificate; NEVER_DRAINED where it
        needs no drain at all.
    """

    zeros: float
    sum_bits: float
    bits_given_up: float
    width: int
    max_depth: int


@dataclass(frozen=True)
class LayerComparison:
    """A layer in both files.

    Attributes:
      name: in the second file.
      macs: of one invocation.
      before, after: its figures.
    """

    name: str
    macs: int
    before: LayerFigures
    after: LayerFigures


@dataclass(frozen=True)
class Comparison:
    """Two files of one network; `str()` is a table.

    Attributes:
      depth: accumulation depth T of blocks, that of the second file's certificate.
      first_layer_depth: the same for layers that read the model's input.
      layers: in the order of the files.
      before_depths: both T of the first file's certificate.
    """

    depth: int
    first_layer_depth: int
    layers: tuple[LayerComparison, ...]
    before_depths: tuple[int, int]

    @property
    def loosened(self) -> float:
        """Bits by which blocks add up to less in the second file, weighted by MACs."""
        return self._mean(lambda each: each.before.sum_bits - each.after.sum_bits)

    @property
    def regained(self) -> float:
        """Bits of weight resolution that the second file gives up less, weighted by MACs."""
        return self._mean(lambda each: each.before.bits_given_up - each.after.bits_given_up)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        layers = [
            {**vars(each), "before": vars(each.before), "after": vars(each.after)}
            for each in self.layers
        ]
        return {
            **vars(self),
            "layers": layers,
            "loosened": self.loosened,
            "regained": self.regained,
        }

    def __str__(self) -> str:
        """A table for people."""
        headings = ("layer", "zeros", "sum bits", "given up", "width", "max T")
        rows = [
            (
                short_name(each.name),
                f"{each.before.zeros:.0%} -> {each.after.zeros:.0%}",
                f"{each.before.sum_bits:.2f} -> {each.after.sum_bits:.2f}",
                f"{each.before.bits_given_up:.2f} -> {each.after.bits_given_up:.2f}",
                f"{each.before.width} -> {each.after.width}",
                f"{depth_text(each.before.max_depth)} -> {depth_text(each.after.max_depth)}",
            )
            for each in self.layers
        ]
        other = ""
        if self.before_depths != (self.depth, self.first_layer_depth):
            depth, first = map(depth_text, self.before_depths)
            other = f"\nthe first file's certificate is for T = {depth} (first layer {first})"
        way = "looser" if self.loosened >= 0 else "tighter"
        gain = "fewer" if self.regained >= 0 else "more"
        return "\n".join(
            (
                format_table(headings, rows),
                "",
                f"at T = {depth_text(self.depth)} (first layer "
                f"{depth_text(self.first_layer_depth)}), weighted by MACs: the bound is "
                f"{abs(self.loosened):.2f} bits {way}, weights give up {abs(self.regained):.2f} "
                f"bits {gain}{other}",
            )
        )

    def _mean(self, figure: Callable[[LayerComparison], float]) -> float:
        total = sum(each.macs for each in self.layers)
        return sum(each.macs * figure(each) for each in self.layers) / total


def compare(before: Source, after: Source) -> Comparison:
    """Shows, layer by layer, what the bound costs two files of one network.

    Pruning makes blocks add up to less, so that weights give up less resolution, or lanes need
    fewer drains; this says by how much.

    Args:
      before: bytes of an int8 .tflite file, or its path.
      after: another file of the same network; blocks are those of its certificate.

    Raises:
      ModelFileError: not a model, or a damaged one.
      UnsupportedError: a file without int8 layers, or files of two networks.
      CertificateError: a file's own certificate differs from its codes.
    """
    contents = load_bytes(before), load_bytes(after)
    wanted = certify(contents[1])
    depths = wanted.depth, wanted.first_layer_depth
    bits, target = wanted.accumulator_bits, wanted.target
    own = certify(contents[0])
    certificates = (certify(contents[0], *depths, bits, target), wanted)
    layers = [int8_layers(read_model(content))[0] for content in contents]
    _check_alike(*certificates)
    figures = [
        [_figures(layer, proof, target) for layer, proof in zip(found, each.layers, strict=True)]
        for found, each in zip(layers, certificates, strict=True)
    ]
    rows = zip(wanted.layers, *figures, strict=True)
    compared = tuple(LayerComparison(each.name, each.macs, *pair) for each, *pair in rows)
    return Comparison(*depths, compared, (own.depth, own.first_layer_depth))


def _check_alike(before: Certificate, after: Certificate) -> None:
    if len(before.layers) != len(after.layers):
        raise UnsupportedError(
            f"the first file has {len(before.layers)} int8 layers, the second "
            f"{len(after.layers)}; give two files of one network"
        )
    for one, other in zip(before.layers, after.layers, strict=True):
        for what in ("kind", "channels", "products"):
            if getattr(one, what) != getattr(other, what):
                raise UnsupportedError(
                    f"layer {short_name(one.name)!r} has {what} {getattr(one, what)} in the first "
                    f"file, and {getattr(other, what)} in the second; give two files of one network"
                )


def _figures(layer: Int8Layer, proof: LayerCertificate, target: tuple[str, ...]) -> LayerFigures:
    codes = np.abs(layer.codes.astype(np.int64))
    largest = codes.max(axis=1)
    live = largest > 0
    split = layer.by_phase(layer.codes)[:, live]
    blocks = np.zeros(live.sum(), np.int64)
    for name in proof.layouts:
        if name in target:
            found = worst_case(split.reshape(-1, split.shape[-1]), LAYOUTS[name], proof.depth, 1)
            blocks = np.maximum(blocks, found.reshape(len(split), -1).max(axis=0))
    given_up = np.log2(CODES.weight_max / largest[live])
    depths = [
        NEVER_DRAINED if layout.never_drained else layout.max_depth
        for name, layout in proof.layouts.items()
        if name in target
    ]
    return LayerFigures(
        zeros=float(np.mean(codes == 0)),
        sum_bits=_mean(np.log2(np.maximum(blocks, 1)) + given_up),
        bits_given_up=_mean(given_up),
        width=layer.input_range[1] - layer.input_range[0],
        max_depth=min(depths, default=0),
    )


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else 0.0
