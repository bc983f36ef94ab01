"""Boards: built in, of a user, and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spk2loihi.errors import UserError
from spk2loihi.fit import BOARDS, find_board
from spk2loihi.fit.rules import RULES


def test_built_in_boards_name_a_source_for_every_limit() -> None:
    assert {name: b.chips for name, b in BOARDS.items()} == {"oheo-gulch": 1, "kapoho-point": 8, "hala-point": 1152}
    assert BOARDS["hala-point"].cores == 140_544  # as Intel announced it
    for built_in in BOARDS.values():
        assert set(built_in.limits) == set(RULES) | {"cores"}
        assert all(x.source and x.unit and x.certainty for x in built_in.limits.values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ({"name": "b", "chips": 1, "cores": 3}, "must be a JSON object"),
        ({"name": "oheo-gulch", "chips": 1}, "'oheo-gulch'"),
        ({"name": "b"}, "chips.*None"),
        ({"name": "b", "chips": 0}, "chips.*0"),
        ({"name": "b", "chips": 1, "limits": {"synapses": {}}}, "limits.*synaptic_memory"),
        ({"name": "b", "chips": 1, "limits": {"neurons": 5}}, "value and source"),
        ({"name": "b", "chips": 1, "limits": {"neurons": {"value": 5}}}, "value and source"),
        ({"name": "b", "chips": 1, "limits": {"neurons": {"value": 5.5, "source": "x"}}}, "neurons.*5.5"),
    ],
)
def test_a_bad_board_file_is_refused_in_one_sentence(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "board.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=message) as error:
        find_board(str(path))
    assert "\n" not in str(error.value)


def test_an_unknown_board_is_refused() -> None:
    with pytest.raises(UserError, match="'nahuku' is not known: choose oheo-gulch"):
        find_board("nahuku")
