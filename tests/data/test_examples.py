"""Examples: chosen, and told apart by their digest."""

from __future__ import annotations

import hashlib

import pytest

from spk2loihi.data import Examples, examples_digest


def test_examples_take_and_select() -> None:
    examples = Examples(["a", "b", "c"], ["x", "y", "z"], [0, 1, 0])
    assert len(examples) == 3
    assert examples.take(2) == Examples(["a", "b"], ["x", "y"], [0, 1])
    assert examples.take(9) == examples
    assert examples.select([2, 0]) == Examples(["c", "a"], ["z", "x"], [0, 0])
    with pytest.raises(ValueError):
        examples.take(-1)
    with pytest.raises(ValueError):
        Examples(["a"], None, [0, 1])


def test_digests_tell_data_apart() -> None:
    examples = Examples(["a", "b"], None, [0, 1])
    digest = examples_digest(examples)
    expected = hashlib.sha256(b'["a", null, 0]\n["b", null, 1]\n').hexdigest()
    assert digest == {"examples": 2, "sha256": expected}
    assert examples_digest(Examples(["a", "b"], ["", ""], [0, 1])) != digest
    assert examples_digest(Examples(["a", "b"], None, [1, 1])) != digest
