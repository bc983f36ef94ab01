"""Resonate-and-fire neurons beside Lava."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.netx_files import assert_equal_to_lava, binary, complex_dense, dense, inputs, neuron, resonator, write_netx


@pytest.mark.slow
@pytest.mark.parametrize("kind", [b"RF", b"RF_PHASE"])
def test_resonators(tmp_path: Path, kind: bytes) -> None:
    """One resonance for the layer and one for each neuron, some of which do not turn; then spikes to a LIF layer."""
    rng = np.random.default_rng(17)
    weights = [rng.integers(-60, 70, (9, 5)) for _ in range(2)]
    each = np.array([0, 200, 900, -700, 4095, 2048, 1, 3333, 0]), np.array([4000, 4000, 3000, 2000, 0, -2048, 1, 99, 0])
    path = write_netx(
        tmp_path / "resonators.net",
        inputs(5),
        complex_dense(*weights, neuron=resonator(1701, 3333, 30, kind)),
        complex_dense(*(rng.integers(-120, 120, (9, 9)) for _ in range(2)), neuron=resonator(*each, 9, kind)),
        dense(rng.integers(-90, 99, (3, 9)), neuron=neuron(3000, 100, 20)),
    )
    spikes = assert_equal_to_lava(path, binary(rng, 5, 60))
    assert all(s.any() for s in spikes)
