# SPDX-License-Identifier: Apache-2.0
"""Prove what an int8 .tflite file's layers need, from the codes in the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from oaq_keras import accumulator
from oaq_keras.associated_files import keep_associated_files
from oaq_keras.certificate import (
    METADATA,
    POLICY_METADATA,
    TARGETS,
    Certificate,
    LayerCertificate,
    LayoutCertificate,
    SkippedLayer,
)
from oaq_keras.errors import CertificateError, UnsupportedError
from oaq_keras.flatbuffer import Model, get_metadata, read_model, set_metadata, write_model
from oaq_keras.float_operators import float_operators
from oaq_keras.int8_layers import Int8Layer, int8_layers
from oaq_keras.layouts import BROADCAST, LAYOUTS, Layout
from oaq_keras.model_file import Source, load_bytes
from oaq_keras.tables import short_name

_DEFAULTS = Certificate(
    depth=16, first_layer_depth=4, accumulator_bits=16, target=TARGETS, layers=()
)

# Products up to which kernels spread output channels over lanes instead of products.
_BROADCAST_PRODUCTS = 64

_Entry = LayerCertificate | SkippedLayer

_APPLIES = {
    "CONV_2D": ("c8", "c4"),
    "FULLY_CONNECTED": ("c8", "c4"),
    "TRANSPOSE_CONV": ("c8", "c4"),
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
      first_layer_depth: the same for layers that read the model's input; 4 by default.
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
    in_float = tuple(str(each) for each in float_operators(parsed))
    given = {
        "depth": depth,
        "first_layer_depth": first_layer_depth,
        "accumulator_bits": accumulator_bits,
        "target": None if target is None else tuple(target),
    }
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    settings = _DEFAULTS
    if text is not None:
        settings = Certificate.from_json(text)
        recomputed = _prove(settings, layers, skipped)
        _compare(settings, recomputed)
        if not changes:
            return replace(recomputed, in_float=in_float)
    policy = "proven" if get_metadata(parsed, POLICY_METADATA) is None else "paper"
    proof = _prove(replace(settings, policy=policy, **changes), layers, skipped)
    return replace(proof, in_float=in_float)


def certified(
    model: bytes,
    *,
    depth: int,
    first_layer_depth: int,
    accumulator_bits: int,
    target: Sequence[str] | None = None,
) -> bytes:
    """The model with a certificate of these settings, which are those of `certify`.

    Raises:
      ModelFileError, UnsupportedError: as `certify`.
      CertificateError: a layer that does not fit; `layers` names all of them.
    """
    certificate = certify(model, depth, first_layer_depth, accumulator_bits, target)
    refused = [layer.name for layer in certificate.layers if not layer.proven]
    if refused:
        raise CertificateError(
            f"These layers do not fit {accumulator_bits} bits: {', '.join(refused)}. "
            "Nothing was written; ask for a smaller depth.",
            refused,
        )
    return attach_certificate(model, certificate)


def check_certificate(parsed: Model) -> None:
    """Recomputes the certificate in a model, where there is one, and compares.

    Raises:
      ModelFileError: a damaged model.
      CertificateError: the certificate is malformed, or differs from the codes.
    """
    text = get_metadata(parsed, METADATA)
    if text is not None:
        settings = Certificate.from_json(text)
        _compare(settings, _prove(settings, *int8_layers(parsed)))


def attach_certificate(model: Source, certificate: Certificate) -> bytes:
    """The model with the certificate as its metadata, replacing any that it had.

    Raises:
      ModelFileError: not a model.
      CertificateError: it is not the certificate of this model's codes.
    """
    given = load_bytes(model)
    parsed = read_model(given)
    set_metadata(parsed, METADATA, certificate.to_json().encode())
    check_certificate(parsed)
    return keep_associated_files(given, write_model(parsed))


def _no_layers(skipped: Sequence[SkippedLayer]) -> str:
    if not skipped:
        return "the model has no convolution or fully connected layer; there is nothing to prove"
    return (
        f"the model has no int8 layers: all {len(skipped)} convolutions and fully connected layers "
        f"are of another type ({short_name(skipped[0].name)}: {skipped[0].reason}); "
        "convert it with int8 inputs, weights and outputs, for example by "
        "oaq_keras.post_training_quantize"
    )


def _prove(
    settings: Certificate, layers: Sequence[Int8Layer], skipped: Sequence[SkippedLayer]
) -> Certificate:
    """A certificate of these layers with the depths, bits, target and policy of `settings`."""
    depths = (settings.depth, settings.first_layer_depth)
    if not all(type(depth) is int and depth >= 1 for depth in depths):
        raise ValueError(f"depth and first_layer_depth are {depths}; expected integers from 1")
    if not settings.target or not set(settings.target) <= set(TARGETS):
        raise ValueError(f"target is {settings.target}; expected some of {', '.join(TARGETS)}")
    return replace(
        settings,
        layers=tuple(_layer(layer, depths[layer.first], settings) for layer in layers),
        skipped=tuple(skipped),
    )


def _layer(layer: Int8Layer, depth: int, settings: Certificate) -> LayerCertificate:
    bits = settings.accumulator_bits
    channels, products = len(layer.codes), layer.products
    width = layer.input_range[1] - layer.input_range[0]
    proofs = {
        name: _prove_phases(layer, LAYOUTS[name], depth, width, bits)
        for name in _APPLIES[layer.kind]
        if name in settings.target
    }
    # Where no target layout applies nothing is proven, though nothing speaks against it either.
    safe = [proof.proven for proof in proofs.values()]
    whole = [proof.never_drained for proof in proofs.values()]
    proven_channels = sum(map(all, zip(*safe, strict=True)))
    never_drained_channels = sum(map(all, zip(*whole, strict=True)))
    if layer.kind != "DEPTHWISE_CONV_2D" and products <= _BROADCAST_PRODUCTS:
        proof = _prove_phases(layer, BROADCAST, depth, width, bits)
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
        layouts={name: _layout(proof, bits) for name, proof in proofs.items()},
    )


def _prove_phases(
    layer: Int8Layer, layout: Layout, depth: int, width: int, bits: int
) -> accumulator.LayoutProof:
    """What holds for a channel in every phase."""
    split = layer.by_phase(layer.codes)
    phases, channels, products = split.shape
    proof = accumulator.prove(split.reshape(-1, products), layout, depth, width, bits)
    each = (phases, channels)
    pairs = proof.pair_worst_case
    return accumulator.LayoutProof(
        share=proof.share,
        worst_case=np.max(proof.worst_case.reshape(each), axis=0),
        max_depth=np.min(proof.max_depth.reshape(each), axis=0),
        pair_worst_case=None if pairs is None else np.max(pairs.reshape(each), axis=0),
        proven=np.logical_and.reduce(proof.proven.reshape(each)),
        never_drained=np.logical_and.reduce(proof.never_drained.reshape(each)),
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
    claims: tuple[_Entry, ...] = (*stored.layers, *stored.skipped)
    facts: tuple[_Entry, ...] = (*recomputed.layers, *recomputed.skipped)
    if len(stored.layers) != len(recomputed.layers) or len(claims) != len(facts):
        raise CertificateError(
            f"the certificate lists {len(stored.layers)} int8 layers and {len(stored.skipped)} "
            f"others, the file has {len(recomputed.layers)} and {len(recomputed.skipped)}; "
            f"{_ADVICE}"
        )
    found = {
        fact.name: difference
        for claim, fact in zip(claims, facts, strict=True)
        if (difference := next(_differences(claim, fact), None)) is not None
    }
    if found:
        name, difference = next(iter(found.items()))
        raise CertificateError(f"layer {name!r}: {difference}; {_ADVICE}", tuple(found))


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
