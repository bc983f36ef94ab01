"""What the teacher costs: multiply-accumulates of a BERT encoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from spk2loihi.data import Encoded


def teacher_macs(shape: dict[str, Any] | None, encoded: list[Encoded]) -> float | None:
    """Mean multiply-accumulates a sentence of a BERT with ``shape`` {layers, hidden, intermediate, labels}.

    Per layer and sentence of L tokens: L (4 d^2 + 2 d f) for the linear maps and 2 L^2 d for the attention products;
    then pooler and classifier. None where the shape is not known.
    """
    if shape is None:
        return None
    tokens = np.array([len(e) for e in encoded], dtype=np.float64)
    d, f = shape["hidden"], shape["intermediate"]
    layer = tokens * (4 * d * d + 2 * d * f) + 2 * tokens**2 * d
    return float((shape["layers"] * layer + d * d + d * shape["labels"]).mean())
