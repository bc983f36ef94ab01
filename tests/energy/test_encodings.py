"""Rate beside graded."""

from __future__ import annotations

from spk2loihi.energy import LOIHI2_BOUND
from spk2loihi.energy.encodings import EncodedRun, compare_encodings
from spk2loihi.simulators.counters import StageOps
from support.energy_stages import report


def run(encoding: str, synops: int, steps: int) -> EncodedRun:
    return EncodedRun(encoding, [StageOps("a", "linear", messages=2, synops=synops)], steps, None)  # type: ignore[arg-type]


def test_the_encoding_that_costs_less_in_everything_is_chosen() -> None:
    data = compare_encodings([run("rate", 400, 609), run("graded", 200, 39)], 2, [LOIHI2_BOUND])
    assert data["choice"] == "graded"
    assert [r["synops"] for r in data["runs"]] == [200, 100]
    assert data["runs"][1]["energy_nJ"] == {"loihi2-pilotnet-bound": 100 * 30.1 / 1e3}
    text = report(encodings=data)["verdict"]
    assert any("on a Loihi 2, choose graded. Graded messages exist on Loihi 2 only." in s for s in text)


def test_none_is_chosen_where_the_costs_disagree() -> None:
    data = compare_encodings([run("rate", 100, 609), run("graded", 200, 39)], 2, [LOIHI2_BOUND])
    assert data["choice"] is None
    assert any("neither encoding is cheaper in all three" in s for s in report(encodings=data)["verdict"])


def test_a_streamed_network_has_nothing_to_compare() -> None:
    summary = {**report()["network"], "schedule": "streamed", "encoding": "graded"}
    assert any("graded messages only" in s for s in report(network_summary=summary)["verdict"])
