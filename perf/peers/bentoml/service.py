"""The peer: a forest as a BentoML service with adaptive batching.

    MODEL=forest.joblib WORKERS=2 bentoml serve service:Forest --port 8080

One request is a batch of one row; BentoML gathers requests into batches of up to 100. The answer
is the label, followed by the probabilities.
"""

import os

import bentoml
import joblib
import numpy as np


@bentoml.service(
    workers=int(os.environ["WORKERS"]),
    logging={"access": {"enabled": False}},
)
class Forest:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["MODEL"])

    @bentoml.api(batchable=True, max_batch_size=100, max_latency_ms=60000)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        probabilities = self.model.predict_proba(rows.astype(np.float32))
        labels = self.model.classes_[probabilities.argmax(axis=1)]
        return np.column_stack([labels, probabilities])
