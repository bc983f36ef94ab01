"""How large thresholds start: score and SynOps of a student by the squared error that its calibration tolerates.

    uv run python benchmarks/thresholds.py --task SST-2 --data-dir SST-2 --teacher teacher [--errors 0 0.02] [--steps N]

Of 0 every threshold is that of the least error. Without --steps, students are those that training starts from. Scores
are those of the integer network on the held-out sentences.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import spk2loihi as s2l
from spk2loihi.energy.estimate import t_times_density
from spk2loihi.models import neuron

_STILL = 1e-12  # a learning rate that leaves every weight where it is


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--teacher", required=True, help="fine-tuned")
    parser.add_argument("--timesteps", type=int, default=16)
    parser.add_argument("--errors", type=float, nargs="+", default=[0, 0.005, 0.01, 0.02, 0.03, 0.05])
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rates = (
        {"learning_rate": 1e-4, "evaluate_every": max(1, given.steps // 2)} if given.steps
        else {"learning_rate": _STILL, "threshold_learning_rate": _STILL}
    )  # fmt: skip
    print("| error | score | SynOps a sentence | T x density |\n|---|---|---|---|", flush=True)
    for error in given.errors:
        neuron.TOLERATED_ERROR = error
        with TemporaryDirectory() as folder:
            out = Path(folder) / "model.pt"
            s2l.train(
                out=out, task=given.task, data_dir=given.data_dir, teacher=given.teacher, timesteps=given.timesteps,
                steps=max(1, given.steps), seed=given.seed, **rates,
            )  # fmt: skip
            network = s2l.export(out, Path(folder) / "model.net")
            run = s2l.simulate(network)
        score, spent = next(iter(run.scores.values())), run.synops["per_sample"] / 1e6
        print(f"| {error:g} | {score:.2%} | {spent:.0f} M | {t_times_density(run.stages):.2f} |", flush=True)


if __name__ == "__main__":
    main()
