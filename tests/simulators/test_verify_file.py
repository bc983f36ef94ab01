"""`verify_file`: the emulator beside stock Lava, and what it says where they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spk2loihi.errors import UserError
from spk2loihi.simulators import verify_file as module
from spk2loihi.simulators.run_file import emulate
from spk2loihi.simulators.verify_file import verify_file
from support.netx_files import binary, dense, inputs, neuron, write_netx

LAYERS, STEPS = 2, 10


@pytest.fixture
def network(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    return write_netx(
        tmp_path / "chain.net",
        inputs(6),
        dense(rng.integers(-60, 90, (5, 6)), neuron=neuron(threshold=30)),
        dense(rng.integers(-60, 90, (4, 5)), neuron=neuron(900, 0, 60)),
    )


@pytest.fixture
def spikes() -> np.ndarray:
    return binary(np.random.default_rng(1), 2, 6, STEPS)


def test_equal(network: Path, spikes: np.ndarray) -> None:
    pytest.importorskip("lava", reason="lava-nc and lava-dl need Python 3.10")
    result = verify_file(network, spikes, reset_interval=4, state_steps="3:9:5")
    assert result.equal and result.first_mismatch is None
    assert result.state_steps == [3, 8]
    assert result.compared == 2 * (5 + 4) * (STEPS + 2 * 2)  # s in every step; u and v in two
    assert (result.layers, result.samples, result.steps) == ([1, 2], 2, STEPS)
    assert result.messages > 0


def test_the_first_mismatch(network: Path, spikes: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Earliest in time, whatever layer; a wrong state counts like a wrong message."""

    def wrong(given: Any, record: Any, rows: list[int], all_messages: bool) -> Any:
        assert all_messages
        arrays, _ = emulate(given, record, list(range(STEPS)))
        arrays = {name: array if name.endswith("/s") else array[..., rows] for name, array in arrays.items()}
        arrays["1/s"][0, 2, 7] += 5
        arrays["2/u"][1, 3, 1] += 1
        return arrays, None

    monkeypatch.setattr(module, "run_lava", wrong)
    result = verify_file(network, spikes, state_steps="2:7:2")
    assert not result.equal and result.mismatches == 2
    assert result.first_mismatch is not None
    where = {key: result.first_mismatch[key] for key in ("layer", "what", "step", "sample", "neuron")}
    assert where == {"layer": 2, "what": "u", "step": 4, "sample": 1, "neuron": [3]}
    assert result.first_mismatch["cpu"] == result.first_mismatch["emulator"] + 1


def test_nothing_to_compare(network: Path, spikes: np.ndarray) -> None:
    with pytest.raises(UserError, match="2 samples of 0 steps"):
        verify_file(network, spikes[..., :0])
