"""From a network and its sentences to the data of an energy report: count, price, compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spk2loihi.analysis.convergence import measure_convergence
from spk2loihi.analysis.neurobench import neurobench_metrics
from spk2loihi.analysis.spike_record import choose_sentence, record_sentence
from spk2loihi.data import Encoded, Examples, TaskSpec
from spk2loihi.energy.coefficients import CoefficientSet
from spk2loihi.energy.energy_report import build_report
from spk2loihi.errors import UserError
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import RunConfig, Timeline
from spk2loihi.progress import progress_bar
from spk2loihi.simulators import create_backend, encode, simulate

_CONVERGENCE_SENTENCES = 8


def measure_energy(
    network: Network,
    config: RunConfig,
    task: TaskSpec,
    examples: Examples,
    *,
    text: str | None = None,
    coefficient_sets: Sequence[CoefficientSet] = (),
    teacher_score: float | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run ``examples`` on the emulator and report what they cost (layout: `spk2loihi.energy.energy_report`).

    Args:
        task: of the examples; its metric is the score reported.
        text: the sentence to record spike by spike; None: one of the examples.
        coefficient_sets: prices of the user's own, before the built-in ones.
        teacher_score: of the teacher on the same examples.
    """
    if text is not None and network.streamed:
        raise UserError("`text` asks for a sentence spike by spike, but a streamed network sends none: leave it out")
    encoded, _ = encode(network, examples)
    shown = choose_sentence(encoded) if text is None else None
    sentence = Examples([text], None, [0]) if text is not None else examples.select([shown or 0])
    origin = "the sentence given" if shown is None else f"held-out sentence {shown + 1}"
    tokens = encode(network, sentence, refuse_long=shown is None)[0][0]
    backend = create_backend("emulator", network, config)
    labels = list(examples.labels)
    with progress_bar() as bar:
        counting = bar.add_task("count operations", total=len(encoded))
        result = simulate(backend, encoded, advance=lambda n: bar.advance(counting, n))
        convergence = None
        if not network.streamed:  # which has no rates that converge
            bar.add_task("convergence")
            few = slice(_CONVERGENCE_SENTENCES)
            convergence = measure_convergence(network, encoded[few], labels[few])
    result = result.labelled(task, examples, encoded)
    score = result.scores[task.metric]
    neurobench = None
    if config.schedule == "windowed":  # NeuroBench's counts want one number of steps for all sentences
        accuracy = score if task.metric == "accuracy" else None
        neurobench = neurobench_metrics(backend.timeline, result.stages, len(encoded), accuracy)
    return build_report(
        result.stages,
        len(encoded),
        network_summary=summarise_network(backend.timeline, result.latency_steps),
        teacher_macs=teacher_macs(network.provenance.get("training", {}).get("teacher_shape"), encoded),
        coefficient_sets=coefficient_sets,
        convergence=convergence,
        accuracy={"metric": task.metric, "student": score, "teacher": teacher_score, "samples": len(encoded)},
        spikes=result.spikes,
        neurobench=neurobench,
        sentence=None
        if network.streamed
        else record_sentence(network, sentence, tokens, origin, labelled=shown is not None),
        provenance=provenance,
    )


def summarise_network(timeline: Timeline, latency_steps: int | None = None) -> dict[str, Any]:
    """The ``network_summary`` of `build_report`.

    Args:
        timeline: of the counted run, and of its network.
        latency_steps: of its slowest sentence; what the timeline says if not given.
    """
    network = timeline.network
    settling = timeline.schedule == "settling" and latency_steps is not None
    return {
        "schedule": timeline.schedule,
        "encoding": timeline.encoding,
        "timesteps": network.timesteps,
        "steps": latency_steps if settling else timeline.steps,
        "latency_steps": latency_steps if latency_steps is not None else timeline.latency_steps,
        "stages": len(network.stages),
        "weight_bits": network.weight_bits,
        "max_tokens": network.max_tokens,
        "synapses_per_token": network.synapses,
        "config": dict(network.config),
    }


def teacher_macs(shape: dict[str, Any] | None, encoded: list[Encoded]) -> float | None:
    """Mean multiply-accumulates a sentence of a BERT with ``shape`` {layers, hidden, intermediate, labels}.

    Per layer and sentence of L tokens: L (4 d^2 + 2 d f) for the linear maps and 2 L^2 d for the attention products;
    then pooler and classifier. None where the shape is not known.
    """
    if shape is None:
        return None
    tokens = np.array([len(e) for e in encoded], dtype=np.float64)
    d, f = shape["hidden"], shape["intermediate"]
    layer = tokens * (4 * d * d + 2 * d * f) + 2 * tokens**2 * d
    projection = tokens * (shape.get("embedding") or 0) * d  # of an embedding of a width of its own
    return float((shape["layers"] * layer + projection + d * d + d * shape["labels"]).mean())
