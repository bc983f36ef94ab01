"""What a report says of the network it measured."""

from __future__ import annotations

import numpy as np

from spk2loihi.energy.measure_energy import summarise_network
from spk2loihi.network.network import Embedding, Network, Stage, SynapseGroup
from spk2loihi.network.run_config import RunConfig, Timeline


def test_summary_of_a_network() -> None:
    weight = np.array([[1, 0], [3, -2]], np.int64)
    table = np.zeros((1, 2), np.int64)
    network = Network(
        timesteps=16,
        max_tokens=8,
        stages=(
            Stage("embedding", 0, 2, 1024),
            Stage(
                "readout",
                1,
                2,
                1,
                (SynapseGroup("embedding", weight, np.zeros(2, np.int64)),),
                tokens="first",
                fires=False,
            ),
        ),
        embedding=Embedding(table, table, table),
        tokenizer="{}",
        task={},
        config={"layers": 0},
    )
    windowed = summarise_network(Timeline(network, RunConfig(encoding="graded")))
    assert (windowed["encoding"], windowed["latency_steps"], windowed["synapses_per_token"]) == ("graded", 2, 3)
    pipelined = summarise_network(Timeline(network, RunConfig("pipelined", steps=64)))
    assert (pipelined["encoding"], pipelined["steps"], pipelined["latency_steps"]) == ("rate", 64, 65)
