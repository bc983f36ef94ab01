"""Tasks, their sentences, and token batches: everything between a file on disk and a network's input."""

from spk2loihi.data.batches import Encoded, TokenBatch, Tokenised, collate, length_sorted_batches, tokenise
from spk2loihi.data.examples import Examples
from spk2loihi.data.glue import GLUE_TASKS
from spk2loihi.data.metrics import METRICS, score
from spk2loihi.data.tasks import TaskSpec, load_held_out, load_train, task_spec

__all__ = [
    "GLUE_TASKS",
    "METRICS",
    "Encoded",
    "Examples",
    "TaskSpec",
    "TokenBatch",
    "Tokenised",
    "collate",
    "length_sorted_batches",
    "load_held_out",
    "load_train",
    "score",
    "task_spec",
    "tokenise",
]
