"""Counters of netx and NIR files: against a count by hand, and against `run`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spk2loihi.errors import UserError
from spk2loihi.simulators.file_counters import count_file
from spk2loihi.simulators.run_file import run_file
from support.netx_files import FLATTEN, binary, conv, dense, dense_rec, inputs, neuron, sdnn, write_netx

STEPS, SAMPLES = 12, 2


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Stride, padding, dilation and groups in one convolution; a third of all weights are 0."""
    rng = np.random.default_rng(0)

    def sparse(*shape: int) -> np.ndarray:
        return rng.integers(-60, 90, shape) * rng.integers(0, 3, shape).clip(0, 1)

    kernel = {"stride": np.array([2, 1]), "padding": np.array([1, 2]), "dilation": np.array([1, 2]), "groups": 2}
    return write_netx(
        tmp_path / "chain.net",
        inputs(7, 6, 4),
        conv(sparse(6, 2, 3, 2), (9, 3, 6), neuron=neuron(threshold=30), **kernel),
        FLATTEN,
        dense(sparse(11, 162), neuron=neuron(900, 0, 60)),
        dense_rec(sparse(5, 11), sparse(5, 5), neuron=neuron(threshold=10)),
    )


def spikes(seed: int = 1) -> np.ndarray:
    return binary(np.random.default_rng(seed), SAMPLES, 7, 6, 4, STEPS)


def test_synops_by_hand(network: Path) -> None:
    """A convolution counts what a convolution of ones with "weight is not 0" sums up to."""
    given = spikes()
    run = run_file(network, given, record=["all"])
    counts = count_file(network, given)
    kernel = torch.from_numpy((read(network, "layer/1/weight") != 0).astype(float)).transpose(2, 3)  # (out, in, x, y)
    planes = torch.from_numpy(np.moveaxis(given != 0, -1, 1).reshape(-1, 7, 6, 4).astype(float)).permute(0, 3, 1, 2)
    met = torch.conv2d(planes, kernel, None, (1, 2), (2, 1), (2, 1), 2).sum()
    sent = run.arrays["1/s"].swapaxes(1, 3).reshape(SAMPLES, 162, STEPS).sum((0, 2))  # channel, y, x
    into_dense = sent @ (read(network, "layer/3/weight") != 0).sum(0)
    into_recurrent = run.arrays["3/s"].sum((0, 2)) @ (read(network, "layer/4/weight") != 0).sum(0)
    back = run.arrays["4/s"].sum((0, 2)) @ (read(network, "layer/4/weight_rec") != 0).sum(0)
    assert [ops.synops for ops in counts.stages] == [int(met), int(into_dense), int(into_recurrent + back)]
    assert run.synops is not None
    assert [ops.synops for ops in counts.stages] == [sum(run.synops[number]) for number in "134"]
    assert counts.stages[-1].synops > 0


def test_other_counters(network: Path) -> None:
    counts = count_file(network, spikes(), reset_interval=4)
    first, second, third = counts.stages
    assert [ops.name for ops in counts.stages] == ["layer 1 (conv)", "layer 3 (dense)", "layer 4 (dense_rec)"]
    assert (counts.samples, counts.steps, counts.frames) == (SAMPLES, STEPS, 3)
    assert first.dense == SAMPLES * 3 * 9 * 3 * 6 * 2 * 3 * 2
    assert (second.dense, third.dense) == (SAMPLES * 3 * 11 * 162, SAMPLES * 3 * (5 * 11 + 5 * 5))
    assert first.neurons == SAMPLES * 162 and first.active_updates == first.neurons * STEPS
    assert third.messages == int(run_file(network, spikes(), reset_interval=4).output.sum()) > 0
    assert counts.summary["encoding"] == "rate"
    assert (counts.summary["timesteps"], counts.summary["steps"], counts.summary["latency_steps"]) == (4, STEPS, 7)


def test_frames(network: Path, tmp_path: Path) -> None:
    """One answer a sample of spiking neurons, one a step of sigma-delta neurons, unless said otherwise."""
    assert count_file(network, spikes()).frames == 1
    assert count_file(network, spikes(), frame_steps=6).frames == 2
    first = dense(np.array([[3, -2], [1, 5]]), neuron=sdnn())
    file = write_netx(tmp_path / "sdnn.net", first, dense(np.array([[4, -1]]), neuron=sdnn()))
    counts = count_file(file, np.ones((1, 2, 5), int), message_bits=8)
    assert counts.frames == 5 and counts.summary["encoding"] == "graded"
    assert [ops.dense for ops in counts.stages] == [5 * 4, 5 * 2]


def test_nothing_to_count(network: Path) -> None:
    with pytest.raises(UserError, match="0 samples of 12 steps"):
        count_file(network, spikes()[:0])
    with pytest.raises(UserError, match="`frame_steps`"):
        count_file(network, spikes(), frame_steps=0)


def read(path: Path, name: str) -> np.ndarray:
    import h5py

    with h5py.File(path) as file:
        return np.asarray(file[name])
