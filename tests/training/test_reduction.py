"""Students narrower than their teachers: where they start, what draws them, and the same integers in every backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

import spk2loihi as s2l
from spk2loihi.data import collate, load_train
from spk2loihi.models import SpikingBertForSequenceClassification
from spk2loihi.models.float_network import float_network
from spk2loihi.training.checkpoint import load_checkpoint
from spk2loihi.training.evaluation import LabelledData, model_inputs
from spk2loihi.training.losses import Distillation
from spk2loihi.training.reduction import least_squares, reduce_teacher, widening
from spk2loihi.training.sentences import labelled
from spk2loihi.training.settings import LossWeights, TrainSettings
from spk2loihi.training.student import start_from_teacher
from spk2loihi.training.teacher import Teacher, TeacherProbe, load_teacher
from support.command_chain import refused
from support.small_training import spec_of
from support.tiny_task import TinyTask

LAYERS = [0, 1]


@pytest.fixture(scope="module")
def known(tiny_task: TinyTask) -> tuple[Teacher, LabelledData, object]:
    """Teacher, tokenised sentences, task."""
    spec, examples = load_train(spec_of(tiny_task))
    teacher, _ = load_teacher(str(tiny_task.tuned), spec.labels)
    data, _ = labelled(Tokenizer.from_str(teacher.tokenizer), examples, 16, spec)
    return teacher, data, spec


def reduced(known: tuple, **sizes: int) -> tuple[SpikingBertForSequenceClassification, list[list[int]]]:
    teacher, data, spec = known
    config = start_from_teacher(teacher, LAYERS, spec, TrainSettings(max_tokens=16, **sizes)).config
    smaller = reduce_teacher(teacher, config, LAYERS, data, 0)
    student = SpikingBertForSequenceClassification(config).eval()
    student.copy_teacher(smaller.parts, LAYERS)
    return student, smaller.heads


def logits(known: tuple, student: SpikingBertForSequenceClassification) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the student without spikes, and of the teacher."""
    teacher, data, _ = known
    inputs = model_inputs(collate(data.encoded, 0), torch.device("cpu"))
    with torch.no_grad(), float_network(student):
        return student(**inputs).logits, TeacherProbe(teacher)(**inputs).logits


def test_nothing_is_lost_where_nothing_is_left_out(known: tuple) -> None:
    """Of neurons that write nothing the reduction rids itself without a trace."""
    teacher, data, spec = known
    layers = [teacher.model.bert.encoder.layer[i] for i in LAYERS]
    before = [layer.output.dense.weight.clone() for layer in layers]
    with torch.no_grad():
        for layer in layers:
            layer.output.dense.weight[:, ::2] = 0
    try:
        student, heads = reduced((teacher, data, spec), intermediate=32)
        ours, theirs = logits((teacher, data, spec), student)
    finally:
        with torch.no_grad():
            for layer, weight in zip(layers, before, strict=True):
                layer.output.dense.weight.copy_(weight)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert heads == [[0, 1], [0, 1]]


@pytest.mark.parametrize("sizes", [{"hidden": 24, "heads": 2}, {"hidden": 16}, {"hidden": 16, "heads": 2}])
def test_a_smaller_student_starts_near_its_teacher(known: tuple, sizes: dict[str, int]) -> None:
    student, heads = reduced(known, **sizes)
    assert student.config.hidden_size == sizes["hidden"] and student.config.intermediate_size == 2 * sizes["hidden"]
    assert [len(kept) for kept in heads] == [student.config.num_attention_heads] * 2
    ours, theirs = logits(known, student)
    agreement = float((ours.argmax(-1) == theirs.argmax(-1)).float().mean())
    assert agreement > 0.85, agreement
    noise = SpikingBertForSequenceClassification(student.config).eval()
    assert (ours - theirs).square().mean() < (logits(known, noise)[0] - theirs).square().mean() / 2


def test_states_of_the_student_widen_to_the_teachers(known: tuple) -> None:
    teacher, data, _ = known
    student, _ = reduced(known, hidden=24, heads=2)
    with float_network(student):
        matrix = widening(student, teacher, LAYERS, data, 0)
    assert matrix.shape == (32, 24)
    inputs = model_inputs(collate(data.encoded[:50], 0), torch.device("cpu"))
    with torch.no_grad(), float_network(student):
        ours, theirs = student(**inputs).hidden_states, TeacherProbe(teacher)(**inputs).hidden
    kept = inputs["attention_mask"].bool()
    wide, true = (ours[1] @ matrix.T)[kept], theirs[1][kept]
    assert (wide - true).square().mean() < true.square().mean() / 4


