"""Pictures: a small network in floating point, served as it is, and what may honestly be said of its answers.

scikit-learn's handwritten digits (8 x 8 pixels, in its wheel) train a network of 64-48-10. It is written as ONNX,
published as an opaque model and asked: every answer is stated, and says that nobody can compute it again.

    pip install 'tallystick[ai]' scikit-learn && python examples/image_digits.py
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from tallystick.models import OpaqueDescription, OpaqueModel, describe_onnx
from tallystick.node import Node

PIXELS = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
DIGITS = tuple("0123456789")


def to_onnx_file(network: MLPClassifier) -> bytes:
    """Write a fitted network of one hidden layer as ONNX: pixels 0 to 16 in, ten probabilities out."""
    weights = {
        "scale": np.array(16, np.float32),
        "w1": network.coefs_[0].astype(np.float32),
        "b1": network.intercepts_[0].astype(np.float32),
        "w2": network.coefs_[1].astype(np.float32),
        "b2": network.intercepts_[1].astype(np.float32),
    }
    nodes = [
        helper.make_node("Div", ["pixels", "scale"], ["x"]),
        helper.make_node("MatMul", ["x", "w1"], ["xw"]),
        helper.make_node("Add", ["xw", "b1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w2"], ["rw"]),
        helper.make_node("Add", ["rw", "b2"], ["z"]),
        helper.make_node("Softmax", ["z"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 64])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 10])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    made: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7
    ).SerializeToString()
    return made


def train() -> tuple[OpaqueModel, Any, Any]:
    """Fit the network; return it as an opaque model, and pictures that it has not seen with what they show."""
    pictures, shown = load_digits(return_X_y=True)
    seen, held_out, seen_shows, held_out_shows = train_test_split(
        pictures, shown, test_size=0.3, random_state=7, stratify=shown
    )
    network = MLPClassifier((48,), max_iter=60, random_state=7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 60 rounds are enough for an example
        network.fit(seen / 16, seen_shows)
    description = OpaqueDescription(
        name="digits", target="which digit a picture shows", labels=DIGITS, output="probabilities",
        columns=tuple(PIXELS),
    )  # fmt: skip
    return OpaqueModel(describe_onnx(to_onnx_file(network), description)), held_out, held_out_shows


def main() -> None:
    """Train, publish, ask."""
    model, held_out, shown = train()
    scored = model.score_many({"pixels": held_out.astype(np.float32)})
    right = sum(one.decision == str(digit) for one, digit in zip(scored, shown, strict=True))
    print(f"{right} of {len(shown)} held-out digits read right ({right / len(shown):.1%})")

    with (
        tempfile.TemporaryDirectory() as place,
        Node.init(
            Path(place) / "sorter",
            name="Sorting Centre",
            passphrase="an example",
            heads=Path(place) / "heads",
        ) as node,
    ):
        version = node.models.publish(model, "digits")
        print(f"published {version.label}, family {version.family}, file {version.hash[:12]}…")
        row = {name: f"{pixel:.0f}" for name, pixel in zip(PIXELS, held_out[0], strict=True)}
        answer = node.ask("digits", row)
        print(f"the picture shows {shown[0]}; the answer is {answer.decision} ({answer.probability:.1%})")
        print(f"stated as {answer.statement[:12]}… at level {answer.level}: {answer.words}")


if __name__ == "__main__":
    main()
