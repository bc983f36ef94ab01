"""How a task is parted, and how much of a random validation part would be phrases of training sentences.

uv run python benchmarks/validation.py --task SST-2 --data-dir SST-2
"""

from __future__ import annotations

import argparse

import numpy as np

from spk2loihi.data import load_parts, load_train, task_spec
from spk2loihi.data.phrases import Phrases

_RANDOM = 2000  # sentences of the random part, at most a tenth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task")
    parser.add_argument("--data-dir")
    given = parser.parse_args()
    spec, examples = load_train(task_spec(given.task, given.data_dir))
    _, parts = load_parts(spec)
    validation = 0 if parts.validation is None else len(parts.validation)
    left = len(examples) - len(parts.train) - validation
    print(
        f"{spec.name}: {len(examples):,} sentences; {len(parts.train):,} to train on, {validation:,} for validation, "
        f"{left:,} in neither; {len(parts.held_out):,} held out"
    )
    if examples.text_b is not None:
        return
    phrases = Phrases(examples.text_a)
    wholes = {phrases.words[i] for i in range(len(examples)) if not phrases.is_part(i)}
    print(f"{len(wholes):,} different sentences are no phrase of another one")
    order = np.random.default_rng(0).permutation(len(examples)).tolist()
    size = min(_RANDOM, len(order) // 10)
    inside = phrases.parts_of(order[size:]) & set(order[:size])
    print(f"of a random part of {size:,}, {len(inside) / size:.1%} are phrases of one of the others")


if __name__ == "__main__":
    main()
