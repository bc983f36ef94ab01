"""Tokenizers of a teacher as users have them: the teacher's own, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

import spk2loihi as s2l
from spk2loihi.training.teacher import load_teacher
from support.command_chain import SMALL
from support.edited_teachers import LABELS, accuracy, edited, refusal
from support.tiny_task import TinyTask, spk2loihi


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


@pytest.mark.parametrize("config", [None, {"tokenizer_class": "BertTokenizer"}])
def test_a_vocabulary_alone_is_a_tokenizer(config: Any, tiny_task: TinyTask, tmp_path: Path) -> None:
    """As teachers from before fast tokenizers have it; its tokens are those of the fast one."""
    place = edited(tiny_task, tmp_path / "t")
    vocabulary = json.loads((place / "tokenizer.json").read_text())["model"]["vocab"]
    (place / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get)))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (place / name).unlink()
    if config is not None:
        (place / "tokenizer_config.json").write_text(json.dumps(config))
    teacher, _ = load_teacher(str(place), LABELS)
    expected = Tokenizer.from_file(str(tiny_task.tuned / "tokenizer.json"))
    for text in ("a good film", "the plot, awful"):
        assert Tokenizer.from_str(teacher.tokenizer).encode(text).ids == expected.encode(text).ids
    assert accuracy(teacher, tiny_task) > 0.9


@pytest.mark.parametrize("kind", ["BertweetTokenizer", "PhobertTokenizer"])
def test_a_tokenizer_without_a_fast_form_is_refused(kind: str, tiny_task: TinyTask, tmp_path: Path) -> None:
    place = edited(tiny_task, tmp_path / "t")
    (place / "tokenizer.json").unlink()
    (place / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    (place / "vocab.txt").write_text("good 3\nbad 3\n")
    (place / "bpe.codes").write_text("g o 3\n")
    refusal(place, f"{kind}, which has no fast form")


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
