"""A training of the tiny task that takes a second or two."""

from __future__ import annotations

from spk2loihi.data import TaskSpec, task_spec
from spk2loihi.training.settings import TrainSettings
from support.tiny_task import TinyTask

SMALL = TrainSettings(
    timesteps=8,
    max_tokens=16,
    batch_size=10,
    precision="no",  # the same on every processor
    learning_rate=1e-3,
    teacher_learning_rate=1e-3,
    epochs=1,
    teacher_epochs=1,
)


def spec_of(task: TinyTask) -> TaskSpec:
    return task_spec(train_file=task.train_file, dev_file=task.dev_file)
