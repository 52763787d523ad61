"""Small classifiers that try to tell fakes from real videos. This module alone imports scikit-learn, in a sandbox."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

__all__ = ["FOLDS", "alone_scores", "paired_scores"]

FOLDS = 5
_TREES = 50


def alone_scores(
    fakes: NDArray[np.float64],
    real_values: NDArray[np.float64],
    fake_groups: NDArray[np.int64],
    real_groups: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score each video by classifiers that saw none of its group; more means more like a fake.

    The score is the mean probability of a logistic regression and of a small forest, so that shifts are found, and
    spreads and combinations too.

    Args:
        fakes: float64 [n, d], figures of the fakes.
        real_values: float64 [m, d], figures of the real videos.
        fake_groups: int64 [n], group of each fake.
        real_groups: int64 [m], group of each real video.

    Returns:
        float64 [n] and float64 [m], the scores of fakes and real videos.
    """
    values, groups = np.concatenate([fakes, real_values]), np.concatenate([fake_groups, real_groups])
    is_fake = np.concatenate([np.ones(len(fakes)), np.zeros(len(real_values))])
    scores = np.zeros(len(values))
    for train, test in GroupKFold(min(FOLDS, len(np.unique(groups)))).split(values, is_fake, groups):
        ranks = QuantileTransformer(n_quantiles=min(100, len(train)), output_distribution="normal", random_state=0)
        models = (
            make_pipeline(ranks, LogisticRegression(C=0.3, max_iter=500)),
            ExtraTreesClassifier(_TREES, min_samples_leaf=3, random_state=0, n_jobs=1),
        )
        for model in models:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a figure that is constant in a fold
                model.fit(values[train], is_fake[train])
            scores[test] += model.predict_proba(values[test])[:, 1] / len(models)
    return scores[: len(fakes)], scores[len(fakes) :]


def paired_scores(differences: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Score the difference of each fake from its own target, by classifiers that saw no pair of its group.

    Args:
        differences: float64 [n, d], figures of the fakes minus those of their targets.
        groups: int64 [n], group of each pair.

    Returns:
        float64 [n]; above 0 where the fake was told from its target.
    """
    scores = np.zeros(len(differences))
    for train, test in GroupKFold(min(FOLDS, len(np.unique(groups)))).split(differences, groups=groups):
        both = np.concatenate([differences[train], -differences[train]])
        is_fake = np.concatenate([np.ones(len(train)), np.zeros(len(train))])
        scale = StandardScaler(with_mean=False)
        model = make_pipeline(scale, LogisticRegression(C=0.3, fit_intercept=False, max_iter=500))
        model.fit(both, is_fake)
        scores[test] = model.decision_function(differences[test])
    return scores
