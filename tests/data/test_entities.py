"""Entities of tagged sentences, against seqeval."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spk2loihi.data.entities import entities
from spk2loihi.data.metrics import score

TAGS = ("O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ("PER", "LOC")))
SENTENCES = st.lists(st.sampled_from(TAGS), min_size=1, max_size=12)


@settings(max_examples=500, deadline=None)
@given(SENTENCES)
def test_entities_are_those_of_seqeval(tags: list[str]) -> None:
    get_entities = pytest.importorskip("seqeval.metrics.sequence_labeling").get_entities
    assert entities(tags) == set(get_entities(tags))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@settings(max_examples=50, deadline=None)
@given(SENTENCES, st.data())
def test_the_score_is_that_of_seqeval(true: list[str], data: st.DataObject) -> None:
    f1_score = pytest.importorskip("seqeval.metrics").f1_score
    tags = st.lists(st.sampled_from(TAGS), min_size=len(true), max_size=len(true))
    predicted = data.draw(st.one_of(tags, st.just(true)))
    rows = [[[TAGS.index(tag) for tag in each]] for each in (predicted, true)]
    assert score("entity_f1", rows[0], rows[1], TAGS) == pytest.approx(f1_score([true], [predicted]), abs=1e-12)


def test_tags_without_a_prefix_are_types() -> None:
    assert entities(["PER", "PER", "O", "GER", "PER"]) == {("PER", 0, 1), ("GER", 3, 3), ("PER", 4, 4)}
    assert entities([]) == set()
