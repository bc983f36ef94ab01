"""From a network and its sentences to the data of an energy report: count, price, compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.analysis.convergence import measure_convergence
from spk2loihi.analysis.neurobench import neurobench_metrics
from spk2loihi.analysis.spike_record import choose_sentence, record_sentence
from spk2loihi.choices import ENCODINGS
from spk2loihi.data import Encoded, Examples, TaskSpec
from spk2loihi.energy.ann_memory import AnnWork
from spk2loihi.energy.coefficient_registry import BUILTIN_SETS
from spk2loihi.energy.coefficients import CoefficientSet
from spk2loihi.energy.encodings import EncodedRun, compare_encodings
from spk2loihi.energy.energy_report import build_report
from spk2loihi.energy.placement import cores_of, place_network, told
from spk2loihi.energy.step_time import Steps, estimate_time
from spk2loihi.errors import UserError
from spk2loihi.fit import Board
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import RunConfig, Timeline
from spk2loihi.network.stream import stream_period
from spk2loihi.progress import progress_bar
from spk2loihi.simulators import Simulation, create_backend, encode, simulate

_CONVERGENCE_SENTENCES = 8


def measure_energy(
    network: Network,
    config: RunConfig,
    task: TaskSpec,
    examples: Examples,
    *,
    text: str | None = None,
    coefficient_sets: Sequence[CoefficientSet] = (),
    board: Board,
    step_us: float | None = None,
    verification: Mapping[str, Any] | None = None,
    teacher_score: float | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run ``examples`` on the emulator and report what they cost (layout: `spk2loihi.energy.energy_report`).

    Args:
        task: of the examples; its metric is the score reported.
        text: the sentence to record spike by spike; None: one of the examples.
        coefficient_sets: prices of the user's own, before the built-in ones.
        board: over whose cores the network is partitioned.
        step_us: microseconds of every step, in place of the estimate (`estimate_time`).
        verification: `spk2loihi.simulators.Verification.to_dict` of the same network.
        teacher_score: of the teacher on the same examples.
    """
    if text is not None and network.streamed:
        raise UserError("`text` asks for a sentence spike by spike, but a streamed network sends none: leave it out")
    encoded, _ = encode(network, examples)
    shown = choose_sentence(encoded) if text is None else None
    sentence = Examples([text], None, [0]) if text is not None else examples.select([shown or 0])
    origin = "the sentence given" if shown is None else f"held-out sentence {shown + 1}"
    tokens = encode(network, sentence, refuse_long=shown is None)[0][0]
    labels = list(examples.labels)
    placed = place_network(network, board)
    lengths = np.array([len(e) for e in encoded])

    def timed(run: Simulation, timeline: Timeline) -> dict[str, Any] | None:
        steps = time_axis(timeline, run, lengths)
        return estimate_time(run.stages, len(encoded), steps, cores_of(placed), board.name, step_us)

    with progress_bar() as bar:

        def counted(how: RunConfig) -> tuple[Simulation, Timeline]:
            ran = create_backend("emulator", network, how)
            task = bar.add_task(f"count operations, {how.encoding}", total=len(encoded))
            return simulate(ran, encoded, advance=lambda n: bar.advance(task, n)), ran.timeline

        result, timeline = counted(config)
        convergence = encodings = None
        if network.only_schedule is None:  # a network without windows has one encoding
            runs = []
            for encoding in ENCODINGS:
                own = (config.schedule, config.encoding) == ("windowed", encoding)
                run, axis = (result, timeline) if own else counted(RunConfig("windowed", encoding))
                runs.append(EncodedRun(encoding, run.stages, run.latency_steps, timed(run, axis)))
            sets = [s for s in [*coefficient_sets, *BUILTIN_SETS.values()] if s.kind == "chip"]
            encodings = compare_encodings(runs, len(encoded), sets)
        if not network.streamed:  # which has no rates that converge
            bar.add_task("convergence")
            few = slice(_CONVERGENCE_SENTENCES)
            convergence = measure_convergence(network, encoded[few], labels[few])
    result = result.labelled(task, examples, encoded)
    score = result.scores[task.metric]
    neurobench = None
    if config.schedule == "windowed":  # NeuroBench's counts want one number of steps for all sentences
        accuracy = score if task.metric == "accuracy" else None
        neurobench = neurobench_metrics(timeline, result.stages, len(encoded), accuracy)
    return build_report(
        result.stages,
        len(encoded),
        network_summary=summarise_network(timeline, result.latency_steps),
        teacher=teacher_work(
            network.provenance.get("training", {}).get("teacher_shape"), encoded, task.answer == "tags"
        ),
        coefficient_sets=coefficient_sets,
        convergence=convergence,
        accuracy={"metric": task.metric, "student": score, "teacher": teacher_score, "samples": len(encoded)},
        spikes=result.spikes,
        neurobench=neurobench,
        sentence=None
        if network.streamed
        else record_sentence(network, sentence, tokens, origin, labelled=shown is not None),
        encodings=encodings,
        time=timed(result, timeline),
        fit=told(placed),
        verification=verification,
        provenance=provenance,
    )


def time_axis(timeline: Timeline, run: Simulation, lengths: NDArray[np.int64]) -> Steps:
    """Steps to the mean sentence's answer, and until the next may follow.

    Args:
        lengths: tokens of each sentence, (B,).
    """
    network = timeline.network
    if timeline.schedule == "streamed":
        return Steps(run.mean_latency_steps, float(stream_period(lengths, network.max_tokens).mean()))
    depths = {stage.name: stage.depth for stage in network.stages}
    if timeline.schedule == "windowed":  # a stage gets its SynOps in the window before its own
        return Steps(run.latency_steps, run.latency_steps, timeline.steps, depths)
    return Steps(run.mean_latency_steps, run.mean_latency_steps)


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
        "weights": sum(g.weight.size for stage in network.stages for g in stage.synapses if not g.one_to_one),
        "config": dict(network.config),
    }


def teacher_work(shape: dict[str, Any] | None, encoded: list[Encoded], tags: bool = False) -> AnnWork | None:
    """What a teacher with ``shape`` {layers, hidden, intermediate, labels, embedding} does for the mean sentence.

    Per layer and sentence of L tokens: L (4 d^2 + 2 d f) multiply-accumulates for the linear maps and 2 L^2 d for the
    attention products; L e d where embeddings of width e are projected; then pooler and classifier, or for ``tags`` a
    classifier of every token. Activations: L d of query, key, value, context and the two outputs, L f of the
    intermediate. Attention weights are left out, which favours the teacher. None where the shape is unknown.
    """
    if shape is None:
        return None
    tokens = np.array([len(e) for e in encoded], dtype=np.float64)
    d, f = shape["hidden"], shape["intermediate"]
    layer = tokens * (4 * d * d + 2 * d * f) + 2 * tokens**2 * d
    projection = (shape.get("embedding") or 0) * d
    head, times = (d * shape["labels"], tokens) if tags else (d * d + d * shape["labels"], np.ones_like(tokens))
    mean = float(tokens.mean())
    return AnnWork(
        float((tokens * projection + shape["layers"] * layer + times * head).mean()),
        projection + shape["layers"] * (4 * d * d + 2 * d * f) + head,
        (*[mean * d] * 6, mean * f) * shape["layers"],
    )
