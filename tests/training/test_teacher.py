"""Teachers as users have them: labels in any order, odd weights, configurations, tokenizers; read or refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel

import spk2loihi as s2l
from spk2loihi.data import TaskSpec, load_held_out, task_spec
from spk2loihi.training.evaluation import evaluate
from spk2loihi.training.fine_tune import check_given
from spk2loihi.training.sentences import labelled
from spk2loihi.training.settings import TrainSettings, default_epochs
from spk2loihi.training.teacher import Teacher, load_teacher, teacher_in_memory
from spk2loihi.training.teacher_config import _CHECKED, _OVERRULED, _WITHOUT_EFFECT
from spk2loihi.training.teacher_labels import output_order
from spk2loihi.training.teacher_score import check_teacher_score
from support.command_chain import SMALL, refused
from support.tiny_task import TinyTask, spk2loihi

LABELS = ["neg", "pos"]


def accuracy(teacher: Teacher, task: TinyTask) -> float:
    spec = task_spec(train_file=task.train_file, dev_file=task.dev_file, labels=LABELS)
    data, _ = labelled(Tokenizer.from_str(teacher.tokenizer), load_held_out(spec), 32)
    return evaluate(teacher.model, data, ["accuracy"], 0)["accuracy"]


def edited(task: TinyTask, place: Path, weights: Callable[[dict], dict] | None = None, **config: Any) -> Path:
    """A copy of the tuned teacher with other weights, and other fields of its configuration; ``...`` removes one."""
    shutil.copytree(task.tuned, place)
    record = {**json.loads((place / "config.json").read_text()), **config}
    (place / "config.json").write_text(json.dumps({k: v for k, v in record.items() if v is not ...}))
    if weights is not None:
        save_file(weights(load_file(place / "model.safetensors")), place / "model.safetensors", {"format": "pt"})
    return place


def swapped(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**weights, **{n: weights[n].flip(0).contiguous() for n in ("classifier.weight", "classifier.bias")}}


def refusal(source: Path | None, words: str, labels: list[str] = LABELS) -> str:
    with pytest.raises(s2l.UserError, match=words) as error:
        load_teacher(str(source), labels)
    assert "\n" not in str(error.value)
    assert str(source) in str(error.value)
    return str(error.value)


# Labels


@pytest.mark.parametrize(
    ("names", "labels", "order"),
    [
        (["neg", "pos"], LABELS, [0, 1]),
        (["pos", "neg"], LABELS, [1, 0]),
        (["POS", " Neg "], LABELS, [1, 0]),
        (["Positive", "Negative"], LABELS, [1, 0]),
        (["LABEL_0", "LABEL_1"], LABELS, [0, 1]),
        (["LABEL_1", "LABEL_0"], LABELS, [1, 0]),
        (["0", "1"], LABELS, [0, 1]),
        (["1", "0"], LABELS, [1, 0]),
        (["0", "1"], ["acceptable", "unacceptable"], [1, 0]),
        (["LABEL_0", "LABEL_1"], ["acceptable", "unacceptable"], [0, 1]),
        (["POSITIVE", "NEGATIVE"], ["0", "1"], [1, 0]),
        (["2", "1"], ["1", "2"], [1, 0]),
        (["1.0", "0.0"], ["0", "1"], [1, 0]),
        (["contradiction", "entailment", "neutral"], ["entailment", "neutral", "contradiction"], [1, 2, 0]),
        (["Not Entailment", "ENTAILMENT"], ["entailment", "not_entailment"], [1, 0]),
        (["paraphrase", "not_paraphrase"], ["not_equivalent", "equivalent"], [1, 0]),
        (["ungrammatical", "grammatical"], ["unacceptable", "acceptable"], [0, 1]),
        (["a", "A"], ["A", "a"], [1, 0]),
        (["+", "-"], ["-", "+"], [1, 0]),
    ],
)
def test_outputs_are_found_by_name(names: list[str], labels: list[str], order: list[int]) -> None:
    assert output_order({"id2label": {str(i): name for i, name in enumerate(names)}}, labels, "X") == order


@pytest.mark.parametrize(
    ("config", "labels", "words"),
    [
        ({"id2label": {"0": "joy", "1": "anger"}}, LABELS, "names its labels joy, anger, but the task's are neg, pos"),
        ({"id2label": {"0": "neg", "1": "neg"}}, LABELS, "names its labels neg, neg"),
        ({"id2label": {"0": "neg", "1": "anger"}}, LABELS, "id2label"),
        ({"id2label": {"1": "neg", "2": "pos"}}, LABELS, "outputs 0, 1"),
        ({"id2label": ["neg", "pos"]}, LABELS, "outputs 0, 1"),
        ({"id2label": {"0": "neg", "1": "pos"}, "label2id": {"neg": 1, "pos": 0}}, LABELS, "label2id"),
        ({"id2label": {"0": "neg", "1": "pos"}, "num_labels": 3}, LABELS, "num_labels 3"),
        ({"num_labels": 3}, LABELS, r"has 3 labels, but the task has 2 \(neg, pos\)"),
        ({"id2label": {"0": "1", "1": "2"}}, ["0", "1"], "names its labels 1, 2"),
        ({"problem_type": "multi_label_classification"}, LABELS, "multi_label_classification"),
        ({"problem_type": "regression"}, LABELS, "to choose one of 2 labels"),
        ({"problem_type": "multi_label_classification", "num_labels": 1}, ["score"], "a regression"),
    ],
)
def test_outputs_that_have_no_sure_label_are_refused(config: dict, labels: list[str], words: str) -> None:
    with pytest.raises(s2l.UserError, match=words):
        output_order(config, labels, "X")


def test_names_of_label2id_alone_count() -> None:
    assert output_order({"label2id": {"pos": 0, "neg": 1}}, LABELS, "X") == [1, 0]


def test_a_head_in_another_order_is_permuted(tiny_task: TinyTask, tmp_path: Path) -> None:
    straight, _ = load_teacher(str(tiny_task.tuned), LABELS)
    names = {"id2label": {"0": "POS", "1": "NEG"}, "label2id": {"POS": 0, "NEG": 1}}
    teacher, fine_tuned = load_teacher(str(edited(tiny_task, tmp_path / "t", swapped, **names)), LABELS)
    assert fine_tuned
    assert torch.equal(teacher.model.classifier.weight, straight.model.classifier.weight)
    assert accuracy(teacher, tiny_task) == accuracy(straight, tiny_task) > 0.9
    assert teacher.model.config.id2label == {0: "neg", 1: "pos"}
    assert teacher.model.config.label2id == {"neg": 0, "pos": 1}


def test_a_head_in_memory_is_permuted_in_the_copy(tiny_task: TinyTask, tmp_path: Path) -> None:
    place = edited(tiny_task, tmp_path / "t", swapped, id2label={"0": "pos", "1": "neg"})
    model, tokenizer = BertForSequenceClassification.from_pretrained(place), AutoTokenizer.from_pretrained(place)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config = model.config.to_dict()
    assert accuracy(teacher_in_memory(model.half(), tokenizer, LABELS), tiny_task) > 0.9
    model.float()
    assert all(torch.allclose(before[name], tensor, atol=1e-3) for name, tensor in model.state_dict().items())
    assert {**model.config.to_dict(), "dtype": config["dtype"]} == config
    model.config.id2label = {0: "joy", 1: "anger"}
    with pytest.raises(s2l.UserError, match="joy"):
        teacher_in_memory(model, tokenizer, LABELS)


def test_an_inverted_head_without_names_is_an_error(tiny_task: TinyTask, tmp_path: Path) -> None:
    inverted = edited(tiny_task, tmp_path / "t", swapped)
    (tmp_path / "out").mkdir()
    line = refused(
        tmp_path, "train", *tiny_task.data_options, "--teacher", inverted, *SMALL, "-o", tmp_path / "out" / "model.pt"
    )
    assert "if its outputs stand for pos, neg" in line
    assert "id2label" in line


# Scores


def spec_of(metric: str, labels: list[str]) -> TaskSpec:
    return TaskSpec(kind="files", name="t", train_file="/t.csv", labels=labels, metric=metric)


def judged(metric: str, predicted: list[float], true: list[float], labels: list[str], given: bool = True) -> str | None:
    from spk2loihi.data import score

    a, b = np.array(predicted), np.array(true)
    try:
        check_teacher_score(spec_of(metric, labels), {metric: score(metric, a, b)}, b, lambda: a, "X", given)
    except s2l.UserError as error:
        return str(error)
    return None


TRUE = [0, 1, 1, 1] * 25


@pytest.mark.parametrize("metric", ["accuracy", "f1", "matthews"])
@pytest.mark.parametrize("given", [True, False])
def test_a_teacher_that_says_nothing_is_refused(metric: str, given: bool) -> None:
    always = judged(metric, [1] * 100, TRUE, LABELS, given)
    assert always is not None and "answering 'pos' to every sentence" in always
    assert ("fine-tuned on this task" if given else "`teacher_epochs`") in always
    assert judged(metric, list(np.random.default_rng(0).permutation(TRUE)), TRUE, LABELS, given) is not None
    assert judged(metric, [0] * 100, TRUE, LABELS, given) is not None
    assert judged(metric, TRUE, TRUE, LABELS, given) is None
    assert judged(metric, [*TRUE[:80], *[1] * 20], TRUE, LABELS, given) is None


def test_few_sentences_are_judged_with_their_error() -> None:
    for n in range(2, 12):
        true = [i % 2 for i in range(n)]
        assert judged("accuracy", true, true, LABELS) is None
        assert judged("accuracy", [0] * n, true, LABELS) is not None
    assert judged("accuracy", [0, 0, 0], [0, 0, 0], LABELS) is None  # one class tells nothing
    assert judged("accuracy", [0, 1, 0, 1, 0, 1, 0, 0], [0, 1, 0, 1, 0, 1, 0, 1], LABELS) is None


def test_a_teacher_that_knows_a_rare_class_is_kept() -> None:
    true, predicted = np.zeros(1000, int), np.zeros(1000, int)
    true[:50] = 1
    predicted[:25] = predicted[100:130] = 1  # below the majority's 95 %, and far from nothing
    assert judged("accuracy", list(predicted), list(true), LABELS) is None


def test_three_labels_in_another_order_are_noticed() -> None:
    true = [0, 1, 2] * 40
    for order in ([1, 0, 2], [2, 0, 1]):
        message = judged("accuracy", [order[i] for i in true], true, ["a", "b", "c"])
        assert message is not None and "if its outputs stand for" in message


def test_regressions() -> None:
    true = list(np.random.default_rng(0).random(50))
    assert judged("pearson", [0.5] * 50, true, ["score"]) is not None
    assert judged("pearson", [-x for x in true], true, ["score"]) is not None
    assert judged("spearman", [float("nan")] * 50, true, ["score"]) is not None
    assert judged("pearson", true, true, ["score"]) is None


def test_a_teacher_that_has_not_learned_the_task_is_not_distilled(tiny_task: TinyTask, tmp_path: Path) -> None:
    kept = tmp_path / "teacher"
    kept.mkdir()
    (kept / "note").write_text("of an earlier run")
    report: list[str] = []
    files = {"train_file": tiny_task.train_file, "dev_file": tiny_task.dev_file}
    encoder = tmp_path / "bert"  # one that knows nothing of these words
    BertModel(BertConfig.from_pretrained(tiny_task.teacher)).save_pretrained(encoder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_task.teacher / name, encoder)
    with pytest.raises(s2l.UserError, match=r"`teacher_epochs`.*`teacher_learning_rate`.*fine-tuned `teacher`"):
        s2l.train(
            out=tmp_path / "model.pt", teacher=str(encoder), max_tokens=16, teacher_epochs=1, batch_size=50,
            teacher_learning_rate=1e-8, report=report.append, force=True, **files,
        )  # fmt: skip
    assert not any(line.startswith("student") for line in report)
    assert {path.name for path in tmp_path.iterdir()} == {"teacher", "bert"}
    assert (kept / "note").is_file()


def test_a_given_teacher_is_checked_before_a_sweep(tiny_task: TinyTask, tmp_path: Path) -> None:
    teacher, _ = load_teacher(str(edited(tiny_task, tmp_path / "t", swapped)), LABELS)
    spec = task_spec(train_file=tiny_task.train_file, dev_file=tiny_task.dev_file, labels=LABELS)
    with pytest.raises(s2l.UserError, match="outputs stand for"):
        check_given(teacher, spec, load_held_out(spec), 16)


# Epochs


@pytest.mark.parametrize(
    ("kind", "sentences", "epochs"),
    [("reviews", 7677, 1), ("glue", 67349, 1), ("files", 60000, 1), ("files", 59999, 2), ("glue", 8551, 8),
     ("glue", 5749, 10), ("glue", 2490, 10), ("files", 200, 10), ("files", 1, 10)],
)  # fmt: skip
def test_default_epochs(kind: Any, sentences: int, epochs: int) -> None:
    where = {"glue": {"data_dir": "/d"}, "files": {"train_file": "/t.csv"}}.get(kind, {})
    name, labels = ("SST-2", ["negative", "positive"]) if kind == "glue" else ("reviews", ["negative", "positive"])
    spec = TaskSpec(kind=kind, name=name, labels=labels, **where)
    assert default_epochs(spec, sentences) == epochs
    made = TrainSettings().for_task(spec, sentences)
    assert (made.epochs, made.teacher_epochs) == (epochs, epochs)
    assert TrainSettings().for_task(spec, sentences, on_corpus=True).epochs == 1
    given = TrainSettings(epochs=2, teacher_epochs=7).for_task(spec, sentences)
    assert (given.epochs, given.teacher_epochs) == (2, 7)


# Weights


def renamed(prefix: str) -> Callable[[dict], dict]:
    return lambda w: {prefix + name.removeprefix("bert."): x for name, x in w.items()}


BAD_WEIGHTS: dict[str, tuple[Callable[[dict], dict], str]] = {
    "DataParallel": (lambda w: {f"module.{n}": x for n, x in w.items()}, r"lacks 41 of 41.*module\.bert"),
    "roberta": (lambda w: {n.replace("bert.", "roberta."): x for n, x in w.items()}, r"lacks 39 of 41.*roberta\."),
    "a layer less": (lambda w: {n: x for n, x in w.items() if ".layer.1." not in n}, r"lacks 16 of 41.*and 13 more"),
    "no classifier": (lambda w: {n: x for n, x in w.items() if "classifier" not in n}, "lacks 2 of 41.*classifier"),
    "no pooler": (lambda w: {n: x for n, x in w.items() if "pooler" not in n}, "lacks 2 of 41.*pooler"),
    "NaN": (lambda w: {n: x * (float("nan") if "1.output.dense.bias" in n else 1) for n, x in w.items()}, "not finite"),
    "infinity": (lambda w: {n: x / (0 if "word_emb" in n else 1) for n, x in w.items()}, "not finite.*word_emb"),
    "other shape": (lambda w: {n: x[:-1].clone() if "word_emb" in n else x for n, x in w.items()}, "shape 60 x 32"),
    "other labels": (lambda w: {n: torch.cat([x, x]) if "classifier" in n else x for n, x in w.items()}, "4 x 32"),
    "integers": (lambda w: {n: x.to(torch.int8) if "query.weight" in n else x for n, x in w.items()}, "quantised.*I8"),
    "scales": (lambda w: {**w, "bert.encoder.layer.0.attention.self.query.weight.SCB": torch.ones(1)}, "quantised"),
}


@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_weights_that_would_be_random_or_nonsense_are_refused(kind: str, tiny_task: TinyTask, tmp_path: Path) -> None:
    change, words = BAD_WEIGHTS[kind]
    refusal(edited(tiny_task, tmp_path / "t", change), words)


def test_a_file_of_weights_that_is_nested_too_deep_is_refused(tiny_task: TinyTask, tmp_path: Path) -> None:
    header = b"[" * 100_000 + b"]" * 100_000
    place = edited(tiny_task, tmp_path / "t")
    (place / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    refusal(place, "cannot be loaded")


def test_weights_of_the_bare_encoder_without_prefix_are_read(tiny_task: TinyTask, tmp_path: Path) -> None:
    teacher, _ = load_teacher(str(edited(tiny_task, tmp_path / "t", renamed(""))), LABELS)
    assert accuracy(teacher, tiny_task) > 0.9


def test_weights_that_are_not_used_are_said(tiny_task: TinyTask, tmp_path: Path) -> None:
    more = edited(tiny_task, tmp_path / "t", lambda w: {**w, "cls.predictions.bias": torch.zeros(3)})
    notes = load_teacher(str(more), LABELS)[0].notes
    assert len(notes) == 1 and "1 of its weights" in notes[0] and "cls.predictions.bias" in notes[0]
    files = {"train_file": tiny_task.train_file, "dev_file": tiny_task.dev_file}
    lines: list[str] = []
    s2l.train(out=None, teacher=str(more), max_tokens=16, batch_size=100, steps=1, report=lines.append, **files)
    assert notes[0] in lines
    assert load_teacher(str(tiny_task.tuned), LABELS)[0].notes == []


def test_a_language_model_has_a_fresh_pooler_and_says_so(tiny_task: TinyTask, tmp_path: Path) -> None:
    place = edited(
        tiny_task, tmp_path / "t", lambda w: {n: x for n, x in w.items() if "pooler" not in n and "classif" not in n},
        architectures=["BertForMaskedLM"],
    )  # fmt: skip
    teacher, fine_tuned = load_teacher(str(place), LABELS)
    assert not fine_tuned and any("no pooler" in note for note in teacher.notes)
    tagger = edited(tiny_task, tmp_path / "u", architectures=["BertForTokenClassification"])
    three, _ = load_teacher(str(tagger), ["a", "b", "c"])
    assert three.model.classifier.out_features == 3


def test_old_and_sharded_files(tiny_task: TinyTask, tmp_path: Path) -> None:
    model = BertForSequenceClassification.from_pretrained(tiny_task.tuned)
    shards = edited(tiny_task, tmp_path / "shards")
    (shards / "model.safetensors").unlink()
    model.save_pretrained(shards, max_shard_size="30KB")
    assert accuracy(load_teacher(str(shards), LABELS)[0], tiny_task) > 0.9
    one = sorted(shards.glob("model-*"))[1]
    one.write_bytes(one.read_bytes()[:-100])
    refusal(shards, "cannot be loaded")
    one.unlink()
    refusal(shards, "cannot be loaded")
    pickled = edited(tiny_task, tmp_path / "bin")
    (pickled / "model.safetensors").unlink()
    torch.save(model.state_dict(), pickled / "pytorch_model.bin")
    assert accuracy(load_teacher(str(pickled), LABELS)[0], tiny_task) > 0.9
    torch.save({"model": model}, pickled / "pytorch_model.bin")
    refusal(pickled, "cannot be loaded")
    (pickled / "pytorch_model.bin").write_bytes(b"")
    refusal(pickled, "cannot be loaded")


# Configurations


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("hidden_act", "relu", "only 'gelu'"),
        ("hidden_act", "gelu_new", "only 'gelu'"),
        ("position_embedding_type", "relative_key", "only 'absolute'"),
        ("layer_norm_eps", 1e-3, "LayerNorm"),
        ("layer_norm_eps", "x", "LayerNorm"),
        ("is_decoder", True, "causal attention"),
        ("add_cross_attention", True, "cross-attention"),
        ("is_encoder_decoder", True, "decoder"),
        ("pruned_heads", {"0": [1]}, "fewer heads"),
        ("quantization_config", {"quant_method": "bitsandbytes"}, "quantised"),
        ("auto_map", {"AutoModel": "own.Model"}, "never run"),
        ("dtype", "float8_e4m3fn", "float32"),
        ("torch_dtype", "int8", "float32"),
        ("hidden_dropout_prob", 1.0, "from 0 up to 1"),
        ("classifier_dropout", "no", "from 0 up to 1"),
        ("vocab_size", 0, "whole number"),
        ("vocab_size", 10**13, "parameters"),
        ("hidden_size", "32", "whole number"),
        ("hidden_size", 33, "heads do not divide"),
        ("num_hidden_layers", 0, "whole number"),
        ("num_hidden_layers", 3, "lacks 16"),
        ("intermediate_size", 65, "shape"),
        ("max_position_embeddings", 63, "shape"),
        ("type_vocab_size", 0, "whole number"),
        ("embedding_size", 16, "of one width"),
        ("pad_token_id", -1, "pad_token_id"),
        ("pad_token_id", 61, "pad_token_id"),
        ("num_labels", 5, "5 labels"),
        ("problem_type", "multi_label_classification", "problem_type"),
        ("model_type", "roberta", "only BERT encoders"),
        ("model_type", "nonsense", "only BERT encoders"),
        ("model_type", ["bert"], "only BERT encoders"),
        ("architectures", "x", "lacks|cannot"),
    ],
)
def test_what_a_student_does_not_have_is_refused(
    field: str, value: Any, words: str, tiny_task: TinyTask, tmp_path: Path
) -> None:
    place = edited(tiny_task, tmp_path / "t", **{field: value})
    if field == "architectures":
        load_teacher(str(place), LABELS)  # says nothing of a classifier: fine-tuned first
    else:
        refusal(place, words)


@pytest.mark.parametrize(
    ("field", "value"),
    [("return_dict", False), ("output_attentions", True), ("output_hidden_states", True), ("torch_dtype", "float16"),
     ("chunk_size_feed_forward", 7), ("tie_word_embeddings", False), ("use_cache", False), ("pad_token_id", None),
     ("position_embedding_type", "absolute"), ("layer_norm_eps", 1e-5), ("pruned_heads", {}),
     ("directionality", "bidi")],
)  # fmt: skip
def test_what_makes_no_difference_is_accepted(field: str, value: Any, tiny_task: TinyTask, tmp_path: Path) -> None:
    teacher, _ = load_teacher(str(edited(tiny_task, tmp_path / "t", **{field: value})), LABELS)
    assert teacher.notes == []
    assert accuracy(teacher, tiny_task) > 0.9
    assert teacher.model.dtype == torch.float32


def test_every_field_of_a_bert_is_in_the_table() -> None:
    fields = set(BertConfig().to_dict()) | {name for name in vars(BertConfig()) if not name.startswith("_")}
    assert fields - _CHECKED.keys() - _OVERRULED.keys() - _WITHOUT_EFFECT == set()


def test_unknown_fields_are_said(tiny_task: TinyTask, tmp_path: Path) -> None:
    notes = load_teacher(str(edited(tiny_task, tmp_path / "t", rotary=True)), LABELS)[0].notes
    assert len(notes) == 1 and "rotary" in notes[0]


def test_adapters_are_refused(tiny_task: TinyTask, tmp_path: Path) -> None:
    place = edited(tiny_task, tmp_path / "t")
    (place / "adapter_config.json").write_text("{}")
    refusal(place, "merge")


def test_models_in_memory_that_were_changed_are_refused(tiny_task: TinyTask) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_task.tuned)

    def changed(change: Callable[[Any], Any], words: str) -> None:
        model = BertForSequenceClassification.from_pretrained(tiny_task.tuned)
        change(model)
        with pytest.raises(s2l.UserError, match=words):
            teacher_in_memory(model, tokenizer, LABELS)

    changed(lambda m: m.bert.encoder.layer.pop(1), "not the BERT of its configuration")
    changed(lambda m: setattr(m, "classifier", torch.nn.Sequential(m.classifier)), "classifier.weight")
    changed(lambda m: setattr(m, "classifier", torch.nn.Linear(32, 3)), "classifier.weight")
    changed(lambda m: m.classifier.bias.data.fill_(float("nan")), "not finite")
    changed(lambda m: setattr(m.config, "hidden_act", "relu"), "hidden_act")
    changed(lambda m: m.to("meta"), "not numbers in memory")


# Tokenizers


def with_tokenizer(task: TinyTask, place: Path, change: Callable[[dict], Any]) -> Path:
    edited(task, place)
    record = json.loads((place / "tokenizer.json").read_text())
    change(record)
    (place / "tokenizer.json").write_text(json.dumps(record))
    (place / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    return place


def test_tokenizers_that_cannot_be_the_teachers_are_refused(tiny_task: TinyTask, tmp_path: Path) -> None:
    no_marks = with_tokenizer(tiny_task, tmp_path / "a", lambda r: r.update(post_processor=None))
    refusal(no_marks, r"special tokens \(\[CLS\] and \[SEP\]\)")
    larger = with_tokenizer(tiny_task, tmp_path / "b", lambda r: r["model"]["vocab"].update(good=900))
    refusal(larger, "900")
    unknown = with_tokenizer(tiny_task, tmp_path / "c", lambda r: r["model"].update(unk_token="[NONE]"))
    refusal(unknown, "does not work")
    bytes_of_another = edited(tiny_task, tmp_path / "d")
    other = Tokenizer(models.BPE({c: i for i, c in enumerate("abcdefghijklmnop")}, []))
    other.pre_tokenizer = pre_tokenizers.ByteLevel()
    other.save(str(bytes_of_another / "tokenizer.json"))
    (bytes_of_another / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    refusal(bytes_of_another, "tokenizer")


@pytest.mark.parametrize(
    "config",
    [{"tokenizer_class": "NoSuchTokenizer"}, {"auto_map": {"AutoTokenizer": ["own.Tokenizer", None]}}, [], "text", {}],
)
def test_odd_tokenizer_configurations_end_in_a_sentence_or_work(
    config: Any, tiny_task: TinyTask, tmp_path: Path
) -> None:
    place = edited(tiny_task, tmp_path / "t")
    (place / "tokenizer_config.json").write_text(json.dumps(config))
    message = ""
    try:
        teacher, _ = load_teacher(str(place), LABELS)
    except s2l.UserError as error:
        message = str(error)
    else:
        assert accuracy(teacher, tiny_task) > 0.9
    assert "\n" not in message


def test_pairs_need_a_second_token_type(tiny_task: TinyTask, tmp_path: Path) -> None:
    first = lambda w: {n: x[:1].clone() if "token_type" in n else x for n, x in w.items()}  # noqa: E731
    place = edited(tiny_task, tmp_path / "t", first, type_vocab_size=1)
    assert accuracy(load_teacher(str(place), LABELS)[0], tiny_task) > 0.9
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("text,other,label\n" + "good film,a plot,pos\nbad film,the plot,neg\ndull,scene,neg\n" * 3)
    outcome = spk2loihi(
        "train",
        "--train-file",
        pairs,
        "--text-pair-column",
        "other",
        "--teacher",
        place,
        *SMALL,
        "-o",
        tmp_path / "m.pt",
    )
    assert outcome.code == 2 and "token type" in outcome.err
