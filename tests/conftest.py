"""Fixtures of all tests: everything is generated, nothing is downloaded."""

from __future__ import annotations

import pytest

from spk2loihi.choices import PRESETS
from spk2loihi.data import TokenBatch
from spk2loihi.models import SpikingBertForSequenceClassification
from spk2loihi.network import Network
from support.networks import random_batch, tiny_network, tiny_student
from support.tiny_task import TinyTask, make_tiny_task


@pytest.fixture(scope="session")
def student() -> SpikingBertForSequenceClassification:
    return tiny_student()


@pytest.fixture(scope="session", params=PRESETS)
def network(request: pytest.FixtureRequest) -> Network:
    return tiny_network(preset=request.param)


@pytest.fixture
def batch() -> TokenBatch:
    return random_batch()


@pytest.fixture(scope="session")
def tiny_task(tmp_path_factory: pytest.TempPathFactory) -> TinyTask:
    return make_tiny_task(tmp_path_factory.mktemp("tiny-task"))
