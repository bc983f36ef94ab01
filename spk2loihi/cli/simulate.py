"""`spk2loihi simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from spk2loihi.cli.common import (
    check_writable,
    data_options,
    encoding_option,
    held_out,
    json_option,
    network_argument,
    samples_option,
    save_numbers,
    schedule_option,
    stagger_option,
    timesteps_option,
)
from spk2loihi.data import REGRESSION_METRICS, Examples, formatted, predictions, score
from spk2loihi.network import Network, read_network, staggered
from spk2loihi.progress import progress_bar

#: Lava needs tens of milliseconds a step whatever the batch: a few sentences by default, the emulator takes them all.
_LAVA_SAMPLES = 8
_BATCH = {"cpu": 8, "loihi2": 8, "stepped": 32}


@click.command("simulate")
@network_argument
@click.option(
    "--backend", type=click.Choice(["emulator", "stepped", "cpu", "loihi2"]), default="emulator", show_default=True
)
@click.option("--text", multiple=True, help="Classify this sentence instead of held-out data; repeatable.")
@samples_option
@schedule_option
@encoding_option
@timesteps_option
@stagger_option
@data_options
@json_option
def command(
    network_file: Path,
    backend: str,
    text: tuple[str, ...],
    samples: int | None,
    schedule: Any,
    encoding: Any,
    timesteps: int | None,
    stagger: int | None,
    json_file: Path | None,
    **data: Any,
) -> None:
    """Run NETWORK_FILE over held-out sentences, or over --text, and count what it costs."""
    run(network_file, backend, json_file, text, samples, schedule, encoding, timesteps, data, stagger)


def run(
    network_file: Path,
    backend_name: str,
    json_file: Path | None,
    text: tuple[str, ...] = (),
    samples: int | None = None,
    schedule: Any = None,
    encoding: Any = None,
    timesteps: int | None = None,
    data: dict[str, Any] | None = None,
    stagger: int | None = None,
) -> None:
    """The command without its parser."""
    from spk2loihi.simulators import create_backend, encode, summary
    from spk2loihi.simulators.launched import is_main_process, simulate_together
    from spk2loihi.versions import versions

    check_writable(json_file, inputs=[network_file])
    network = read_network(network_file)
    network = staggered(network, schedule or network.schedule, stagger)
    if samples is None and backend_name in ("cpu", "loihi2"):
        samples = _LAVA_SAMPLES
    labels: list[float] | None = None
    metric = network.task["metric"]
    metrics: tuple[str, ...] = ()
    if text:
        examples = Examples(list(text), None, [0] * len(text))
    else:
        spec, examples = held_out(network, data or {}, samples)
        labels, metric, metrics = list(examples.labels), spec.metric, spec.metrics
    backend = create_backend(backend_name, network, schedule, encoding, timesteps)
    encoded, truncated = encode(network, examples, refuse_long=bool(text))
    try:
        with progress_bar() as bar:
            bar.disable = bar.disable or not is_main_process()
            task = bar.add_task(f"simulate ({backend_name})", total=len(encoded))
            result = simulate_together(backend, encoded, _BATCH.get(backend_name, 64), lambda n: bar.advance(task, n))
    finally:
        backend.close()
    if not is_main_process():
        return
    result.truncated = truncated
    numbers = {"network": str(network_file), **summary(backend, result, metric, labels), "versions": versions()}
    if labels is not None:
        numbers["scores"] = {m: score(m, result.predictions, np.array(labels)) for m in metrics}
    if text:
        numbers["predictions"] = _predictions(network, result.logits, text)
        for prediction in numbers["predictions"]:
            logits = ", ".join(f"{label} {value:+.3f}" for label, value in prediction["logits"].items())
            click.echo(f"{prediction['label']}  ({logits})  {prediction['text']}")
    _print(network, numbers)
    save_numbers(json_file, numbers)


def _predictions(network: Network, logits: Any, text: tuple[str, ...]) -> list[dict[str, Any]]:
    names, values = network.task["labels"], predictions(logits)
    regression = network.task["metric"] in REGRESSION_METRICS  # one output, whose value is the answer
    return [
        {
            "text": sentence,
            "label": f"{int(value) * network.readout.unit:.3f}" if regression else names[int(value)],
            "membrane": [int(u) for u in row],
            "logits": {name: float(u) * network.readout.unit for name, u in zip(names, row, strict=True)},
        }
        for sentence, row, value in zip(text, logits, values, strict=True)
    ]


def _print(network: Network, n: dict[str, Any]) -> None:
    if n["score"] is not None:
        training = network.provenance.get("training", {})
        reference = (
            f"  (float equilibrium {formatted(training['score'], training['metric'])}, "
            f"teacher {formatted(training['teacher_score'], training['metric'])} on all held-out data)"
            if "teacher_score" in training
            else ""
        )
        scores = ", ".join(f"{metric} {formatted(value, metric)}" for metric, value in n["scores"].items())
        click.echo(f"{n['backend']}: {scores} on {n['samples']} sentences{reference}")
    if n["truncated"]:
        click.echo(f"{n['truncated']} sentences were cut to {network.max_tokens} tokens")
    synops = n["synops"]
    total = max(1, synops["total"])  # a silent network has none
    click.echo(
        f"{n['schedule']}, {n['encoding']}, T = {n['timesteps']}, {n['latency_steps']} steps; "
        f"{synops['per_sample']:,.0f} SynOps a sentence ({synops['linear'] / total:.1%} linear, "
        f"{synops['attention'] / total:.1%} attention), {synops['total'] / synops['dense_equivalent']:.2f} "
        f"a synapse; mean rate {n['mean_rate']:.3f}; {n['wall_s']:.1f} s"
    )