def test_least_squares_is_numpys() -> None:
    x, y = torch.randn(50, 4, dtype=torch.float64), torch.randn(50, 3, dtype=torch.float64)
    expected = np.linalg.lstsq(x.numpy(), y.numpy(), rcond=None)[0].T
    assert np.allclose(least_squares(x, y).numpy(), expected, atol=1e-3)


def test_the_projection_of_the_losses_is_learned_and_scores_are_those_of_the_heads(known: tuple) -> None:
    teacher, data, _ = known
    student, heads = reduced(known, hidden=16)
    matrix = widening(student, teacher, LAYERS, data, 0)
    weights = LossWeights(embedding=0, hidden=1, score=0, prediction=0, label=0)
    inputs = model_inputs(collate(data.encoded[:8], 0), torch.device("cpu"))
    zeros = torch.zeros(8, dtype=torch.long)
    objective = Distillation(student, TeacherProbe(teacher), LAYERS, weights, "class", None, matrix, heads)
    objective(inputs, zeros).backward()
    assert objective.widen is not None and objective.widen.weight.grad.abs().max() > 0
    scores = LossWeights(embedding=0, hidden=0, score=1, prediction=0, label=0)
    own, other = (
        Distillation(student, TeacherProbe(teacher), LAYERS, scores, "class", None, matrix, kept)(inputs, zeros)
        for kept in (heads, [[1 - head for head in kept] for kept in heads])
    )
    assert own < other


def test_chain(tiny_task: TinyTask, tmp_path: Path) -> None:
    """Trained, exported and compared with Lava; interrupted and resumed to the same bytes; continued."""
    files = {"train_file": tiny_task.train_file, "dev_file": tiny_task.dev_file}
    options = {**files, "max_tokens": 16, "timesteps": 8, "hidden": 16, "layers": [1], "steps": 20, "batch_size": 20}
    result = s2l.train(out=tmp_path / "model.pt", teacher=tiny_task.tuned, learning_rate=2e-3, **options)
    assert result.score > 0.8 and result.metrics["teacher_heads"] in ([[0]], [[1]])
    config = load_checkpoint(tmp_path / "model.pt").model.config
    assert (config.hidden_size, config.num_attention_heads, config.intermediate_size) == (16, 1, 32)
    net = s2l.export(tmp_path / "model.pt", tmp_path / "model.net")
    assert s2l.verify(net, samples=2).mismatches == 0
    more = s2l.train(
        out=tmp_path / "more.pt", teacher=tiny_task.tuned, student=tmp_path / "model.pt", steps=5, layers=[1], **files
    )
    assert more.metrics["teacher_heads"] == result.metrics["teacher_heads"] and more.score > 0.8


def test_general_then_task(tiny_task: TinyTask, tmp_path: Path) -> None:
    """A narrower student of raw text gets the pooler and classifier of the task's teacher, fitted to its states."""
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(["the film is a plot of one actor", "it was a lovely scene and dull"] * 40))
    files = {"train_file": tiny_task.train_file, "dev_file": tiny_task.dev_file}
    result = s2l.train(
        out=None, teacher=tiny_task.tuned, stage="all", corpus=corpus, hidden=24, heads=2, max_tokens=16, steps=15,
        learning_rate=2e-3, batch_size=20, **files,
    )  # fmt: skip
    assert [stage["stage"] for stage in result.metrics["stages"]] == ["general", "task", "prediction"]
    assert result.score > 0.7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--hidden", 64), "--hidden is 64, .* which have 32"),
        (("--heads", 4), "--heads is 4, .* which have 2"),
        (("--intermediate", 128), "--intermediate is 128, .* which have 64"),
        (("--heads", 1), "heads of 32 channels of a --hidden of 32, but the teacher's have 16: choose at least 2"),
        (("--hidden", 15, "--heads", 2), "not a multiple of 2"),
    ],
)
def test_sizes_no_student_can_have(options: tuple, words: str, tiny_task: TinyTask, tmp_path: Path) -> None:
    refused(
        tmp_path, "train", *tiny_task.data_options, "--teacher", tiny_task.tuned, "--max-tokens", 16, *options, "-o",
        tmp_path / "m.pt", words=words,
    )  # fmt: skip
