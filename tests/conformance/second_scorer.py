"""A second reader of model files, written from FORMATS.md section 14 alone: the standard library, nothing of ours."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any


def inputs_of(model: dict[str, Any], row: dict[str, str | None]) -> list[int]:
    made: list[int] = []
    for feature in model["features"]:
        cell = row[feature["name"]]
        if feature["kind"] == "numeric":
            value = feature["missing"]
            if cell is not None:
                units = Decimal(cell).scaleb(feature["decimals"]).to_integral_value(ROUND_HALF_EVEN)
                value = (int(units) - feature["offset"] + feature["step"] // 2) // feature["step"]
                value = min(max(value, feature["low"]), feature["high"])
            made += [value] + [4096 * (cell is None)] * feature["gaps"]
        else:
            hit = [4096 * (cell == code) for code in feature["codes"]]
            made += hit + [4096 * (not any(hit))] * feature["gaps"]
    return made


def dot(weights: list[int], values: list[int]) -> int:
    return sum(a * b for a, b in zip(weights, values, strict=True))


def arrays(model: dict[str, Any]) -> tuple[bytes, tuple[int, ...], tuple[int, ...]]:
    data = {
        name: base64.b64decode(model["parameters"][name]) for name in ("features", "thresholds", "leaves")
    }
    return (
        data["features"],
        struct.unpack(f">{len(data['thresholds']) // 2}h", data["thresholds"]),
        struct.unpack(f">{len(data['leaves']) // 2}h", data["leaves"]),
    )


def scores_of(model: dict[str, Any], x: list[int]) -> list[int]:
    p = model["parameters"]
    if model["family"] == "linear":
        return [b + dot(w, x) for b, w in zip(p["biases"], p["weights"], strict=True)]
    if model["family"] == "perceptron":
        layer = zip(p["hidden_biases"], p["hidden_weights"], strict=True)
        hidden = [max(0, b + dot(w, x)) >> p["shift"] for b, w in layer]
        return [b + dot(w, hidden) for b, w in zip(p["biases"], p["weights"], strict=True)]
    features, thresholds, leaves = arrays(model)
    nodes, ends = 2 ** p["depth"] - 1, 2 ** p["depth"]
    scores, count = list(p["bases"]), len(features) // nodes
    for tree in range(count):
        node = 0
        for _ in range(p["depth"]):
            at = tree * nodes + node
            node = 2 * node + (2 if x[features[at]] > thresholds[at] else 1)
        scores[tree * len(scores) // count] += leaves[tree * ends + node - nodes]
    return scores


def label_of(model: dict[str, Any], scores: list[int]) -> str:
    if len(scores) == 1:
        return str(model["labels"][scores[0] >= model["threshold"]])
    return str(model["labels"][scores.index(max(scores))])


def words(values: list[int] | tuple[int, ...]) -> bytes:
    return struct.pack(f">{len(values)}h", *values) + bytes(-len(values) % 16 * 2)


def digest_of(model: dict[str, Any]) -> str:
    p, family = model["parameters"], model["family"]
    width = sum((len(f["codes"]) if f["kind"] == "category" else 1) + f["gaps"] for f in model["features"])
    heads = 1 if len(model["labels"]) == 2 else len(model["labels"])
    if family == "linear":
        scalars, body = [1, width, heads, *p["biases"]], b"".join(map(words, p["weights"]))
    elif family == "perceptron":
        scalars = [3, width, heads, len(p["hidden_biases"]), p["shift"], *p["biases"]]
        biases = b"".join(bias.to_bytes(32, "big", signed=True) for bias in p["hidden_biases"])
        body = b"".join(map(words, p["hidden_weights"])) + biases + b"".join(map(words, p["weights"]))
    elif p["depth"] > 4:
        return "0" * 64
    else:
        features, thresholds, leaves = arrays(model)
        nodes, ends = 2 ** p["depth"] - 1, 2 ** p["depth"]
        count, body = len(features) // nodes, b""
        for tree in range(count):
            own = list(thresholds[tree * nodes : (tree + 1) * nodes]) + [32767] * (15 - nodes)
            spread = [0] * 16
            spread[:: 16 // ends] = leaves[tree * ends : (tree + 1) * ends]
            body += words(own) + features[tree * nodes : (tree + 1) * nodes].ljust(32, b"\0") + words(spread)
        scalars = [2, width, heads, 4, count // heads, *p["bases"]]
    if len(body) > 8 * 24_480 or width > 256 or heads > 16 or len(p.get("hidden_biases", ())) > 256:
        return "0" * 64
    pieces = [b"".join(value.to_bytes(32, "big", signed=True) for value in scalars)]
    pieces += [body[at : at + 24_480] for at in range(0, len(body), 24_480)]
    return hashlib.sha256(b"".join(hashlib.sha256(piece).digest() for piece in pieces)).hexdigest()


def read(data: bytes) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(data)
    again = json.dumps(model, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if again != data or model["digest"] != digest_of(model):
        raise ValueError("not a model file")
    return model
