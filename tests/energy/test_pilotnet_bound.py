"""The price and the time of a SynOp on Loihi 2, derived again from Intel's run."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Any

import pytest

from spk2loihi.energy import LOIHI2_BOUND, derive_pilotnet_bound
from spk2loihi.energy.pilotnet_bound import BUSIEST_CORE, MEASURED, SYNOPS_PER_UPDATE
from spk2loihi.errors import UserError

needs_wheel = pytest.mark.skipif(sys.version_info >= (3, 11), reason="lava-dl needs Python 3.10")


@needs_wheel
def test_the_price_of_the_set_follows_from_the_emulators_counts_and_intels_watts() -> None:
    derived = derive_pilotnet_bound()
    assert derived.synops_per_step == MEASURED["emulator"]["synops_per_step"] == 36_315_366 / 16
    assert f"{derived.dynamic_pj:.1f}" == str(LOIHI2_BOUND.picojoules("synop")) == "30.1"
    assert f"{derived.total_pj:.1f}" == str(LOIHI2_BOUND.picojoules("synop_with_static")) == "45.7"
    assert derived.counter_ratio == pytest.approx(1, abs=0.01)  # a number read off a plot
    assert derived.neurons == MEASURED["emulator"]["neurons"]
    assert derived.synops_per_update == SYNOPS_PER_UPDATE
    assert (derived.busiest_layer, derived.busiest_core_synops) == (3, BUSIEST_CORE)
    assert f"{derived.step_us:.0f} {derived.synop_ns:.2f}" == "153 1.01"
    assert sum(derived.synops_by_layer.values()) == derived.synops_per_step


def test_intels_numbers_agree_with_each_other() -> None:
    frames = MEASURED["frames_per_second"]
    for part, millijoules in MEASURED["energy_per_frame_mJ"].items():
        assert MEASURED[f"{part}_power_W"] / frames * 1e3 == pytest.approx(millijoules, rel=1e-4)
    assert MEASURED["dynamic_power_W"] + MEASURED["static_power_W"] == pytest.approx(MEASURED["total_power_W"])
    assert sum(row["cores"] for row in MEASURED["cores"]) == 74


def test_without_lava_dl_one_sentence_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(UserError, match=r"lava-dl, which is not installed: use Python 3\.10 and pip install"):
        derive_pilotnet_bound()
