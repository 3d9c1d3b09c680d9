# SPDX-License-Identifier: Apache-2.0
"""Prove what an int8 .tflite file's layers need, from the codes in the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from oaq_keras import accumulator
from oaq_keras.certificate import (
    METADATA,
    TARGETS,
    Certificate,
    LayerCertificate,
    LayoutCertificate,
    SkippedLayer,
)
from oaq_keras.errors import CertificateError, UnsupportedError
from oaq_keras.flatbuffer import Model, Source, get_metadata, read_model, set_metadata, write_model
from oaq_keras.int8_layers import Int8Layer, int8_layers
from oaq_keras.layouts import BROADCAST, LAYOUTS
from oaq_keras.tables import short_name

DEPTH = 16
FIRST_LAYER_DEPTH = 4
ACCUMULATOR_BITS = 16

# Products up to which kernels spread output channels over lanes instead of products.
_BROADCAST_PRODUCTS = 64

_APPLIES = {
    "CONV_2D": ("c8", "c4"),
    "FULLY_CONNECTED": ("c8", "c4"),
    "DEPTHWISE_CONV_2D": ("channel",),
}


def certify(
    model: Source,
    depth: int | None = None,
    first_layer_depth: int | None = None,
    accumulator_bits: int | None = None,
    target: Sequence[str] | None = None,
) -> Certificate:
    """Prove, layer by layer, that lanes of `accumulator_bits` hold `depth` products.

    A layer that does not fit is reported as not proven; that is no error. Where the file holds a
    certificate, every field of it is recomputed and compared first, and its settings are the
    defaults of the arguments.

    Args:
      model: bytes of a .tflite file, or its path.
      depth: products a lane adds between two drains; 16 by default.
      first_layer_depth: the same for the first layer that reads the model's input; 4 by default.
      accumulator_bits: width of a lane; 16 by default.
      target: lane layouts to prove, some of c8, c4 and channel; all by default.

    Returns:
      The certificate; `proven` says whether every layer fits, `str()` is a table.

    Raises:
      ModelFileError: not a model, or a damaged one; names the tensor.
      UnsupportedError: the model has no int8 layers.
      CertificateError: the file's own certificate is malformed, or differs from the codes.
    """
    parsed = read_model(model)
    layers, skipped = int8_layers(parsed)
    if not layers:
        raise UnsupportedError(_no_layers(skipped))
    text = get_metadata(parsed, METADATA)
    stored = None if text is None else Certificate.from_json(text)
    given = (depth, first_layer_depth, accumulator_bits, target)
    if stored is not None:
        recomputed = _certificate(
            layers,
            skipped,
            stored.depth,
            stored.first_layer_depth,
            stored.accumulator_bits,
            stored.target,
            stored.policy,
        )
        _compare(stored, recomputed)
        if all(value is None for value in given):
            return recomputed
    return _certificate(
        layers,
        skipped,
        *(
            value if value is not None else getattr(stored, name, default)
            for value, name, default in zip(
                given,
                ("depth", "first_layer_depth", "accumulator_bits", "target"),
                (DEPTH, FIRST_LAYER_DEPTH, ACCUMULATOR_BITS, TARGETS),
                strict=True,
            )
        ),
    )


def attach_certificate(model: Source, certificate: Certificate) -> bytes:
    """The model with the certificate as its metadata, replacing any that it had.

    Raises:
      ModelFileError: not a model.
    """
    parsed = read_model(model)
    set_metadata(parsed, METADATA, certificate.to_json().encode())
    return write_model(parsed)


def _no_layers(skipped: Sequence[SkippedLayer]) -> str:
    if not skipped:
        return "the model has no convolution or fully connected layer; there is nothing to prove"
    return (
        f"the model has no int8 layers: all {len(skipped)} convolutions and fully connected layers "
        f"are of another type ({short_name(skipped[0].name)}: {skipped[0].reason}); convert it with int8 "
        "inputs, weights and outputs, for example by oaq_keras.post_training_quantize"
    )


def _certificate(
    layers: Sequence[Int8Layer],
    skipped: Sequence[SkippedLayer],
    depth: int,
    first_layer_depth: int,
    accumulator_bits: int,
    target: Sequence[str],
    policy: str = "proven",
) -> Certificate:
    if depth < 1 or first_layer_depth < 1:
        raise ValueError(
            f"depth is {depth} and first_layer_depth {first_layer_depth}; both are 1 or more"
        )
    if isinstance(target, str) or not target or not set(target) <= set(TARGETS):
        raise ValueError(f"target is {target!r}; expected some of {', '.join(TARGETS)}")
    return Certificate(
        depth=depth,
        first_layer_depth=first_layer_depth,
        accumulator_bits=accumulator_bits,
        target=tuple(target),
        layers=tuple(
            _layer(layer, first_layer_depth if layer.first else depth, accumulator_bits, target)
            for layer in layers
        ),
        skipped=tuple(skipped),
        policy=policy,
    )


def _layer(
    layer: Int8Layer, depth: int, accumulator_bits: int, target: Sequence[str]
) -> LayerCertificate:
    channels, products = layer.codes.shape
    width = layer.input_range[1] - layer.input_range[0]
    proofs = {
        name: accumulator.prove(layer.codes, LAYOUTS[name], depth, width, accumulator_bits)
        for name in _APPLIES[layer.kind]
        if name in target
    }
    # Where no target layout applies nothing is proven, though nothing speaks against it either.
    safe = [proof.proven for proof in proofs.values()]
    whole = [proof.never_drained for proof in proofs.values()]
    proven_channels = sum(map(all, zip(*safe, strict=True)))
    never_drained_channels = sum(map(all, zip(*whole, strict=True)))
    if layer.kind != "DEPTHWISE_CONV_2D" and products <= _BROADCAST_PRODUCTS:
        proof = accumulator.prove(layer.codes, BROADCAST, depth, width, accumulator_bits)
        if proof.never_drained.all():
            proofs[BROADCAST.name] = proof
    return LayerCertificate(
        subgraph=layer.subgraph,
        op=layer.op,
        name=layer.name,
        kind=layer.kind,
        macs=layer.macs,
        channels=channels,
        products=products,
        input_range=layer.input_range,
        depth=depth,
        first=layer.first,
        proven=bool(safe) and proven_channels == channels,
        proven_channels=proven_channels,
        never_drained_channels=never_drained_channels,
        layouts={name: _layout(proof, accumulator_bits) for name, proof in proofs.items()},
    )


def _layout(proof: accumulator.LayoutProof, accumulator_bits: int) -> LayoutCertificate:
    worst = int(proof.worst_case.max())
    pairs = proof.pair_worst_case
    return LayoutCertificate(
        share=proof.share,
        worst_case=worst,
        headroom=round(float(accumulator.headroom(worst, accumulator_bits)), 4),
        max_depth=int(proof.max_depth.min()),
        never_drained=bool(proof.never_drained.all()),
        proven_channels=int(proof.proven.sum()),
        never_drained_channels=int(proof.never_drained.sum()),
        proven=bool(proof.proven.all()),
        pair_worst_case=None if pairs is None else int(pairs.max()),
    )


def _compare(stored: Certificate, recomputed: Certificate) -> None:
    """Refuse a certificate that differs from what the codes say."""
    for what, claimed, found in (
        ("layers", stored.layers, recomputed.layers),
        ("skipped layers", stored.skipped, recomputed.skipped),
    ):
        if len(claimed) != len(found):
            raise CertificateError(
                f"the certificate lists {len(claimed)} {what}, the file has {len(found)}; {_ADVICE}"
            )
    differing: list[str] = []
    message = ""
    for claim, layer in zip(
        (*stored.layers, *stored.skipped), (*recomputed.layers, *recomputed.skipped), strict=True
    ):
        difference = next(_differences(claim, layer), None)
        if difference is not None:
            differing.append(layer.name)
            message = message or f"layer {layer.name!r}: {difference}"
    if differing:
        raise CertificateError(f"{message}; {_ADVICE}", differing)


_ADVICE = "the file or its certificate was edited: do not trust it, certify the model again"


def _differences(claim: Any, found: Any, path: str = "") -> Iterator[str]:
    for key, value in vars(found).items():
        given = getattr(claim, key)
        if key == "layouts":
            if set(given) != set(value):
                yield f"the certificate has the layouts {sorted(given)}, the codes {sorted(value)}"
            for name in value.keys() & given.keys():
                yield from _differences(given[name], value[name], f"{name} ")
        elif abs(given - value) > 1e-4 if key == "headroom" else given != value:
            yield f"the certificate says {path}{key} {given}, the codes say {value}"
