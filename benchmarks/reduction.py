"""How near a smaller student starts to its teacher: cosines of hidden states, before anything is trained or rounded.

    uv run python benchmarks/reduction.py --hidden 192

The packaged MiniLM over reviews; hidden states are taken back to its width by least squares.
"""

from __future__ import annotations

import argparse
import json
import time

import torch
from tokenizers import Tokenizer

from spk2loihi.data import collate, load_train, task_spec
from spk2loihi.models import SpikingBertForSequenceClassification
from spk2loihi.models.float_network import float_network
from spk2loihi.training.evaluation import model_inputs
from spk2loihi.training.reduction import least_squares, reduce_teacher
from spk2loihi.training.sentences import labelled
from spk2loihi.training.settings import TrainSettings
from spk2loihi.training.student import start_from_teacher
from spk2loihi.training.teacher import TeacherProbe, load_teacher

_SEEN, _SENTENCES = 900, 64  # reviews to reduce on, at most; reviews after them to compare on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("hidden", "heads", "intermediate"):
        parser.add_argument(f"--{name}", type=int)
    sizes = parser.parse_args()
    torch.manual_seed(0)
    spec, examples = load_train(task_spec())
    teacher, _ = load_teacher(None, spec.labels)
    data, _ = labelled(Tokenizer.from_str(teacher.tokenizer), examples.take(_SEEN + _SENTENCES), 64, spec)
    layers = list(range(teacher.sizes.layers))
    config = start_from_teacher(teacher, layers, spec, TrainSettings(**vars(sizes))).config
    started = time.perf_counter()
    reduced = reduce_teacher(teacher, config, layers, data, teacher.sizes.padding)
    seconds = time.perf_counter() - started
    student = SpikingBertForSequenceClassification(config).eval()
    student.copy_teacher(reduced.parts, layers)
    inputs = model_inputs(collate(data.encoded[_SEEN:], teacher.sizes.padding), torch.device("cpu"))
    with torch.no_grad(), float_network(student):
        ours, theirs = student(**inputs).hidden_states, TeacherProbe(teacher)(**inputs).hidden
    mask = inputs["attention_mask"].bool()
    cosines = []
    for x, y in list(zip(ours, theirs, strict=True))[:-1]:  # of the last layer there is but one state a sentence
        a, b = x[mask], y[mask]
        cosines.append(round(float(torch.cosine_similarity(a @ least_squares(a, b).T, b, dim=-1).mean()), 3))
    numbers = {
        "hidden": config.hidden_size,
        "heads": config.num_attention_heads,
        "intermediate": config.intermediate_size,
        "parameters": sum(p.numel() for p in student.parameters()),
        "cosine": cosines,
        "seconds": round(seconds, 1),
    }
    print(json.dumps(numbers))


if __name__ == "__main__":
    main()
