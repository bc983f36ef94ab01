"""Seconds from the SynOps of the busiest core."""

from __future__ import annotations

from typing import Any

import pytest

from spk2loihi.energy import Steps, estimate_time
from spk2loihi.energy.pilotnet_bound import BUSIEST_CORE, STEP_S, SYNOP_S
from spk2loihi.energy.step_time import FLOOR_S
from spk2loihi.simulators.counters import StageOps


def timed(stages: list[StageOps], steps: Steps, cores: dict[str, int], **options: Any) -> dict[str, Any]:
    found = estimate_time(stages, 2, steps, cores, "board", **options)
    assert found is not None
    return found


def test_the_measured_run_takes_the_measured_time() -> None:
    layers = [StageOps("busy", "linear", synops=int(2 * 3 * 16 * BUSIEST_CORE)), StageOps("idle", "linear", synops=2)]
    time = timed(layers, Steps(16, 16), {"busy": 3, "idle": 1})
    assert time["seconds"] == pytest.approx(16 * STEP_S)
    assert time["samples_per_second"] == pytest.approx(408.91)
    assert time["busiest"] == {"stage": "busy", "cores": 3, "synops_per_step": BUSIEST_CORE}
    assert time["within"]


def test_depths_that_take_turns_take_the_time_of_each() -> None:
    load = 2 * 4 * 1_000_000  # of 2 samples over 4 steps
    layers = [StageOps("a", "linear", synops=load), StageOps("b", "scores", attention_synops=3 * load)]
    steps = Steps(9, 9, window=4, depths={"a": 1, "b": 2})
    time = timed(layers, steps, {"a": 1, "b": 1})
    assert time["seconds"] == pytest.approx(4 * 1_000_000 * SYNOP_S * (1 + 3) + FLOOR_S)
    assert time["seconds_high"] == pytest.approx(4 * 1_000_000 * SYNOP_S * (1 + 3) + STEP_S)
    assert time["busiest"]["stage"] == "b"


def test_an_idle_network_is_as_fast_as_the_floor_and_outside_the_trusted_range() -> None:
    time = timed([StageOps("a", "linear", synops=2)], Steps(10, 5), {"a": 1})
    assert time["seconds"] == pytest.approx(10 * FLOOR_S)
    assert time["samples_per_second"] == pytest.approx(1 / (5 * FLOOR_S))
    assert not time["within"]
    assert time["seconds_high"] == pytest.approx(10 * STEP_S)


def test_a_given_step_replaces_the_estimate() -> None:
    time = timed([StageOps("a", "linear", synops=2)], Steps(10, 5), {"a": 1}, step_us=100)
    assert (time["seconds"], time["seconds_high"]) == (pytest.approx(1e-3), pytest.approx(1e-3))
    assert time["samples_per_second"] == time["samples_per_second_low"] == pytest.approx(2000)


def test_without_a_partition_there_is_no_time() -> None:
    assert estimate_time([StageOps("a", "linear", synops=2)], 1, Steps(1, 1), {"a": 0}, "board") is None
