"""Headings of `--help`, and which option stands under which: a name means the same in every command."""

from __future__ import annotations

import click

#: Heading -> options without dashes. Within a heading the order of the command counts.
OPTION_GROUPS: dict[str, tuple[str, ...]] = {
    "Data": (
        "task", "data-dir", "train-file", "dev-file", "dataset", "text-column", "text-pair-column", "label-column",
        "metric", "corpus", "text", "samples",
    ),
    "Teacher": ("teacher", "teacher-epochs", "teacher-lr", "temperature", "hard-labels"),
    "Network": (
        "student", "preset", "layers", "hidden", "heads", "intermediate", "timesteps", "bits", "max-tokens", "leak",
        "feedback", "solver", "gradient", "gradient-steps", "from-networks",
    ),
    "How it runs": ("backend", "schedule", "encoding", "stagger", "arithmetic"),
    "Training": (
        "stage", "rate-penalty", "epochs", "steps", "batch-size", "accumulate", "lr", "average", "seed",
        "seeds", "precision", "validation-share", "evaluate-every", "early-stop", "checkpoint-every", "log-with",
        "resume",
    ),
    "Processes": ("jobs", "workers", "scheduler"),
    "Other netx and NIR files": (
        "input", "input-steps", "num-layers", "message-bits", "reset-interval", "reset-offset", "spike-exp",
        "transform", "dt", "scales", "exact", "record", "record-steps", "state-steps", "frame-steps",
    ),
    "Board and prices": ("board", "step-us", "coefficients", "derive", "strict"),
    "Output": ("out", "bundle", "json", "force"),
    "Every command": ("config", "quiet", "verbose", "help"),
}  # fmt: skip


def option_name(option: click.Option) -> str:
    """Its longest name, without dashes."""
    return max(option.opts, key=len).lstrip("-")


def heading(option: click.Option) -> str:
    """Of the group it stands in."""
    return next(title for title, names in OPTION_GROUPS.items() if option_name(option) in names)
