"""Every family of teachers: the student without spikes is its teacher, and its spikes are the same in every backend."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer

import spk2loihi as s2l
from spk2loihi.data import Examples, task_spec, tokenise
from spk2loihi.models import SpikingBertForSequenceClassification
from spk2loihi.models.float_network import float_network
from spk2loihi.training.evaluation import LabelledData, model_inputs
from spk2loihi.training.families import FAMILIES
from spk2loihi.training.families.fields import OVERRULED, WITHOUT_EFFECT
from spk2loihi.training.settings import TrainSettings
from spk2loihi.training.student import build_student, start_from_teacher
from spk2loihi.training.teacher import Teacher, TeacherProbe, load_teacher
from support.family_teachers import KINDS, make_model, make_teacher
from support.networks import random_batch, sentences_of
from support.tiny_task import TinyTask

LABELS = ["neg", "pos"]
LAYERS = [0, 1, 2]


def random_teacher(name: str) -> Teacher:
    layers = {"n_layers": 3} if name == "distilbert" else {"num_hidden_layers": 3}
    model = make_model(KINDS[name], 50, **layers)
    return Teacher(model, "{}", "in memory", FAMILIES[KINDS[name].family])


@pytest.mark.parametrize(
    ("name", "preset"),
    [(name, "spikingbert") for name in KINDS]
    + [("electra", "neurocore"), ("mpnet", "neurocore"), ("albert", "stock"), ("distilbert", "stock")],
)
def test_student_without_spikes_is_its_teacher(name: str, preset: str) -> None:
    """Padded batches and segment ids included; after channels are equalised, thresholds set and weights rounded."""
    teacher = random_teacher(name)
    settings = TrainSettings(max_tokens=16, preset=preset, bits=4)
    spec = task_spec(train_file="train.csv", labels=LABELS)
    batch = random_batch()
    if teacher.sizes.types == 1:
        batch.token_type_ids[:] = 0
    batch.input_ids[~batch.mask] = teacher.sizes.padding
    batch.input_ids[batch.mask & (batch.input_ids == teacher.sizes.padding)] = 7
    data = LabelledData(sentences_of(batch), np.zeros(4, np.int64))
    student = build_student(
        start_from_teacher(teacher, LAYERS, spec, settings), teacher, LAYERS, data, teacher.sizes.padding
    ).eval()
    inputs = model_inputs(batch, torch.device("cpu"))
    expected = TeacherProbe(teacher)(**inputs)
    with torch.no_grad(), float_network(student):
        found = student(**inputs)
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-5)
    mask = inputs["attention_mask"]
    assert len(found.hidden_states) == len(expected.hidden) == 4
    for ours, theirs in zip(found.hidden_states, expected.hidden, strict=True):
        rows = mask[:, : ours.shape[1], None]
        torch.testing.assert_close(ours * rows, theirs[:, : ours.shape[1]] * rows, rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(found.attentions, expected.scores, strict=True):
        pairs = mask[:, None, : ours.shape[2], None] * mask[:, None, None]
        torch.testing.assert_close(ours * pairs, theirs[:, :, : ours.shape[2]] * pairs, rtol=1e-4, atol=1e-4)
    with torch.no_grad():  # the switch leaves no trace
        assert not torch.equal(student(**inputs).logits, found.logits)


def test_relative_positions_reach_the_scores() -> None:
    teacher = random_teacher("mpnet")
    table = teacher.parts.relative
    assert table is not None and not torch.equal(table[:, 0], table[:, -1])
    assert len(table.unique()) > 20
    settings = TrainSettings(max_tokens=16, preset="stock")
    with pytest.raises(s2l.UserError, match="`preset` stock"):
        start_from_teacher(teacher, LAYERS, task_spec(train_file="train.csv", labels=LABELS), settings)


#: Those whose chain differs from another's in nothing but a name or a float function.
_ALIKE = ("bert, gelu_new", "xlm-roberta", "camembert", "electra, one width")


@pytest.fixture(scope="module", params=[pytest.param(n, marks=pytest.mark.slow if n in _ALIKE else ()) for n in KINDS])
def trained(request: pytest.FixtureRequest, tiny_task: TinyTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Teacher, student and network of a kind, in a folder."""
    folder = tmp_path_factory.mktemp("family")
    make_teacher(KINDS[request.param], folder / "teacher")
    files = {"train_file": tiny_task.train_file, "dev_file": tiny_task.dev_file}
    result = s2l.train(
        out=folder / "model.pt", teacher=folder / "teacher", timesteps=8, max_tokens=16, steps=6, learning_rate=1e-3,
        **files,
    )  # fmt: skip
    assert result.metrics["teacher_score"] > 0.9
    s2l.export(folder / "model.pt", folder / "model.net")
    return folder


