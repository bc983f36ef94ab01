"""What a training step at equilibrium costs, as ratios measured in one run.

    OMP_NUM_THREADS=1 uv run python benchmarks/training_step.py [--batch 32] [--tokens 16] [--layers 6] [--hidden 384]

Prints the CPU time of one optimiser step of the spiking student at T = 4, 16 and 100, over that of the same-shape BERT
(transformers), and over stepping T = 100 in time as SpikingBERT's published code does (`Stepped`), then one forward and
backward pass at the equilibrium, for which its code takes several. Stepping is float32, as its code is: a membrane
summed in bfloat16 over 100 steps would be another network. The student's step has no such sum, so bf16 is what
`spk2loihi train --precision bf16` runs, and a row of its own. Peak memory is that of a fresh process for each,
above the weights and optimiser state, so that one cannot hide behind another.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel

from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification

_STEPPED = 100  # SpikingBERT trains with T = 80 to 125
_CASES = ("ann", "stepped", "student-4", "student-16", "student-100", "ann-bf16", "student-100-bf16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--preset", default="spikingbert")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--case", choices=_CASES, help=argparse.SUPPRESS)  # what a child process measures
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(options)))
        return
    results = {}
    for case in _CASES:
        command = [sys.executable, __file__, *sys.argv[1:], "--case", case]
        results[case] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    ann = results["ann"]["seconds"]
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{options.layers} layers, {options.hidden} wide, batch {options.batch} x {options.tokens} tokens")
    print(f"{'case':<16} {'CPU s':>9} {'x ANN':>7} {'peak MiB':>9}")
    for case, r in results.items():
        print(f"{case:<16} {r['seconds']:9.3f} {r['seconds'] / ann:7.2f} {r['peak_mib']:9.0f}")
    for case in ("student-100", "student-100-bf16"):
        ratio = results["stepped"]["seconds"] / results[case]["seconds"]
        print(f"stepping T = {_STEPPED} over {case}: {ratio:.0f}x")
    bf16 = results["student-100-bf16"]["seconds"] / results["ann-bf16"]["seconds"]
    print(f"student-100-bf16 over ann-bf16: {bf16:.2f}x")


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Median CPU seconds of a step, and peak memory above what the first, smallest step needed."""
    torch.manual_seed(0)
    case, *rest = options.case.split("-")
    half = "bf16" in rest
    shape = {
        "hidden_size": options.hidden,
        "num_hidden_layers": options.layers,
        "num_attention_heads": options.hidden // 32,
        "intermediate_size": 4 * options.hidden,
    }
    model: torch.nn.Module
    if case == "student":
        config = SpikingBertConfig(**shape, preset=options.preset, timesteps=int(rest[0]), max_tokens=options.tokens)
        model = SpikingBertForSequenceClassification(config)
    else:
        model = BertForSequenceClassification(BertConfig(**shape, attn_implementation="sdpa"))
    model.train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("_embeddings" not in name)  # tables stay the teacher's, as in `spk2loihi train`
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5, fused=True)
    ids = torch.randint(1, 30522, (options.batch, options.tokens))
    labels = torch.randint(0, 2, (options.batch,))

    stepped = Stepped(model.bert) if case == "stepped" else None

    def step(ids: torch.Tensor, labels: torch.Tensor) -> None:
        if stepped is not None:
            stepped(ids)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = model(ids).logits
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    step(ids[:1], labels[:1])  # allocates optimiser state
    before = _peak()
    seconds = [_timed(lambda: step(ids, labels)) for _ in range(options.repeats if case != "stepped" else 1)]
    return {"seconds": statistics.median(seconds), "peak_mib": (_peak() - before) / 1024}


class Stepped:
    """`snn_forward` of SpikingBERT (its repository, implicit_bert/modules/snn_modules.py), in a BERT's shape.

    Every step: each population adds its drive to its membrane, fires at >= 1, subtracts 1, and adds to its rate. Keys,
    values and contexts spike, queries do not; LayerNorm, softmax and GELU act on every step. Its diagnostics (means
    read back at every step) are left out.
    """

    def __init__(self, bert: BertModel) -> None:
        self.bert = bert
        self.heads = bert.config.num_attention_heads

    @torch.no_grad()
    def __call__(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        """Sum of spikes of each population, and of scores."""
        membranes: dict[str, torch.Tensor] = {}
        sums: dict[str, torch.Tensor] = {}

        def fire(name: str, drive: torch.Tensor) -> torch.Tensor:
            u = membranes[name] + drive if name in membranes else drive
            s = (u >= 1).float()
            membranes[name] = u - s
            keep(name, s)
            return s

        def keep(name: str, x: torch.Tensor) -> None:
            sums[name] = sums[name] + x if name in sums else x

        x = self.bert.embeddings(ids)
        for _ in range(_STEPPED):
            s = fire("embedding", x)
            for i, layer in enumerate(self.bert.encoder.layer):
                attention, out = layer.attention.self, layer.attention.output
                key, value = fire(f"{i}.key", attention.key(s)), fire(f"{i}.value", attention.value(s))
                query = self._split(attention.query(s))
                scores = query @ self._split(key).transpose(-1, -2) / math.sqrt(query.shape[-1])
                keep(f"{i}.scores", scores)
                context = (scores.softmax(-1) @ self._split(value)).transpose(1, 2).flatten(2)
                context = fire(f"{i}.context", context)
                attended = fire(f"{i}.attention", out.LayerNorm(out.dense(context) + s))
                expanded = fire(f"{i}.ffn", layer.intermediate(attended))
                s = fire(f"{i}.out", layer.output.LayerNorm(layer.output.dense(expanded) + attended))
        return sums

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _timed(call: Callable[[], None]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def _peak() -> int:
    """Peak resident memory of this process, KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
