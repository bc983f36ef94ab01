"""Which sentences of a set are phrases of others: runs of their words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from spk2loihi.data.split import plain_words

_LONGEST = 100  # words; in longer texts no phrases are looked for
_HEAD = 2  # words by which phrases are looked up


class Phrases:
    """Of N sentences; punctuation and case do not count, and a copy of a sentence is no phrase of it."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.words = [plain_words(text) for text in texts]
        self.rows: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self.lengths: dict[tuple[str, ...], set[int]] = defaultdict(set)  # of sentences, by their first words
        for index, words in enumerate(self.words):
            if words:
                self.rows[words].append(index)
                self.lengths[words[:_HEAD]].add(len(words))
        self.inside = {i for words in self.rows for phrase in self._phrases(words) for i in self.rows[phrase]}

    def is_part(self, index: int) -> bool:
        """Whether a sentence is a phrase of another one."""
        return index in self.inside

    def parts_of(self, indices: Iterable[int]) -> set[int]:
        """Sentences that are phrases of those at ``indices``."""
        wholes = {self.words[index] for index in indices} if self.words else set()
        return {i for words in wholes for phrase in self._phrases(words) for i in self.rows[phrase]}

    def _phrases(self, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if len(words) > _LONGEST:
            return
        for first in range(len(words)):
            for head in (words[first : first + 1], words[first : first + _HEAD]):
                for length in self.lengths.get(head, ()):
                    phrase = words[first : first + length]
                    if length < len(words) and phrase in self.rows:
                        yield phrase
