"""Counts times coefficients."""

from __future__ import annotations

import pytest

from spk2loihi.energy import (
    BUILTIN_SETS,
    HOROWITZ_FP32,
    HOROWITZ_INT8,
    LOIHI1,
    Coefficient,
    CoefficientSet,
    network_energy,
    not_included,
    stage_energy,
)
from support.energy_stages import report, stages


def test_loihi_energy_is_counts_times_the_published_figures() -> None:
    energy = network_energy(stages(), LOIHI1)
    assert energy.synapse == pytest.approx(23.6 * (500_000 + 30_000 + 1000))
    assert energy.neuron == pytest.approx(
        81 * (12_800 + 25_600 + 3200 + 128) + 52 * (25_600 + 12_800 + 1600 + 264)
    )  # fmt: skip
    assert energy.routing == pytest.approx(1.7 * (3200 + 2000 + 50))
    assert energy.host == 0.0
    assert energy.total == pytest.approx(energy.synapse + energy.neuron + energy.routing)


@pytest.mark.parametrize(("coefficients", "add", "mac"), [(HOROWITZ_FP32, 0.9, 4.6), (HOROWITZ_INT8, 0.03, 0.23)])
def test_bare_arithmetic_charges_one_addition_a_synop_and_nothing_else(
    coefficients: CoefficientSet, add: float, mac: float
) -> None:
    assert network_energy(stages(), coefficients).total == pytest.approx(add * 531_000)
    assert network_energy(stages(), coefficients, "graded").total == pytest.approx(mac * 531_000)
    assert set(not_included(stages(), coefficients)) == {
        "neuron_active", "neuron_inactive", "spike", "host.embedding", "host.layernorm", "host.softmax",
    }  # fmt: skip


def test_host_operations_are_counted_but_not_priced_for_loihi() -> None:
    assert not_included(stages(), LOIHI1) == {"host.embedding": 800, "host.layernorm": 800, "host.softmax": 100}


def test_a_stage_prices_its_own_host_operations_where_the_set_knows_them() -> None:
    own = CoefficientSet(
        "own", "chip", "here", (Coefficient("synop", 1, "pJ", "s", "h"), Coefficient("host.softmax", 2, "nJ", "s", "h"))
    )
    assert stage_energy(stages()[2], own).host == pytest.approx(100 * 2000)
    assert "host.softmax" not in not_included(stages(), own)


def test_the_set_of_loihi_2_is_an_upper_bound_and_says_of_what() -> None:
    assert [name for name, s in BUILTIN_SETS.items() if s.bound] == ["loihi2-pilotnet-bound"]
    assert "PilotNet LIF" in BUILTIN_SETS["loihi2-pilotnet-bound"].scope
    for coefficients in BUILTIN_SETS.values():
        for c in coefficients.coefficients:
            assert all((c.unit, c.source, c.scope))
    assert any("Nobody has published the energy of a synaptic operation of Loihi 2" in c for c in report()["caveats"])
