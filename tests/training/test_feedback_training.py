"""Training with feedback: by either gradient, in which precision, what the report says, and after an interruption."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spk2loihi.models.feedback import spectral_bound
from spk2loihi.training.checkpoint import load_checkpoint
from spk2loihi.training.feedback_report import feedback_lines
from spk2loihi.training.model_card import model_card
from spk2loihi.training.settings import train_settings
from spk2loihi.training.train import train
from support.small_training import SMALL, spec_of
from support.tiny_task import TinyTask

FEEDBACK = replace(SMALL, feedback=0.5, epochs=2, batch_size=20, checkpoint_every="3")


def test_spikes_train_a_student_as_the_solver_does(tiny_task: TinyTask, tmp_path: Path) -> None:
    settings = replace(FEEDBACK, teacher=str(tiny_task.tuned))
    solved = train(spec_of(tiny_task), settings, tmp_path / "solver.pt").metrics
    spide = replace(settings, gradient="spide", gradient_steps=16)
    spiked = train(spec_of(tiny_task), spide, tmp_path / "spide.pt").metrics
    losses = {name: [each["loss"] for each in m["epochs"]] for name, m in (("solver", solved), ("spide", spiked))}
    assert losses["spide"][1] < losses["spide"][0]
    assert losses["spide"] != losses["solver"]
    assert losses["spide"] == pytest.approx(losses["solver"], rel=0.1)
    kept = load_checkpoint(tmp_path / "spide.pt")
    assert (kept.model.config.gradient, kept.model.config.gradient_steps) == ("spide", 16)
    further = train_settings(student=tmp_path / "spide.pt")
    assert (further.gradient, further.gradient_steps) == ("spide", 16)

    assert spiked == kept.training
    model = kept.model
    for i, layer in enumerate(model.encoder_layers()):
        for metrics, steps in ((solved, None), (spiked, 16)):
            r = metrics["feedback"][i]
            assert (r["stage"], r["limit"]) == (f"layer.{i}.value", 0.5)
            assert 0 < r["norm"] <= r["norm_bound"] * (1 + 1e-6) and r["norm"] <= 0.5
            forward, backward = r["forward"], r["backward"]
            assert backward["solves"] == metrics["stages"][-1]["evaluations"][-1]["step"] < forward["solves"]
            assert (forward["unconverged"], backward["unconverged"]) == (0, 0)
            assert forward["residual"] <= forward["largest_residual"] < 1.3e-4
            assert forward["trace"]["residuals"][-1] == forward["residual"]
            assert 1 < forward["mean_iterations"] <= forward["most_iterations"]
            assert steps is None or backward["mean_iterations"] == backward["most_iterations"] == steps
            assert (backward["largest_residual"] < 1.3e-4) == (steps is None)
        assert layer.feedback is not None
        weight = layer.feedback.weight().detach()
        assert r["norm"] == pytest.approx(float(torch.linalg.matrix_norm(weight, 2)))
        assert r["norm_bound"] == pytest.approx(float(spectral_bound(weight)))
    assert f"| layer.1.value | {r['norm']:.3f} | 0.5 | {forward['mean_iterations']:.1f}, " in model_card(kept)
    line = feedback_lines(spiked["feedback"])[1]
    assert line.startswith("layer.1.value: feedback of norm 0.") and "at most 0.5; equilibrium in " in line
    assert line.endswith(f"0 of {backward['solves']} unconverged") and "gradient in 16.0 evaluations" in line


def test_counts_go_on_after_an_interruption(tiny_task: TinyTask, tmp_path: Path) -> None:
    settings = replace(FEEDBACK, teacher=str(tiny_task.tuned), epochs=1)
    whole = train(spec_of(tiny_task), settings, tmp_path / "whole.pt").metrics

    def stop(phase: str, step: int, values: Mapping[str, float]) -> None:
        if step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(spec_of(tiny_task), settings, tmp_path / "cut.pt", callbacks=[stop])
    resumed = train(spec_of(tiny_task), settings, tmp_path / "cut.pt", resume=True).metrics
    assert json.dumps(resumed["feedback"]) == json.dumps(whole["feedback"])


@pytest.mark.parametrize("option", [{"leak": 0.1}, {"feedback": 0.5}])
def test_auto_precision_rounds_no_rates_that_are_no_counts(
    option: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spk2loihi.training.processes.chosen_precision", lambda given: "bf16")
    assert SMALL.chosen_precision() == "bf16"  # as given
    assert replace(SMALL, precision="auto").chosen_precision() == "bf16"
    assert replace(SMALL, precision="auto", **option).chosen_precision() == "no"
    assert replace(SMALL, precision="bf16", **option).chosen_precision() == "bf16"
