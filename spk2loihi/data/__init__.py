"""Tasks, their sentences, and token batches: everything between a file on disk and a network's input."""

from spk2loihi.data.batches import (
    Encoded,
    TokenBatch,
    Tokenised,
    collate,
    length_sorted_batches,
    read_tokenizer,
    tokenise,
)
from spk2loihi.data.corpus import load_corpus, tokenise_corpus
from spk2loihi.data.examples import Examples, examples_digest, lines_digest
from spk2loihi.data.glue import GLUE_TASKS
from spk2loihi.data.metrics import NO_TAG, answer_of, formatted, predictions, score, targets
from spk2loihi.data.tasks import DataOptions, TaskSpec, held_out_task, load_held_out, load_train, task_spec
from spk2loihi.data.validation import Parts, load_parts

__all__ = [
    "GLUE_TASKS",
    "NO_TAG",
    "DataOptions",
    "Encoded",
    "Examples",
    "Parts",
    "TaskSpec",
    "TokenBatch",
    "Tokenised",
    "answer_of",
    "collate",
    "examples_digest",
    "formatted",
    "held_out_task",
    "length_sorted_batches",
    "lines_digest",
    "load_corpus",
    "load_held_out",
    "load_parts",
    "load_train",
    "predictions",
    "read_tokenizer",
    "score",
    "targets",
    "task_spec",
    "tokenise",
    "tokenise_corpus",
]
