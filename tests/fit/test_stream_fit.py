"""Streamed networks on a board: populations cut into cores, by the synapses they have."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import spk2loihi as s2l
from spk2loihi.analysis.spiking_network import SpikingNetwork
from spk2loihi.chip import build_graph
from spk2loihi.chip.process_graph import SparseWeight
from spk2loihi.errors import UserError
from spk2loihi.fit import BOARDS, Board, check_stream_fit
from spk2loihi.fit.rules import list_words
from spk2loihi.fit.stream_fit import cut_graph
from spk2loihi.fit.student_shape import StudentShape, shape_network
from support.networks import tiny_network

BOARD = BOARDS["kapoho-point"]


def limited(**values: int) -> Board:
    limits = {name: replace(limit, value=values.get(name, limit.value)) for name, limit in BOARD.limits.items()}
    return Board("small", BOARD.chips, limits)


def test_every_core_holds_what_its_limits_allow() -> None:
    board = limited(neurons=20, synaptic_memory=150, core_memory=400)
    graph = build_graph(tiny_network(preset="stock"), 6, "chip")
    cut = cut_graph(graph, board)
    assert [one.population.name for one in cut] == [p.name for p in graph.populations if p.kind != "RingBuffer"]
    assert {one.breach.limit for one in cut if one.breach} >= {"neurons", "synaptic_memory"}
    for one in cut:
        assert all(n <= board.limits[name].value for name, n in one.used.items()), one
        assert one.cores * math.ceil(one.population.size / one.cores) >= one.population.size
        assert (one.breach is None) == (one.cores == 1)


def test_synaptic_memory_is_that_of_the_lists_a_core_keeps() -> None:
    graph = build_graph(tiny_network(preset="stock"), 5, "chip")
    for one in cut_graph(graph, limited(neurons=10**6)):
        if one.cores != 1:
            continue
        words = 0
        for connection in graph.connections:
            weight = connection.weight
            if connection.target != one.population.name:
                continue
            if isinstance(weight, SparseWeight):
                sizes = np.unique(weight.columns, return_counts=True)[1].tolist()
                magnitudes = np.abs(weight.values).astype(int)
                shift = min((int(m & -m).bit_length() - 1) for m in magnitudes)
                mixed = weight.values.min() < 0 < weight.values.max()
                bits = max(1, (int(magnitudes.max()) >> shift).bit_length() + mixed)
                words += sum(list_words(n, bits, sparse=True) for n in sizes)
            else:
                words += weight.shape[1] * list_words(weight.shape[0], 8, sparse=True)
        assert one.used["synaptic_memory"] == words, one.population.name


def test_what_does_not_fit_says_why() -> None:
    report = check_stream_fit(tiny_network(preset="stock"), limited(fan_in=3), 5)
    assert not report["fits"] and report["refused"]
    assert {refused["limit"] for refused in report["refused"]} == {"fan_in"}
    few = replace(BOARD, chips=1, limits=limited(neurons=5, cores=3).limits)
    assert not check_stream_fit(tiny_network(preset="stock"), few, 5)["fits"]


def test_a_stage_has_its_populations_and_slots_cost_cores() -> None:
    network = tiny_network(preset="stock")
    net = SpikingNetwork(network)
    few, many = (s2l.fit(net, limited(neurons=30), tokens=n).to_dict() for n in (4, 16))
    assert [layer["name"] for layer in few["layers"]] == [stage.name for stage in network.stages]
    for report in (few, many):
        assert report["cores"] == sum(p["cores"] for layer in report["layers"] for p in layer["populations"])
        assert report["neurons"] == sum(p["neurons"] for layer in report["layers"] for p in layer["populations"])
        assert report["period_steps"] == 2 * report["slots"] - 1
    assert few["cores"] < many["cores"] and few["latency_steps"] < many["latency_steps"]
    assert {each["grade"] for each in few["processes"]} == {"A", "-"}
    with pytest.raises(UserError, match="`tokens` is 17, but the network takes at most 16"):
        s2l.fit(net, tokens=17)


def test_a_student_before_training_has_the_graph_of_a_trained_one() -> None:
    shape = StudentShape("stock", layers=2, hidden=16, heads=2, intermediate=32, tokens=6)
    sized, trained = build_graph(shape_network(shape), 6, "chip"), build_graph(tiny_network(preset="stock"), 6, "chip")
    assert [(p.name, p.kind, p.size) for p in sized.populations] == [
        (p.name, p.kind, p.size) for p in trained.populations
    ]
    assert sized.synapses >= trained.synapses
    assert s2l.fit(preset="stock", layers=2, hidden=16, heads=2, tokens=6).fits
