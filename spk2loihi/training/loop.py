"""The optimisation loop shared by fine-tuning a teacher and distilling a student."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spk2loihi.data import Encoded, TokenBatch, collate, length_sorted_batches, score
from spk2loihi.errors import UserError
from spk2loihi.files import write_atomically
from spk2loihi.progress import progress_bar
from spk2loihi.training.checkpoint import load_tensors

_WARM_UP = 0.1  # share of the steps over which the learning rate rises
_MAX_GRADIENT_NORM = 1.0
_WEIGHT_DECAY = 0.01


@dataclass
class LabelledData:
    """Tokenised sentences with their labels (N,)."""

    encoded: list[Encoded]
    labels: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.array([len(e) for e in self.encoded], dtype=np.int64)


@dataclass
class LoopSettings:
    epochs: int
    batch_size: int
    learning_rate: float
    threshold_learning_rate: float  # of the logarithms of thresholds
    seed: int
    pad_id: int


def device() -> torch.device:
    """The user's GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def model_inputs(batch: TokenBatch, on: torch.device) -> dict[str, Tensor]:
    """Arguments of a Hugging Face forward pass, (B, L) each."""
    return {
        "input_ids": torch.from_numpy(batch.input_ids).to(on),
        "attention_mask": torch.from_numpy(batch.mask.astype(np.int64)).to(on),
        "token_type_ids": torch.from_numpy(batch.token_type_ids).to(on),
    }


@torch.no_grad()
def predict(model: nn.Module, data: list[Encoded], pad_id: int, batch_size: int = 64) -> NDArray[np.float32]:
    """Logits (N, labels) in the order of ``data``."""
    model.eval()
    on = next(model.parameters()).device
    rows: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(data)
    for index in length_sorted_batches(np.array([len(e) for e in data]), batch_size):
        logits = model(**model_inputs(collate([data[i] for i in index], pad_id), on)).logits
        for i, row in zip(index, logits.float().cpu().numpy(), strict=True):
            rows[i] = row
    return np.stack(rows)


def evaluate(model: nn.Module, data: LabelledData, metric: str, pad_id: int) -> float:
    return score(metric, predict(model, data.encoded, pad_id).argmax(-1), data.labels)


def run(
    model: nn.Module,
    loss_of: Callable[[dict[str, Tensor], Tensor], Tensor],
    train: LabelledData,
    held_out: LabelledData,
    metric: str,
    settings: LoopSettings,
    *,
    what: str,
    resume: Path | None = None,
    fresh: bool = True,
    fingerprint: str = "",
    report: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """Train ``model`` in place with AdamW and leave it at its best epoch on the held-out score.

    Args:
        loss_of: loss of a batch (model inputs, labels).
        resume: file that holds the state after every epoch; a run with ``fresh=False`` continues from it and ends with
            the weights it would have had without the interruption.
        fingerprint: what the state depends on; a run does not continue from a state with another one.

    Returns:
        One record an epoch: epoch, loss, score, seconds.
    """
    on = device()
    model.to(on)
    thresholds = [p for n, p in model.named_parameters() if p.requires_grad and n.endswith("log_threshold")]
    weights = [p for n, p in model.named_parameters() if p.requires_grad and not n.endswith("log_threshold")]
    groups: list[dict[str, Any]] = [{"params": weights, "lr": settings.learning_rate, "weight_decay": _WEIGHT_DECAY}]
    if thresholds:
        groups.append({"params": thresholds, "lr": settings.threshold_learning_rate, "weight_decay": 0.0})
    optimiser = torch.optim.AdamW(groups, fused=True)
    steps_an_epoch = -(-len(train.encoded) // settings.batch_size)
    total = steps_an_epoch * settings.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / max(1.0, _WARM_UP * total), max(0.0, (total - step) / total))
    )
    history: list[dict[str, Any]] = []
    best: dict[str, Tensor] = {}
    if resume is not None and not fresh and resume.is_file():
        state = load_tensors(resume, "resume file")
        if state.get("fingerprint") != fingerprint:
            raise UserError(
                f"resume file {resume} was made with other settings or data: give the same options as before, or leave "
                "--resume out to start anew"
            )
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        history, best = state["history"], state["best"]
        report(f"{what}: resumed after epoch {len(history)}")
    with progress_bar() as bar:
        task = bar.add_task(what, total=total, completed=len(history) * steps_an_epoch)
        for epoch in range(len(history), settings.epochs):
            started = time.perf_counter()
            torch.manual_seed(settings.seed * 1000 + epoch)  # dropout of the epoch, the same after a resume
            model.train()
            losses = []
            for inputs, labels in _batches(train, settings, epoch, on):
                loss = loss_of(inputs, labels)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(weights, _MAX_GRADIENT_NORM)
                optimiser.step()
                schedule.step()
                losses.append(loss.item())
                bar.advance(task)
            held_out_score = evaluate(model, held_out, metric, settings.pad_id)
            if not history or held_out_score > max(record["score"] for record in history):
                best = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
            seconds = time.perf_counter() - started
            history.append(
                {"epoch": epoch + 1, "loss": float(np.mean(losses)), "score": held_out_score, "seconds": seconds}
            )
            report(
                f"{what}: epoch {epoch + 1}/{settings.epochs}, loss {history[-1]['loss']:.4f}, "
                f"held-out {metric} {100 * held_out_score:.2f} %, {seconds:.0f} s"
            )
            if resume is not None:
                content = {
                    "fingerprint": fingerprint,
                    "model": model.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),  # holds None for each function
                    "history": history,
                    "best": best,
                }
                write_atomically(resume, lambda path, content=content: torch.save(content, path))  # type: ignore[misc]
    model.load_state_dict(best)
    model.eval()
    return history


def _batches(
    data: LabelledData, settings: LoopSettings, epoch: int, on: torch.device
) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    rng = np.random.default_rng([settings.seed, epoch])
    for index in length_sorted_batches(data.lengths, settings.batch_size, rng):
        batch = collate([data.encoded[i] for i in index], settings.pad_id)
        yield model_inputs(batch, on), torch.from_numpy(data.labels[index]).to(on)
