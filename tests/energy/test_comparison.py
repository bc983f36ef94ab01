"""Like with like: no ratio of unlike energies, and ANNs that move their data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spk2loihi.energy import (
    BUILTIN_SETS,
    HOROWITZ_INT8,
    LOIHI1,
    AnnWork,
    Priced,
    price_network,
    ratio,
    traffic,
)
from spk2loihi.energy.comparison import baselines, compare
from support.energy_stages import SAMPLES, report, stages

WORK = AnnWork(1000.0, 4000.0, (100.0,))


def test_an_energy_with_memory_and_one_without_cannot_be_put_into_one_ratio() -> None:
    own = price_network(stages(), LOIHI1, SAMPLES, "rate")
    row, bare = baselines(WORK, None, list(BUILTIN_SETS.values()))["ann:horowitz-45nm-int8"]
    for one, other in ((own, bare), (bare, own)):
        with pytest.raises(ValueError, match="unlike"):
            ratio(one, other)
    with pytest.raises(ValueError, match="unlike"):
        compare(LOIHI1, {"synapse": 1.0}, own, "ann:horowitz-45nm-int8", row, bare, 1.0)
    assert ratio(own, Priced(own.nanojoules, "included", 0.0, 0.0)) == 1.0


def test_every_comparison_of_a_report_has_memory_on_both_sides_or_on_neither() -> None:
    own = replace(LOIHI1, name="own", memory="excluded")
    data = report(coefficient_sets=[own])
    for c in data["comparisons"]:
        baseline = data["per_sample"]["baselines"][c["baseline"]]
        assert c["memory"] == data["coefficients"][c["coefficients"]]["memory"] == baseline["memory"]
    assert {c["batch"] for c in data["comparisons"] if c["coefficients"] == "loihi1-davies2018"} == {1, 64}
    assert {c["batch"] for c in data["comparisons"] if c["coefficients"] == "own"} == {None}
    assert data["tally"]["total"] == len(data["comparisons"])


@pytest.mark.parametrize(
    ("weights", "home"),
    [(8192, "sram_8kB"), (8193, "sram_32kB"), (32_769, "sram_1MB"), (1 << 20, "sram_1MB"), ((1 << 20) + 1, "dram")],
)
def test_weights_are_read_once_a_batch_from_the_smallest_memory_that_holds_them(weights: int, home: str) -> None:
    for batch in (1, 64):
        assert traffic(AnnWork(1, weights, ()), 8, batch).weights == {home: weights / 8 / batch}
    assert traffic(AnnWork(1, weights, ()), 32, 1).weights.popitem()[1] == weights / 2


def test_activations_of_a_batch_are_written_and_read_once() -> None:
    work = AnnWork(1, 1, (128.0, 1000.0, 1e6))
    assert traffic(work, 8, 1).activations == {"sram_8kB": 2 * 1128 / 8, "sram_1MB": 2 * 1e6 / 8}
    assert traffic(work, 8, 64).activations == {"sram_8kB": 2 * 128 / 8, "sram_1MB": 2 * (1000 + 1e6) / 8}


def test_a_baseline_with_memory_is_its_arithmetic_and_its_traffic() -> None:
    rows = baselines(WORK, WORK, list(BUILTIN_SETS.values()))
    row, priced = rows["ann:horowitz-45nm-int8:horowitz-45nm-memory:batch-64"]
    assert row["parts_nJ"] == pytest.approx(
        {"arithmetic": 0.23, "weights": 10 * 500 / 64 / 1e3, "activations": 10 * 25 / 1e3}
    )
    assert priced.nanojoules == row["total_nJ"] == pytest.approx(sum(row["parts_nJ"].values()))
    assert row["label"] == "same-shape ANN, int8, batch 64"
    assert "teacher:horowitz-45nm-fp32:horowitz-45nm-memory:batch-1" in rows
    assert not any(key.startswith("teacher:horowitz-45nm-int8") for key in rows)


def test_dram_is_charged_at_its_cheap_end_and_its_range_is_kept() -> None:
    large = AnnWork(1.0, 1e7, ())
    _, priced = baselines(large, None, list(BUILTIN_SETS.values()))[
        "ann:horowitz-45nm-int8:horowitz-45nm-memory:batch-1"
    ]
    accesses = 1e7 / 8
    assert priced.nanojoules == priced.low == pytest.approx(1.3 * accesses, rel=1e-6)
    assert priced.high == pytest.approx(2.6 * accesses, rel=1e-6)


def test_arithmetic_whose_prices_contain_memory_gets_no_traffic_on_top() -> None:
    measured = replace(HOROWITZ_INT8, name="own", memory="included")
    rows = baselines(WORK, None, [measured, BUILTIN_SETS["horowitz-45nm-memory"]])
    assert list(rows) == ["ann:own"]
    assert rows["ann:own"][1].memory == "included"
