"""What a sweep says of a point, and of points beside each other."""

from __future__ import annotations

import pytest

from spk2loihi.errors import UserError
from spk2loihi.reporting.sweep_page import render_html
from spk2loihi.sweep.sweep_report import build_sweep
from support.sweep_records import CONTRACT, record, settling_record


def test_point_is_counts_times_prices() -> None:
    rate, graded = build_sweep([record(encoding="graded"), record()])["points"]
    assert (rate["encoding"], graded["encoding"]) == ("rate", "graded")
    assert set(rate) >= CONTRACT | {"rate_penalty"}
    assert rate["synops_per_sample"] == 160
    assert rate["t_times_density"] == pytest.approx(1.6)
    energy = rate["energy_per_sample_nJ"]
    assert energy["loihi1-davies2018"] == pytest.approx(
        (3200 * 23.6 + 50 * 81 + 10 * 52 + 400 * 1.7) / 20 / 1e3
    )  # fmt: skip
    assert energy["horowitz-45nm-int8"] == pytest.approx(3200 * 0.03 / 20 / 1e3)
    assert graded["energy_per_sample_nJ"]["horowitz-45nm-int8"] == pytest.approx(3200 * 0.23 / 20 / 1e3)
    assert rate["ann_energy_per_sample_nJ"]["horowitz-45nm-int8"] == pytest.approx(2000 * 0.23 / 20 / 1e3)


def test_settling_is_a_point_beside_its_windows() -> None:
    windowed = record()
    windowed["stages"][0]["host"] = {"gelu": 100}
    data = build_sweep([settling_record(), windowed])
    first, second = data["points"]
    assert (first["schedule"], first["stagger"], first["mean_latency_steps"]) == ("windowed", None, 609)
    assert (second["schedule"], second["stagger"]) == ("settling", 4)
    assert (second["latency_steps"], second["mean_latency_steps"]) == (164, 161.5)  # the slowest, and the average
    assert second["encoding"] == "rate"
    assert (first["host_elements_per_sample"], second["host_elements_per_sample"]) == (5, 15)
    assert [p["is_default"] for p in (first, second)] == [True, False]
    assert [p["on_front"] for p in (first, second)] == [True, True]
    assert second["energy_per_sample_nJ"]["horowitz-45nm-int8"] == pytest.approx(4160 * 0.03 / 20 / 1e3)  # additions
    said = next(sentence for sentence in data["verdict"] if sentence.startswith("Compared with windows"))
    assert "0.269 times the steps" in said and "1.30 times the SynOps" in said and "3.00 times the elements" in said
    assert any(line.startswith("Settling and windowed points of the rate") for line in data["caveats"])
    page = render_html(data)
    assert "settling" in page and ">164<" in page and ">162<" in page
    alone = build_sweep([record(), record(encoding="graded")])
    assert not any("ettling" in line for line in (*alone["verdict"], *alone["caveats"], render_html(alone)))


def test_a_windowed_default_that_settling_beats_says_so() -> None:
    beaten = build_sweep([record(), settling_record(score=0.81)])
    assert beaten["default"]["on_front"] is True  # fewer SynOps
    cheap = settling_record(score=0.81)
    cheap["stages"][0]["synops"] = 2000
    beaten = build_sweep([record(), cheap])
    assert beaten["default"]["on_front"] is False
    assert "(T = 16, 8 bits, rate, settling) beats it" in beaten["verdict"][1]


def test_default_configuration_is_found_and_judged() -> None:
    small = record("small.net", timesteps=8, latency_steps=305)
    alone = build_sweep([small])
    assert (alone["default"]["points"], alone["default"]["on_front"]) == ([], None)
    assert "not among the points" in alone["verdict"][1]
    beaten = build_sweep([small, record()])
    assert [p["is_default"] for p in beaten["points"]] == [True, False]
    assert beaten["default"]["on_front"] is False
    assert "is not on the front: (T = 8, 8 bits, rate) beats it" in beaten["verdict"][1]
    best = build_sweep([small, record(score=0.81)])
    assert best["default"]["on_front"] is True
    assert "(T = 16, 8 bits, rate) is on the front" in best["verdict"][1]
    other = build_sweep([record(preset="neurocore"), record(rate_penalty=1.0), record(bits=4)])
    assert other["default"]["points"] == []


def test_scores_of_other_sentences_do_not_compare() -> None:
    other = record("b.net")
    other["key"]["sentences"] = {"examples": 20, "sha256": "2"}
    with pytest.raises(UserError, match=r"a\.net and b\.net were run on different sentences"):
        build_sweep([record(), other])
