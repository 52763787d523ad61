"""Intervals of AUCs."""

from __future__ import annotations

import numpy as np

from facefoundry.checks.statistics import alone, intervals, paired


def test_a_fake_is_compared_with_the_real_videos_of_other_targets_only():
    scores, targets = np.array([1.0, 2.0, 3.0]), np.arange(3)
    found = intervals([alone(scores - 0.1, scores, targets, targets, 3)])
    assert found[0].tolist()[0] == 0.5


def test_an_auc_is_the_share_of_comparisons_that_the_fake_wins():
    fakes, real_scores = np.array([1.0, 4.0]), np.array([3.0, 1.0])
    assert intervals([alone(fakes, real_scores, np.arange(2), np.arange(2), 2)])[0][0] == 0.75
    assert intervals([paired(fakes - real_scores, np.arange(2), 2)])[0][0] == 0.5


def test_few_pairs_that_agree_by_chance_are_no_leak_and_many_are():
    few, many = (intervals([paired(np.ones(count), np.arange(count), count)] * 20)[0] for count in (4, 24))
    assert few[1] < 0.5
    assert many[1] > 0.5


def test_hardly_any_dataset_without_a_leak_is_accused_however_many_figures_there_are():
    rng, accused, datasets, groups = np.random.default_rng(1), 0, 40, 24
    targets = np.arange(2 * groups)
    of_targets = targets // 2
    for _ in range(datasets):
        content = rng.normal(size=(len(targets), 40))
        fakes, real_scores = (content + 0.5 * rng.normal(size=content.shape) for _ in range(2))
        rows = [alone(fakes[:, place], real_scores[:, place], targets, of_targets, groups) for place in range(40)]
        rows += [paired(fakes[:, place] - real_scores[:, place], of_targets, groups) for place in range(40)]
        found = intervals(rows, draws=200)
        accused += bool(((found[:, 1] > 0.5) | (found[:, 2] < 0.5)).any())
    assert accused <= 4
