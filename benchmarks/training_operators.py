"""How many operators a training step has, beside those of the same-shape BERT.

    uv run python benchmarks/training_operators.py [--precision no] [--batch 32] [--tokens 27] [--layers 6]

Counts the ATen operators that `torch.profiler` records in one step on the CPU: forward, loss, backward, clipping of
gradients and optimiser. The student's loss is that of `spk2loihi train` (hidden states, scores, predictions, labels);
the teacher's forward pass, which an epoch needs as well, is not part of it. BERT's is cross-entropy. Counts do not
depend on what else the machine does; the CPU seconds beside them do, a little. All: every operator, also those that
others are made of. Computing: those that call none, without views and allocations, which are what a GPU launches.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from transformers import BertConfig, BertForSequenceClassification

from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.training.losses import Distillation
from spk2loihi.training.settings import LossWeights
from spk2loihi.training.teacher import TeacherStates

# fmt: off
_VIEWS = frozenset({
    "alias", "as_strided", "chunk", "contiguous", "detach", "detach_", "empty", "empty_like", "empty_strided",
    "expand", "expand_as", "flatten", "item", "_local_scalar_dense", "is_nonzero", "lift_fresh", "narrow",
    "new_empty", "new_empty_strided", "permute", "promote_types", "reshape", "resize_", "resolve_conj",
    "resolve_neg", "result_type", "select", "slice", "split", "split_with_sizes", "squeeze", "t", "to",
    "transpose", "unbind", "unflatten", "unsqueeze", "view", "view_as", "_reshape_alias", "_unsafe_view",
})
# fmt: on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=27)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", choices=("no", "bf16"), default="no")
    options = parser.parse_args()
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {options.batch} x {options.tokens}")
    print(f"{'step of':<16} {'all':>7} {'x BERT':>7} {'computing':>10} {'x BERT':>7} {'CPU s':>7}")
    first: tuple[int, int] | None = None
    for name in ("BERT", "spikingbert", "neurocore", "stock"):
        step = bert_step(options) if name == "BERT" else student_step(options, name, options.precision)
        step()
        found = count(step)
        first = first or found
        seconds = statistics.median(timed(step) for _ in range(options.repeats))
        ratios = [n / of for n, of in zip(found, first, strict=True)]
        print(
            f"{name:<16} {found[0]:7} {ratios[0]:7.2f} {found[1]:10} {ratios[1]:7.2f} {seconds:7.2f}",
            flush=True,
        )


def count(step: Callable[[], None]) -> tuple[int, int]:
    """Operators of a step: all, and those that compute."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        step()
    every = [event for event in recorded.events() or [] if event.name.startswith("aten::")]

    def computes(name: str) -> bool:
        return name.startswith("aten::") and name.removeprefix("aten::") not in _VIEWS

    leaves = [e for e in every if computes(e.name) and not any(computes(child.name) for child in e.cpu_children)]
    return len(every), len(leaves)


def timed(step: Callable[[], None]) -> float:
    """CPU seconds."""
    started = time.process_time()
    step()
    return time.process_time() - started


def bert_step(options: Any) -> Callable[[], None]:
    inputs, labels = batch(options)
    model = BertForSequenceClassification(BertConfig(**shape(options), attn_implementation="sdpa")).train()
    return step_of(model, lambda: torch.nn.functional.cross_entropy(model(**inputs).logits, labels), options.precision)


def student_step(options: Any, preset: str, precision: str) -> Callable[[], None]:
    inputs, labels = batch(options)
    timesteps = 127 if preset == "stock" else 16
    config = SpikingBertConfig(**shape(options), preset=preset, timesteps=timesteps, max_tokens=options.tokens)
    model = SpikingBertForSequenceClassification(config).train()
    with model.calibration():
        model(**inputs)
    objective = Distillation(model, states(options), list(range(options.layers)), LossWeights(), "class")
    return step_of(model, lambda: objective(inputs, labels), precision)


def step_of(model: torch.nn.Module, loss: Callable[[], torch.Tensor], precision: str) -> Callable[[], None]:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("_embeddings" not in name)  # tables stay the teacher's, as in `spk2loihi train`
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-5, fused=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            value = loss()
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()

    return step


def shape(options: Any) -> dict[str, Any]:
    return {
        "hidden_size": options.hidden,
        "num_hidden_layers": options.layers,
        "num_attention_heads": options.hidden // 32,
        "intermediate_size": 4 * options.hidden,
    }


def batch(options: Any) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Sentences of which the second half are a third shorter, and their labels."""
    ids = torch.randint(1, 30522, (options.batch, options.tokens))
    mask = torch.ones_like(ids)
    mask[options.batch // 2 :, 2 * options.tokens // 3 :] = 0
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    return inputs, torch.randint(0, 2, (options.batch,))


def states(options: Any) -> Callable[..., TeacherStates]:
    """What a teacher's forward pass would give, drawn at random."""
    b, n, layers = options.batch, options.tokens, options.layers
    drawn = TeacherStates(
        tuple(torch.randn(b, n, options.hidden) for _ in range(layers + 1)),
        [torch.randn(b, options.hidden // 32, n, n) for _ in range(layers)],
        torch.randn(b, 2),
    )
    return lambda **inputs: drawn


if __name__ == "__main__":
    main()
