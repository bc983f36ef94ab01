"""Grades of evidence of the processes a graph is made of."""

from __future__ import annotations

import importlib

import pytest

from spk2loihi.chip import build_graph
from spk2loihi.chip.evidence import EVIDENCE, GRADES, evidence_of
from support.lava_networks import needs_lava
from support.streamed_networks import SLOTS, streamed_network


def test_every_process_of_a_graph_has_a_grade_and_a_source() -> None:
    graph = build_graph(streamed_network(), SLOTS, "chip")
    found = evidence_of(graph)
    adapters = len(graph.sources) + 1
    assert sum(n for _, n in found) == len(graph.processes) + len(graph.connections) + adapters
    assert [each.grade for each, _ in found][:2] == ["-", "A"]  # ReLU of drives alone has no evidence
    relu = [population.name for population in graph.populations if population.kind == "GradedReluVec"]
    assert found[0][1] == len(relu) and all(name.endswith(".drive") for name in relu)
    for each in EVIDENCE.values():
        assert each.grade in GRADES and all((each.process, each.shown, each.source, each.arithmetic))
        assert set(each.to_dict()) >= {"process", "grade", "source"}


def test_a_network_without_relu_has_processes_of_grade_a_alone() -> None:
    graph = build_graph(streamed_network(), SLOTS, "chip")
    assert {each.grade for each, _ in evidence_of(graph) if "Relu" not in each.process} == {"A"}


@needs_lava
@pytest.mark.parametrize("process", [each.process for each in EVIDENCE.values() if "embedded_io" not in each.process])
def test_they_are_lavas(process: str) -> None:
    module, name = process.rsplit(".", 1)
    assert getattr(importlib.import_module(module), name)
