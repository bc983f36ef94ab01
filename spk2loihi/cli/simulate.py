"""`spk2loihi simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spk2loihi import api
from spk2loihi.cli.command import Command
from spk2loihi.cli.common import (
    backend_choice,
    claimed,
    cluster_options,
    data_options,
    network_argument,
    output_options,
    run_options,
    samples_option,
    save_numbers,
    say,
    seconds,
    tell,
)
from spk2loihi.cli.config_file import run_file
from spk2loihi.cli.interrupts import to_go_on
from spk2loihi.cli.option_types import STANDARD_OUTPUT


@click.command("simulate", cls=Command)
@network_argument
@click.option("--backend", type=backend_choice, default="emulator", show_default=True, help="What runs the network.")
@click.option("--text", multiple=True, help="Classify this sentence instead of held-out data; repeatable.")
@samples_option("all; 8 in Lava")
@run_options
@data_options
@cluster_options
@output_options
def command(
    network_file: Path,
    backend: Any,
    text: tuple[str, ...],
    samples: int | None,
    json_file: Path | None,
    force: bool,
    **options: Any,
) -> None:
    """Run NETWORK_FILE over held-out sentences, or over --text, and count its operations."""
    from spk2loihi.outputs import named_inputs

    named = None if json_file == STANDARD_OUTPUT else json_file
    run = None if named is None else run_file(named)
    kept = None if named is None else named.with_name(f"{named.name}.shards")
    with claimed(json_file, network_file, options=options, run=run, force=force) as places:
        if kept is not None and (options["workers"] is not None or options["scheduler"] is not None):
            to_go_on(lambda: f"finished shards are in {kept}, and the same command goes on from there")
        from spk2loihi.simulators.launched import is_main_process
        from spk2loihi.simulators.shards import remove_kept
        from spk2loihi.versions import versions

        net = api.load(network_file)
        places.reads(named_inputs(net.network.task))
        result = api.simulate(net, text, backend=backend, samples=samples, kept=kept, report=tell, **options)
        if not is_main_process():
            return
        numbers = {"network": str(network_file), **result.to_dict(), "versions": versions()}
        for prediction in result.predictions:
            logits = ", ".join(f"{label} {value:+.3f}" for label, value in prediction.logits.items())
            say(f"{prediction.label}  ({logits})  {prediction.text}" if logits else prediction.label)
        _print(net.network, numbers)
        save_numbers(json_file, numbers)
        if kept is not None:
            remove_kept(kept)


def _print(network: Any, n: dict[str, Any]) -> None:
    from spk2loihi.data import formatted

    if n["score"] is not None:
        training = network.provenance.get("training", {})
        reference = (
            f"  (float equilibrium {formatted(training['score'], training['metric'])}, "
            f"teacher {formatted(training['teacher_score'], training['metric'])} on all held-out data)"
            if "teacher_score" in training
            else ""
        )
        scores = ", ".join(f"{metric} {formatted(value, metric)}" for metric, value in n["scores"].items())
        say(f"{n['backend']}: {scores} on {n['samples']} sentences{reference}")
    if n["truncated"]:
        say(f"{n['truncated']} sentences were cut to {network.max_tokens} tokens")
    synops = n["synops"]
    total = max(1, synops["total"])  # a silent network has none
    say(
        f"{n['schedule']}, {n['encoding']}, T = {n['timesteps']}, {n['latency_steps']} steps; "
        f"{synops['per_sample']:,.0f} SynOps per sentence ({synops['linear'] / total:.1%} linear, "
        f"{synops['attention'] / total:.1%} attention), T x density "
        f"{synops['total'] / synops['dense_equivalent']:.2f}; mean rate {n['mean_rate']:.3f}; "
        f"{seconds(n['wall_s'], n['compile_s'])}"
    )
