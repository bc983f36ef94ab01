"""Students before training: the sizes of the network they become, and the figures of the guide."""

from __future__ import annotations

import math
from dataclasses import replace

from spk2loihi.fit import BOARDS, populations
from spk2loihi.fit.partition import partition
from spk2loihi.fit.population import Population, resized
from spk2loihi.fit.student_shape import StudentShape, shape_populations
from support.fit_layers import KAPOHO
from support.networks import tiny_network


def test_a_shape_has_the_sizes_of_the_real_network() -> None:
    real = populations(tiny_network())
    shape = StudentShape(layers=2, hidden=16, intermediate=32, heads=2, tokens=16, bits=8, timesteps=8)

    def sizes(p: Population) -> Population:  # weights apart
        return replace(p, inputs=tuple(replace(i, bits=8, existing=0) for i in p.inputs))

    assert [sizes(p) for p in shape_populations(shape)] == [sizes(p) for p in real]


def test_a_resized_network_is_the_network_of_that_size() -> None:
    small = StudentShape(layers=2, hidden=24, intermediate=96, heads=4, tokens=12)
    large = replace(small, hidden=48, intermediate=192, tokens=20, bits=5)
    assert resized(shape_populations(small), {24: 48, 96: 192}, 20, 5) == shape_populations(large)


def test_shapes_of_the_guide() -> None:
    """The default student, and SpikingBERT as published: the figures of docs/guide/fit.md."""
    default = shape_populations(StudentShape())
    assert sum(p.cores for p in partition(default, KAPOHO)) == 529
    assert sum(p.cores for p in partition(default, KAPOHO, "unrolled")) == 17_954
    assert sum(p.cores for p in partition(default, BOARDS["oheo-gulch"])) == 529
    published = shape_populations(StudentShape(layers=4, hidden=768, tokens=128))
    cores = {name: sum(p.cores for p in partition(published, BOARDS[name])) for name in ("kapoho-point", "hala-point")}
    assert cores == {"kapoho-point": 1339, "hala-point": 1339}
    assert math.ceil(1339 / BOARDS["hala-point"].cores_per_chip) == 11
    first = {p.population.name: p for p in partition(published, KAPOHO)}
    expected = {
        "query": 32, "key": 32, "value": 32, "score": 64, "context": 32, "attention_output": 32, "ffn_in": 128,
        "ffn_out": 32,
    }  # fmt: skip
    assert {name: first[f"layer.0.{name}"].cores for name in expected} == expected
    binding = {name: first[f"layer.0.{name}"].binding for name in expected}
    assert {name for name, b in binding.items() if b is not None and b.limit == "core_memory"} == {"ffn_out"}
    assert all(b is not None and b.limit in ("neuron_memory", "core_memory") for b in binding.values())
