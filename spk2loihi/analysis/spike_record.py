"""One sentence, spike by spike: what the emulator recorded while it ran, packed for `energy.json` and the page.

Layout of the dictionary of `record_sentence` (arrays are base64 of the bytes in C order)::

    text, origin         the sentence, and where it is from
    label                its true label, or null
    tokens               as the network's tokenizer cuts it; a run shows the first ``shown_tokens`` of them
    runs                 [{schedule, steps (of a window, or of the run), latency_steps, prediction,
                           logits {label: value}, synops, spikes, attention, stages}]
      attention          [{stage, heads, rows, counts}]: spikes of the score neurons, int8 (heads, rows, shown
                           tokens); a row is a query token, a column a key token; rows is 1 where only [CLS] asks
      stages             [{stage, first_step, channels, rows, spikes, spikes_by_token, activity, neurons, positive,
                           negative}]: ``activity`` uint16 little-endian (steps, rows), spikes of a token in a step;
                           ``positive``, ``negative`` bits (steps, rows, neurons), most significant first: spikes of
                           the first neurons of every token; of score stages the neurons are (head, key) pairs

A stage's step t is step ``first_step + t`` of the whole run, counted from 1.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from spk2loihi.choices import Schedule
from spk2loihi.data import Encoded, Examples, answer_of, collate, targets
from spk2loihi.network.network import Network, Stage
from spk2loihi.network.run_config import RunConfig
from spk2loihi.simulators.backend import Run, pipelined_overflow
from spk2loihi.simulators.emulator.emulator import Emulator
from spk2loihi.simulators.operation_counter import count_operations
from spk2loihi.simulators.simulate import answer_in_words, pad_id, predict

#: Bytes of all recorded arrays together, before base64 makes them a third larger: the page stays below 3 MB.
BUDGET = 1_700_000
STEPS_MAX = 127
"""Of a recorded run: sums of spikes are kept as signed bytes."""
NEURONS = (64, 48, 32, 16, 8)  # recorded neurons of a token and stage: the first of these that fits the budget
_READABLE = range(8, 25)  # tokens of the sentence shown by default


def choose_sentence(encoded: list[Encoded]) -> int:
    """Index of the first sentence of 8 to 24 tokens, or 0."""
    return next((i for i, one in enumerate(encoded) if len(one) in _READABLE), 0)


def record_sentence(
    network: Network, examples: Examples, encoded: Encoded, origin: str, labelled: bool
) -> dict[str, Any]:
    """Step one sentence through the emulator, windowed and, where no membrane can overflow, pipelined; rate encoding.

    A network with leak or feedback is pipelined alone, for as many steps as its file says, at most `STEPS_MAX`.

    Args:
        examples: the sentence, alone.
        encoded: its tokens.
        labelled: its label is one to report.
    """
    tokenizer = Tokenizer.from_str(network.tokenizer)
    if network.only_schedule == "pipelined":
        ways = [RunConfig("pipelined", steps=min(network.defaults.steps or network.timesteps, STEPS_MAX))]
    else:
        ways = [RunConfig("windowed")]
        if pipelined_overflow(network, network.timesteps) is None:
            ways.append(RunConfig("pipelined"))
    tokens, neurons = _shown(network, len(encoded), ways)
    text_b = "" if examples.text_b is None else f" [SEP] {examples.text_b[0]}"
    return {
        "text": examples.text_a[0] + text_b,
        "origin": origin,
        "label": _label(network, examples, encoded) if labelled else None,
        "tokens": [tokenizer.id_to_token(int(i)) for i in encoded.input_ids],
        "shown_tokens": tokens,
        "timesteps": network.timesteps,
        "runs": [_record(network, examples.text_a[0], encoded, way, tokens, neurons) for way in ways],
    }


def _record(network: Network, text: str, encoded: Encoded, way: RunConfig, tokens: int, neurons: int) -> dict[str, Any]:
    emulator = Emulator(network, way, engine="stepped")
    batch = collate([encoded], pad_id(network))
    run = emulator.run(batch, record=True)
    counted = count_operations(emulator.timeline, run.events, batch.lengths)
    firing = [stage for stage in network.stages if stage.fires]
    (answer,) = predict(network, [text], run.logits, [encoded])
    return {
        "schedule": way.schedule,
        "steps": run.steps,
        "latency_steps": run.latency_steps,
        "prediction": answer.label,
        "logits": answer.logits,
        "synops": sum(ops.synops + ops.attention_synops for ops in counted),
        "spikes": sum(ops.messages for ops in counted),
        "attention": [_attention(stage, run, tokens) for stage in firing if stage.is_scores],
        "stages": [_stage(stage, run, way.schedule, tokens, neurons) for stage in firing],
    }


def _attention(stage: Stage, run: Run, tokens: int) -> dict[str, Any]:
    counts = run.counts[stage.name][0][:, :tokens, :tokens]  # (heads, rows, tokens)
    return {
        "stage": stage.name,
        "heads": counts.shape[0],
        "rows": counts.shape[1],
        "counts": _base64(counts.astype(np.int8)),
    }


def _stage(stage: Stage, run: Run, schedule: Schedule, tokens: int, neurons: int) -> dict[str, Any]:
    assert run.trains is not None
    train = run.trains[stage.name][:, 0]  # (steps, rows, channels), or (steps, heads, rows, keys)
    if stage.is_scores:
        train = train.transpose(0, 2, 1, 3).reshape(train.shape[0], train.shape[2], -1)
    fired = (train != 0).sum(2)  # (steps, rows)
    seen = train[:, :tokens, :neurons]
    return {
        "stage": stage.name,
        "first_step": stage.depth * (run.steps if schedule == "windowed" else 1) + 1,
        "channels": train.shape[2],
        "rows": seen.shape[1],
        "spikes": int(fired.sum()),
        "spikes_by_token": fired.sum(0).tolist(),
        "activity": _base64(fired[:, :tokens].astype("<u2")),
        "neurons": seen.shape[2],
        "positive": _base64(np.packbits(seen > 0)),
        "negative": _base64(np.packbits(seen < 0)),
    }


def _shown(network: Network, tokens: int, ways: list[RunConfig]) -> tuple[int, int]:
    """How many tokens, and neurons of each, can be recorded within the budget."""
    firing = [stage for stage in network.stages if stage.fires]
    heads = sum(stage.channels for stage in firing if stage.is_scores)
    slots = len(firing) * sum(way.steps or network.timesteps for way in ways)

    def size(tokens: int, neurons: int) -> int:
        return len(ways) * heads * tokens**2 + slots * tokens * 2 + slots * tokens * neurons // 4

    fitting = (n for n in NEURONS if size(tokens, n) <= BUDGET)
    neurons = next(fitting, NEURONS[-1])
    while tokens > 1 and size(tokens, neurons) > BUDGET:
        tokens -= 1
    return tokens, neurons


def _label(network: Network, examples: Examples, encoded: Encoded) -> str:
    metric = network.task["metric"]
    if answer_of(metric) == "value":
        return f"{examples.labels[0]:.3f}"
    true = targets(metric, examples.labels, [encoded.first])[0]
    return answer_in_words(network, examples.text_a[0], true, encoded)


def _base64(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