def test_chain(trained: Path) -> None:
    """Trained, exported, simulated and compared with Lava, spike for spike."""
    result = s2l.simulate(trained / "model.net", samples=20)
    assert result.scores["accuracy"] > 0.7
    verification = s2l.verify(trained / "model.net", samples=3)
    assert verification.mismatches == 0 and verification.spikes_compared > 1000


def test_tokens_are_the_teachers(trained: Path) -> None:
    """`simulate --text` reads tokens as transformers does, pairs and their segments included."""
    theirs = AutoTokenizer.from_pretrained(trained / "teacher")
    ours = Tokenizer.from_str(s2l.load(trained / "model.net").network.tokenizer)
    texts, seconds = ["a good film", "dull plot, awful"], ["the scene", "one actor was funny"]
    for second in (None, seconds):
        examples = Examples(texts, second, [0, 0])
        for i, one in enumerate(tokenise(ours, examples, 16).encoded):
            pair = {} if second is None else {"text_pair": second[i]}
            expected = theirs(texts[i], **pair, return_token_type_ids=True)
            assert one.input_ids.tolist() == expected["input_ids"]
            assert one.token_type_ids.tolist() == expected["token_type_ids"]


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_field_of_a_configuration_is_in_a_table(kind: str) -> None:
    family, config = FAMILIES[kind], AutoConfig.for_model(kind)
    fields = set(config.to_dict()) | {name for name in vars(config) if not name.startswith("_")}
    assert fields - family.fields.keys() - OVERRULED.keys() - WITHOUT_EFFECT - family.unused == set()


@pytest.mark.parametrize(
    ("name", "field", "value", "words"),
    [
        ("roberta", "hidden_act", "silu", "only 'gelu' or 'gelu_new' or 'gelu_pytorch_tanh' or 'relu'"),
        ("roberta", "position_embedding_type", "relative_key", "only 'absolute'"),
        ("roberta", "pad_token_id", 40, "none are left"),
        ("roberta", "is_decoder", True, "causal attention"),
        ("distilbert", "activation", "silu", "only 'gelu'"),
        ("distilbert", "n_heads", 3, "dim 16 .* do not divide"),
        ("electra", "embedding_size", 0, "embedding_size"),
        ("albert", "inner_group_num", 2, "inner_group_num 2 .*only 1"),
        ("mpnet", "relative_attention_num_buckets", 16, "whole number from 32"),
        ("mpnet", "layer_norm_eps", 1e-3, "LayerNorm"),
        ("electra", "model_type", "deberta-v2", "a deberta-v2 model, but only encoders of the families ALBERT, BERT, "),
        ("electra", "model_type", "modernbert", "CamemBERT, DistilBERT, ELECTRA, MPNet, RoBERTa and XLM-RoBERTa"),
        ("electra", "model_type", "t5", "choose one of them"),
    ],
)
def test_what_a_student_does_not_have_is_refused(
    name: str, field: str, value: object, words: str, tmp_path: Path
) -> None:
    make_model(KINDS[name], 50).save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), field: value}))
    with pytest.raises(s2l.UserError, match=words) as error:
        load_teacher(str(tmp_path), LABELS)
    assert "\n" not in str(error.value)


def test_projected_and_relative_students_survive_their_files(tmp_path: Path) -> None:
    """What a student of BERT has not is in the files of those that have it."""
    for name in ("albert", "mpnet"):
        teacher = random_teacher(name)
        start = start_from_teacher(
            teacher, LAYERS, task_spec(train_file="train.csv", labels=LABELS), TrainSettings(max_tokens=16)
        )
        record = start.config.to_dict()
        again = type(start.config)(**record)
        assert again.topology == start.config.topology and again.to_dict() == record
        assert set(SpikingBertForSequenceClassification(again).state_dict()) == set(
            SpikingBertForSequenceClassification(start.config).state_dict()
        )
    assert "head" not in type(start.config)().to_dict()
