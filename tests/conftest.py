"""Fixtures of all tests: everything is generated, nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from spk2loihi.choices import SPIKING_PRESETS
from spk2loihi.data import TokenBatch
from spk2loihi.models import SpikingBertForSequenceClassification
from spk2loihi.network import Network
from support.networks import random_batch, tiny_network, tiny_student
from support.tiny_task import TinyTask, make_tiny_task


@pytest.fixture(scope="session")
def student() -> SpikingBertForSequenceClassification:
    return tiny_student()


@pytest.fixture(scope="session", params=SPIKING_PRESETS)
def network(request: pytest.FixtureRequest) -> Network:
    return tiny_network(preset=request.param)


@pytest.fixture
def batch() -> TokenBatch:
    return random_batch()


@pytest.fixture(scope="session")
def tiny_task(tmp_path_factory: pytest.TempPathFactory) -> TinyTask:
    return make_tiny_task(tmp_path_factory.mktemp("tiny-task"))


@pytest.fixture(scope="session")
def model_file(tiny_task: TinyTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of the tiny task, trained for one epoch."""
    import spk2loihi as s2l

    out = tmp_path_factory.mktemp("student") / "model.pt"
    files = {"train_file": tiny_task.train_file, "dev_file": tiny_task.dev_file}
    s2l.train(out=out, teacher=str(tiny_task.tuned), timesteps=8, max_tokens=16, batch_size=16, epochs=1, **files)
    return out


@pytest.fixture(scope="session")
def network_file(model_file: Path) -> Path:
    """The same, exported."""
    import spk2loihi as s2l

    out = model_file.with_name("model.net")
    s2l.export(model_file, out)
    return out
