"""Tags of words on a generated set: entity F1 of the teacher, of the student in floats, and of its integer network.

    uv run python benchmarks/tagging.py

Sentences of a dozen patterns with names of people, places and firms; held-out names are not in the training set. The
packaged MiniLM is fine-tuned on them, and a student of all its layers distilled.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import spk2loihi as s2l

_PATTERNS = (
    "{PER} moved from {LOC} to {LOC} last year", "{ORG} has opened an office in {LOC}", "{PER} works for {ORG}",
    "the head of {ORG} , {PER} , lives in {LOC}", "nobody in {LOC} had heard of {PER}", "{ORG} bought {ORG} in spring",
    "{PER} and {PER} met in {LOC}", "shares of {ORG} fell", "a letter from {PER} arrived", "it rains in {LOC}",
    "{PER} left {ORG} after ten years", "the film was shot near {LOC} by {PER}",
)  # fmt: skip
_FIRST = (
    "anna", "ben", "carla", "david", "emma", "frank", "greta", "henry",
    "irene", "jacob", "karen", "louis", "maria", "nora", "oscar", "paula",
)  # fmt: skip
_LAST = (
    "adams", "baker", "clark", "dixon", "evans", "foster", "grant", "hughes",
    "irwin", "jones", "keller", "lewis", "moore", "nolan", "owens", "parker",
)  # fmt: skip
_PLACES = (
    "london", "paris", "boston", "madrid", "dublin", "oslo", "cairo",
    "lisbon", "vienna", "geneva", "athens", "denver", "dallas", "miami",
)  # fmt: skip
_FIRMS = (
    "northern", "global", "united", "pacific", "royal", "central",
    "modern", "allied", "premier", "atlantic", "summit", "pioneer",
)  # fmt: skip
_KINDS = ("bank", "motors", "foods", "airlines", "media", "energy")


def _name(kind: str, rng: random.Random, held_out: bool) -> list[str]:
    def one(words: tuple[str, ...]) -> str:
        return rng.choice(words[-4:] if held_out else words[:-4])

    if kind == "LOC":
        return [*(["new"] if rng.random() < 0.2 else []), one(_PLACES)]
    return [one(_FIRST), one(_LAST)] if kind == "PER" else [one(_FIRMS), rng.choice(_KINDS)]


def write(path: Path, count: int, seed: int, held_out: bool) -> Path:
    """A file in CoNLL's columns."""
    rng, lines = random.Random(seed), []
    for _ in range(count):
        for word in rng.choice(_PATTERNS).split():
            kind = word.strip("{}")
            if kind == word:
                lines.append(f"{word} O")
                continue
            name = _name(kind, rng, held_out)
            lines += [f"{part} {'I' if i else 'B'}-{kind}" for i, part in enumerate(name)]
        lines.append("")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=400)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        result = s2l.train(
            train_file=write(folder / "train.conll", arguments.sentences, 0, held_out=False),
            dev_file=write(folder / "dev.conll", 200, 1, held_out=True),
            metric="entity_f1",
            out=folder / "model.pt",
            max_tokens=24,
            teacher_epochs=3,
            steps=arguments.steps,
            report=print,
        )
        net = s2l.export(result)
        simulation = s2l.simulate(net)
        numbers = {
            "teacher": result.metrics["teacher_score"],
            "student": result.score,
            "integer network": simulation.scores["entity_f1"],
            "synops per sentence": simulation.synops["per_sample"],
            "mismatches of the emulator and Lava, 4 sentences": s2l.verify(net, samples=4).mismatches,
            "seconds of training": round(result.metrics["wall_s"]),
        }
    print(json.dumps(numbers))


if __name__ == "__main__":
    main()
