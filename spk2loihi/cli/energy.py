"""`spk2loihi energy`."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from spk2loihi.cli.common import (
    check_writable,
    data_options,
    encoding_option,
    held_out,
    json_option,
    network_argument,
    samples_option,
    save_numbers,
    stagger_option,
)
from spk2loihi.data import Examples
from spk2loihi.errors import UserError
from spk2loihi.network import read_network, staggered
from spk2loihi.progress import progress_bar

_CONVERGENCE_SENTENCES = 8


@click.command("energy")
@network_argument
@click.option("--coefficients", multiple=True, metavar="NAME|FILE", help="A price table of your own; repeatable.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default="energy.html", show_default=True)
@click.option("--text", help="The sentence shown spike by spike. [default: a held-out one]")
@samples_option
@click.option("--schedule", type=click.Choice(["windowed", "settling"]), default="windowed", show_default=True)
@encoding_option
@stagger_option
@data_options
@json_option
def command(
    network_file: Path,
    coefficients: tuple[str, ...],
    out: Path,
    text: str | None,
    samples: int | None,
    schedule: Any,
    encoding: Any,
    stagger: int | None,
    json_file: Path | None,
    **data: Any,
) -> None:
    """Count operations over the held-out sentences; writes energy.html and energy.json beside it."""
    run(network_file, out, json_file, coefficients, samples, encoding, data, text, schedule, stagger)


def run(
    network_file: Path,
    out: Path,
    json_file: Path | None,
    coefficients: tuple[str, ...] = (),
    samples: int | None = None,
    encoding: Any = None,
    data: dict[str, Any] | None = None,
    text: str | None = None,
    schedule: Any = "windowed",
    stagger: int | None = None,
) -> None:
    """The command without its parser."""
    if out.suffix == ".json":
        raise UserError(f"{out} is the place of the report's numbers, not of its page: name an .html file with -o")
    check_writable(out, out.with_suffix(".json"), json_file, inputs=[network_file])
    from spk2loihi.analysis.convergence import measure_convergence
    from spk2loihi.analysis.network_summary import summarise_network
    from spk2loihi.analysis.neurobench import neurobench_metrics
    from spk2loihi.analysis.spike_record import choose_sentence, record_sentence
    from spk2loihi.energy import build_report, load_coefficients
    from spk2loihi.energy.teacher_macs import teacher_macs
    from spk2loihi.files import sha256
    from spk2loihi.reporting.energy_page import write_report
    from spk2loihi.simulators import create_backend, encode, simulate, summary
    from spk2loihi.versions import versions

    sets = [load_coefficients(name) for name in coefficients]
    network = staggered(read_network(network_file), schedule, stagger)
    spec, examples = held_out(network, data or {}, samples)
    encoded, _ = encode(network, examples)
    if text is None:
        shown = choose_sentence(encoded)
        sentence, origin = examples.select([shown]), f"held-out sentence {shown + 1}"
    else:
        sentence, origin = Examples([text], None, [0]), "the sentence given with --text"
    tokens = encode(network, sentence, refuse_long=text is not None)[0][0]
    backend = create_backend("emulator", network, schedule, encoding)
    with progress_bar() as bar:
        task = bar.add_task("count operations", total=len(encoded))
        result = simulate(backend, encoded, advance=lambda n: bar.advance(task, n))
        task = bar.add_task("convergence")
        convergence = measure_convergence(
            network, encoded[:_CONVERGENCE_SENTENCES], list(examples.labels)[:_CONVERGENCE_SENTENCES]
        )
    steps = result.latency_steps if schedule == "settling" else backend.steps
    numbers = summary(backend, result, spec.metric, list(examples.labels))
    neurobench = None
    if schedule == "windowed":  # NeuroBench's counts want one number of steps for all sentences
        accuracy = numbers["score"] if spec.metric == "accuracy" else None
        neurobench = neurobench_metrics(network, result.stages, len(encoded), steps, backend.encoding, accuracy)
    training = network.provenance.get("training", {})
    # the teacher was scored on the whole held-out set of training, and is comparable on that only
    same_data = samples is None and not any(value is not None for value in (data or {}).values())
    report = build_report(
        result.stages,
        len(encoded),
        network_summary=summarise_network(network, schedule, backend.encoding, steps),
        teacher_macs=teacher_macs(training.get("teacher_shape"), encoded),
        coefficient_sets=sets,
        convergence=convergence,
        accuracy={
            "metric": spec.metric,
            "student": numbers["score"],
            "teacher": training.get("teacher_score") if same_data else None,
            "samples": len(encoded),
        },
        spikes=result.spikes,
        neurobench=neurobench,
        sentence=record_sentence(network, sentence, tokens, origin, labelled=text is None),
        provenance={
            "network": network_file.name,
            "network_sha256": sha256(network_file),
            "task": spec.name,
            "seed": training.get("settings", {}).get("seed"),
            "date": datetime.now(timezone.utc).date().isoformat(),
            "command": shlex.join(["spk2loihi", *sys.argv[1:]]),
            "versions": versions(),
        },
    )
    path_json = out.with_suffix(".json")
    write_report(out, path_json, report)
    for headline in report["headline"]:
        click.echo(f"{headline['label']}: {headline['text']}")
    for sentence in report["verdict"]:
        click.echo(sentence)
    click.echo(f"{out} and {path_json}")
    save_numbers(json_file, report)
