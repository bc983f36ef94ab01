"""The model card of a student: what was measured in its training, and nothing else."""

from __future__ import annotations

from typing import Any

from spk2loihi.data import TaskSpec, formatted
from spk2loihi.data.metrics import Answer
from spk2loihi.training.checkpoint import Checkpoint

CARD_MARK = "<!-- made by spk2loihi -->"
"""In every card made here: one without it is somebody's own, and stays."""

_PIPELINES: dict[Answer, str] = {"tags": "token-classification"}
_TEXT = "text-classification"


def model_card(checkpoint: Checkpoint) -> str:
    """Contents of a `README.md` of the hub: metadata with the scores, then a page."""
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    spec, config, training = TaskSpec.from_dict(checkpoint.task), checkpoint.model.config, checkpoint.training
    pipeline = _PIPELINES.get(spec.answer, _TEXT)
    scored = training.get("scores", training.get("best")) or {}  # of older files the best evaluation was held out
    scores = {name: scored[name] for name in spec.metrics if name in scored}
    results = [
        EvalResult(pipeline, spec.name, spec.name, metric, round(value, 6), dataset_split="held-out")
        for metric, value in scores.items()
    ]
    data = ModelCardData(
        model_name=f"spiking student of {spec.name}",
        library_name="spk2loihi",
        pipeline_tag=pipeline,
        tags=["spiking-neural-network", "loihi", "spikingbert", config.preset],
        eval_results=results or None,
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_page(checkpoint, spec, pipeline, scores)}"))


def _page(checkpoint: Checkpoint, spec: TaskSpec, pipeline: str, scores: dict[str, float]) -> str:
    config, training = checkpoint.model.config, checkpoint.training
    teacher_scores = training.get("teacher_scores") or {}
    rows = [
        f"| {metric} | {formatted(value, metric)} | "
        f"{formatted(teacher_scores[metric], metric) if metric in teacher_scores else 'not measured'} |"
        for metric, value in scores.items()
    ]
    score_table = ["| held-out | student | teacher |", "|---|---|---|", *rows] if rows else ["Nothing was scored."]
    facts = {
        "teacher": training.get("teacher"),
        "teacher layers": training.get("teacher_layers"),
        "preset": config.preset,
        "layers, width, heads": f"{config.num_hidden_layers}, {config.hidden_size}, {config.num_attention_heads}",
        "T": config.timesteps,
        "bits of a weight": config.weight_bits,
        "longest sentence, tokens": config.max_tokens,
        "labels": ", ".join(spec.labels),
        "parameters": f"{sum(p.numel() for p in checkpoint.model.parameters()):,}",
        "seed": training.get("settings", {}).get("seed"),
        "training sentences": _examples(training, "train"),
        "validation sentences": _examples(training, "validation"),
        "held-out sentences": _examples(training, "held_out"),
        "versions": ", ".join(f"{name} {value}" for name, value in training.get("versions", {}).items()),
    }
    table = [f"| {name} | {value} |" for name, value in facts.items() if value not in (None, "")]
    return "\n".join(
        [
            f"# Spiking student of {spec.name}",
            "",
            CARD_MARK,
            "",
            "A network of spiking neurons, trained at its equilibrium with spk2loihi (the method of SpikingBERT, arXiv "
            "2308.10873). `spk2loihi export` makes integers of it, which run spike for spike in an emulator and in "
            "Lava, Intel's software for Loihi 2.",
            "",
            *score_table,
            "",
            f"The evaluation that was kept was chosen by {_chooses(training)}. The score is that of the quantised "
            "equilibrium in floats; nothing has run on a chip.",
            "",
            "| | |",
            "|---|---|",
            *table,
            "",
            *_feedback(training.get("feedback", [])),
            "```python",
            "from transformers import pipeline",
            "",
            "import spk2loihi.models.spiking_bert  # makes the architecture known to transformers",
            "",
            f'answer = pipeline("{pipeline}", model="this repository or folder")',
            "```",
            "",
            "```sh",
            "spk2loihi export OWNER/NAME -o model.net",
            'spk2loihi simulate --text "a sentence"',
            "```",
            "",
        ]
    )


def _chooses(training: dict[str, Any]) -> str:
    if training.get("chosen_on") == "validation":
        return "validation sentences, a part of the training data that nothing was trained on"
    return "the held-out sentences that score it"


def _feedback(report: list[dict[str, Any]]) -> list[str]:
    """A table of the layers' feedback, as `feedback_report` has it."""
    if not report:
        return []
    rows = [
        f"| {r['stage']} | {r['norm']:.3f} | {r['limit']:g} | {_solved(r['forward'])} | {_solved(r['backward'])} |"
        for r in report
    ]
    return [
        "Feedback: norm of its weights, and of all solves the mean number of evaluations, the largest relative "
        "residual at the end, and how many did not reach their tolerance.",
        "",
        "| stage | norm | at most | equilibrium | gradient |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def _solved(record: dict[str, Any]) -> str:
    if not record["solves"]:
        return "never solved"
    return (
        f"{record['mean_iterations']:.1f}, {record['largest_residual']:.1e}, "
        f"{record['unconverged']:,} of {record['solves']:,}"
    )


def _examples(training: dict[str, Any], part: str) -> int | None:
    count: int | None = training.get("manifest", {}).get("data", {}).get(part, {}).get("examples")
    return count
