"""The points of a sweep, and the ways to run them."""

from __future__ import annotations

import itertools

import pytest

from spk2loihi.errors import UserError
from spk2loihi.sweep.axes import TrainingPoint, Way, grid, ways_of
from spk2loihi.training.settings import TrainSettings


def test_ways_are_every_combination_that_exists() -> None:
    both = ways_of(["graded", "rate"], ["settling", "windowed"])
    assert both == (Way("windowed", "rate"), Way("windowed", "graded"), Way("settling", "rate"))
    assert [way.name for way in both] == ["rate", "graded", "settling"]
    assert ways_of(["rate"], ["settling"]) == (Way("settling", "rate"),)
    assert ways_of(["graded"], ["windowed"]) == (Way("windowed", "graded"),)


def test_grid_is_every_combination_once() -> None:
    points = grid([4, 8, 4], [8.0, 1.58], [0, 0.5])
    assert set(points) == {TrainingPoint(t, b, p) for t, b, p in itertools.product((4, 8), (8, 1.58), (0, 0.5))}
    assert len(points) == len({p.name for p in points}) == 8
    assert TrainingPoint(4, 1.58, 0.5).name == "T4-1.58bit-penalty0.5"
    settings = TrainingPoint(4, 1.58, 0.5).settings(TrainSettings(seed=3))
    assert (settings.timesteps, settings.bits, settings.losses.rate, settings.seed) == (4, 1.58, 0.5, 3)


def test_seeds_are_points_of_one_name() -> None:
    points = grid([4], [8], [0], range(3, 5))
    assert [point.name for point in points] == ["T4-8bit-penalty0-seed3", "T4-8bit-penalty0-seed4"]
    assert {point.point for point in points} == {"T4-8bit-penalty0"}
    assert [point.settings(TrainSettings(seed=1)).seed for point in points] == [3, 4]
    with pytest.raises(UserError, match="a sweep of 1,200 networks"):
        grid([4, 8], [8, 4, 2], [0, 1], range(100))
