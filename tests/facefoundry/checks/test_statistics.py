"""Intervals of AUCs."""

from __future__ import annotations

import numpy as np
import pytest

from facefoundry.checks.statistics import Wins, alone, intervals, paired


def test_a_fake_is_compared_with_the_real_videos_of_other_targets_only():
    scores, targets = np.array([1.0, 2.0, 3.0]), np.arange(3)
    found = intervals([alone(scores - 0.1, scores, targets, targets, 3)])
    assert found.values[0, 0] == 0.5


def test_an_auc_is_the_share_of_comparisons_that_the_fake_wins():
    fakes, real_scores = np.array([1.0, 4.0]), np.array([3.0, 1.0])
    assert intervals([alone(fakes, real_scores, np.arange(2), np.arange(2), 2)]).values[0, 0] == 0.75
    assert intervals([paired(fakes - real_scores, np.arange(2), 2)]).values[0, 0] == 0.5


def test_an_auc_of_targets_with_several_fakes_is_that_of_all_comparisons_with_other_targets():
    rng = np.random.default_rng(0)
    targets = np.arange(12) % 5
    fakes, real_scores = (rng.integers(0, 9, count).astype(np.float64) for count in (12, 5))
    wins = [
        (fake > real_scores[other]) + 0.5 * (fake == real_scores[other])
        for fake, own in zip(fakes, targets, strict=True)
        for other in targets
        if other != own
    ]
    found = intervals([alone(fakes, real_scores, targets, np.array([0, 0, 1, 1, 2]), 3)])
    assert found.values[0, 0] == pytest.approx(np.mean(wins))


def test_few_pairs_that_agree_by_chance_are_no_leak_and_many_are():
    few, many = (intervals([paired(np.ones(count), np.arange(count), count)] * 20) for count in (4, 24))
    assert few.values[0, 1] < 0.5
    assert not few.enough
    assert few.needed == 5
    assert many.values[0, 1] > 0.5
    assert many.enough


@pytest.mark.parametrize(("rows", "groups", "divided"), [(138, 9, False), (46, 19, True), (138, 22, True)])
def test_19_subjects_are_enough_for_the_figures_of_one_level_22_for_three_and_13_are_not(rows, groups, divided):
    """A level has about 46 figures. Real ones go together in part, and need no more groups than these."""
    surplus = np.random.default_rng(0).normal(size=(rows, groups))
    assert intervals([Wins(each, groups) for each in surplus], divided=divided).enough
    few = intervals([Wins(each[:13], groups) for each in surplus], divided=True)
    assert not few.enough
    assert 13 < few.needed <= 22


_FULL = pytest.mark.full


@pytest.mark.parametrize(
    ("groups", "shared", "divided"),
    [
        (10, 1.0, False),
        (24, 1.0, False),
        (10, 1.0, True),
        pytest.param(10, 0.0, False, marks=_FULL),
        pytest.param(24, 0.0, False, marks=_FULL),
        pytest.param(24, 1.0, True, marks=_FULL),
    ],
)
def test_of_datasets_without_a_leak_one_in_twenty_is_accused(groups, shared, divided):
    """The two directions of a pair share a deviation. 12 of 100 are 3 standard errors more than 5."""
    rng, accused, datasets, figures = np.random.default_rng(1), 0, 100, 10
    targets = np.arange(2 * groups)
    of_targets, count = (targets, 2 * groups) if divided else (targets // 2, groups)
    for _ in range(datasets):
        content = rng.normal(size=(len(targets), figures))
        fakes, real_scores = (content + 0.3 * rng.normal(size=content.shape) for _ in range(2))
        fakes += shared * rng.normal(size=(groups, figures))[targets // 2]
        rows = [alone(fakes[:, place], real_scores[:, place], targets, of_targets, count) for place in range(figures)]
        rows += [paired(fakes[:, place] - real_scores[:, place], of_targets, count) for place in range(figures)]
        found = intervals(rows, divided=divided, draws=400).values
        accused += bool(((found[:, 1] > 0.5) | (found[:, 2] < 0.5)).any())
    assert accused <= 12
