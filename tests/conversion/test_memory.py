"""Conversion of a large forest fits into little memory."""

from __future__ import annotations

import threading

import numpy as np
import psutil
from geulpi_conversion import convert
from sklearn.ensemble import RandomForestClassifier


def test_a_forest_of_500_trees_takes_less_than_a_gibibyte(
    rows: np.ndarray, labels: np.ndarray
) -> None:
    """What this process and its worker take beyond what they took before, at any moment."""
    wide = np.random.default_rng(0).normal(size=(3000, 20)).astype(np.float32)
    noisy = (wide[:, 0] + np.random.default_rng(1).normal(size=3000) > 0).astype(int)
    forest = RandomForestClassifier(500, random_state=0, n_jobs=2).fit(wide, noisy)
    assert sum(tree.tree_.node_count for tree in forest.estimators_) > 300_000
    convert(RandomForestClassifier(2).fit(rows, labels), rows, name="warm")
    before = peak = _resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, _resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        converted = convert(forest, wide[:1000], name="large")
    finally:
        done.set()
        watcher.join()
    assert converted.backend == "onnxruntime"
    assert peak - before < 2**30


def _resident() -> int:
    total = 0
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
