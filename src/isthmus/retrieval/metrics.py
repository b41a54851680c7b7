"""Measures of a ranking against judgements, with intervals over the questions.

nDCG with linear gains and the ideal ranking of all judged documents (Järvelin and Kekäläinen, TOIS 2002), average
precision and recall with every gain above 0 as relevant: as trec_eval counts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Gains = Mapping[str, float]


def ndcg(ranking: Sequence[str], gains: Gains, depth: int = 10) -> float:
    """Discounted gain of the first ``depth`` over the best that is possible; 0 where nothing is relevant."""
    best = _discounted(sorted((gain for gain in gains.values() if gain > 0), reverse=True)[:depth])
    return _discounted([max(gains.get(name, 0.0), 0.0) for name in ranking[:depth]]) / best if best else 0.0


def average_precision(ranking: Sequence[str], gains: Gains) -> float:
    relevant = {name for name, gain in gains.items() if gain > 0}
    found, total = 0, 0.0
    for rank, name in enumerate(ranking, 1):
        if name in relevant:
            found += 1
            total += found / rank
    return total / len(relevant) if relevant else 0.0


def recall(ranking: Sequence[str], gains: Gains, depth: int = 100) -> float:
    relevant = {name for name, gain in gains.items() if gain > 0}
    return len(relevant.intersection(ranking[:depth])) / len(relevant) if relevant else 0.0


def summary(rankings: Mapping[str, Sequence[str]], judgements: Mapping[str, Gains]) -> dict[str, object]:
    """Means over the judged questions, each with its 95 % interval as ``NAME_ci``. A question without a ranking
    counts as 0."""
    measures = {"ndcg@10": ndcg, "map": average_precision, "recall@100": recall}
    plain: dict[str, object] = {"queries": len(judgements)}
    for name, measure in measures.items():
        values = np.array([measure(rankings.get(query, ()), gains) for query, gains in judgements.items()])
        plain[name] = round(float(values.mean()), 4)
        plain[f"{name}_ci"] = [round(bound, 4) for bound in interval(values)]
    return plain


def interval(values: np.ndarray[tuple[int], np.dtype[np.float64]], seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap of the mean, 2,000 resamplings over questions, from a fixed seed."""
    draws = np.random.default_rng(seed).integers(0, len(values), (2000, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / float(np.log2(rank + 1)) for rank, gain in enumerate(gains, 1))
