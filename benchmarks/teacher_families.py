"""Teachers of real size, with random weights, through `export` and `fit`: seconds, and the most memory taken.

uv run python benchmarks/teacher_families.py distilbert
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

import spk2loihi as s2l
from spk2loihi.data import load_train, task_spec
from spk2loihi.training.checkpoint import Checkpoint, save_checkpoint
from spk2loihi.training.families import FAMILIES
from spk2loihi.training.sentences import labelled
from spk2loihi.training.settings import TrainSettings
from spk2loihi.training.student import build_student, start_from_teacher
from spk2loihi.training.teacher import Teacher

#: What differs from the configuration that transformers has for a family, in the base model of each.
BASE: dict[str, dict[str, Any]] = {
    "distilbert": {},
    "roberta": {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "electra": {"embedding_size": 768, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
    "albert": {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
    "mpnet": {"max_position_embeddings": 514},
}
_CALIBRATION_SENTENCES = 64
_DEVIATION = 0.04  # of weights, as trained encoders have it


@contextmanager
def timed(what: str, into: dict[str, float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    into[f"{what}_s"] = round(time.perf_counter() - started, 1)
    into[f"{what}_peak_GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)  # so far


def tokenizer_of(texts: list[str]) -> str:
    """Byte pairs of the embedded reviews."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>"]
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=8000, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 2)])
    return str(tokenizer.to_str())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=BASE)
    parser.add_argument("--preset", default="spikingbert")
    parser.add_argument("--max-tokens", type=int, default=64)
    arguments = parser.parse_args()
    family = FAMILIES[arguments.family]
    numbers: dict[str, float] = {}
    spec, examples = load_train(task_spec())
    torch.manual_seed(0)
    with timed("teacher", numbers):
        fields = {"initializer_range": _DEVIATION, **BASE[arguments.family]}
        config = transformers.AutoConfig.for_model(family.model_type, **fields)
        model = getattr(transformers, family.classifier)(config).eval()
        teacher = Teacher(model, tokenizer_of(examples.text_a), "random weights", family)
    layers = list(range(teacher.sizes.layers))
    settings = TrainSettings(preset=arguments.preset, max_tokens=arguments.max_tokens)
    with timed("student", numbers):
        few, _ = labelled(
            Tokenizer.from_str(teacher.tokenizer), examples.take(_CALIBRATION_SENTENCES), settings.max_tokens, spec
        )
        start = start_from_teacher(teacher, layers, spec, settings)
        student = build_student(start, teacher, layers, few, teacher.sizes.padding)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        with timed("save", numbers):
            save_checkpoint(Checkpoint(student, teacher.tokenizer, spec.to_dict()), path)
        del model, teacher, student
        with timed("export", numbers):
            net = s2l.export(path, Path(folder) / "model.net")
        with timed("fit", numbers):
            report = s2l.fit(net).to_dict()
        numbers["network_MB"] = round((Path(folder) / "model.net").stat().st_size / 1e6, 1)
    numbers["synapses_per_token"] = net.network.synapses
    numbers["cores"] = report["cores"]
    print(json.dumps({"family": family.name, **numbers}))


if __name__ == "__main__":
    main()
