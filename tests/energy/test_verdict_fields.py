"""Every number in a sentence of the verdict is a value of one of the fields that the sentence names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from spk2loihi import formatting as fmt
from spk2loihi.energy import LOIHI2_BOUND, Coefficient, Steps, estimate_time
from spk2loihi.energy.encodings import EncodedRun, compare_encodings
from spk2loihi.simulators.counters import StageOps
from support.energy_stages import SAMPLES, SUMMARY, report, stages

_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_FORMS = (
    fmt.energy, fmt.duration, fmt.count, fmt.significant, fmt.share,
    lambda v: fmt.score(v, "accuracy"), lambda v: fmt.score(v, "pearson"),
    str, lambda v: f"{v:g}", lambda v: f"{v:.2f}", lambda v: f"{abs(v):.1f}",
)  # fmt: skip


def cases() -> Iterator[Any]:
    cores = {ops.name: 1 for ops in stages()}
    time = estimate_time(stages(), SAMPLES, Steps(49, 49), cores, "kapoho-point")
    given = estimate_time(stages(), SAMPLES, Steps(49, 49), cores, "kapoho-point", step_us=12.5)
    runs = [EncodedRun("rate", stages(), 49, time), EncodedRun("graded", stages()[:2], 4, time)]
    fits = {
        "board": "kapoho-point", "fits": True, "cores": 440, "cores_available": 1024, "chips": 4, "chips_available": 8,
        "refused": [],
    }  # fmt: skip
    verification = {"samples": 8, "spikes_compared": 107_400_208, "mismatches": 0}
    yield pytest.param(
        {
            "encodings": compare_encodings(runs, SAMPLES, [LOIHI2_BOUND]), "time": time, "fit": fits,
            "verification": verification,
        },
        id="everything",
    )  # fmt: skip
    synop = Coefficient("synop", 1.7, "pJ", "s", "h", 0.2, 9.0)
    own = replace(LOIHI2_BOUND, name="own-7", coefficients=(synop,))
    refused = {**fits, "fits": False, "refused": ["layer.3.query"]}
    yield pytest.param({"time": given, "fit": refused, "coefficient_sets": [own]}, id="own prices, own step, no fit")
    graded = {**SUMMARY, "encoding": "graded", "steps": 1}
    yield pytest.param(
        {"network_summary": graded, "accuracy": None, "verification": {**verification, "mismatches": 3}}, id="graded"
    )
    yield pytest.param({"stages": [StageOps("all", "linear", neurons=10, dense=1000)], "teacher": None}, id="silent")


@pytest.mark.parametrize("changes", list(cases()))
def test_numbers_of_the_verdict_are_values_of_their_fields(changes: dict[str, Any]) -> None:
    data = report(**changes)
    assert len(data["verdict"]) == len(data["verdict_fields"])
    for sentence, fields in zip(data["verdict"], data["verdict_fields"], strict=True):
        assert fields, sentence
        allowed = {number for field in fields for number in _numbers(_value(data, field))}
        assert set(_NUMBER.findall(_named(sentence))) <= allowed, sentence


def _value(data: Any, pointer: str) -> Any:
    for key in pointer.split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        data = data[int(key)] if isinstance(data, list) else data[key]
    return data


def _named(sentence: str) -> str:
    """Without the chip's name and its board's."""
    return sentence.replace("Loihi 2", "")


def _numbers(value: Any) -> set[str]:
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    texts = [form(value) for form in _FORMS] if numeric else [str(value)]
    return {number for text in texts for number in _NUMBER.findall(text)}
