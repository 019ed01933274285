"""The peer: a forest behind Ray Serve with dynamic request batching.

MODEL=forest.joblib WORKERS=2 python app.py 8080
"""

import os
import sys

import joblib
import numpy as np
import ray
from ray import serve
from starlette.requests import Request

WORKERS = int(os.environ["WORKERS"])


@serve.deployment(
    num_replicas=WORKERS,
    max_ongoing_requests=100,
    logging_config={"enable_access_log": False},
)
class Forest:
    def __init__(self, path: str) -> None:
        self.model = joblib.load(path)

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.005)
    async def predict(self, rows: list[list[float]]) -> list[dict]:
        probabilities = self.model.predict_proba(np.array(rows, dtype=np.float32))
        labels = self.model.classes_[probabilities.argmax(axis=1)]
        return [
            {"label": int(label), "probabilities": row.tolist()}
            for label, row in zip(labels, probabilities, strict=True)
        ]

    async def __call__(self, request: Request) -> dict:
        return await self.predict((await request.json())["row"])


if __name__ == "__main__":
    # The HTTP proxy is one more process, without a CPU of its own.
    ray.init(num_cpus=WORKERS, include_dashboard=False, logging_level="warning")
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(
        Forest.bind(os.environ["MODEL"]), name="forest", route_prefix="/predict", blocking=True
    )
