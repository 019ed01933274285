"""The peer: a forest behind LitServe with batching.

MODEL=forest.joblib WORKERS=2 python server.py 8080
"""

import os
import sys

import joblib
import litserve
import numpy as np


class Forest(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002
        self.model = joblib.load(os.environ["MODEL"])

    def decode_request(self, request: dict) -> np.ndarray:
        return np.array(request["row"], dtype=np.float32)

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(rows)

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict:
        return {
            "label": int(self.model.classes_[output.argmax()]),
            "probabilities": output.tolist(),
        }


if __name__ == "__main__":
    server = litserve.LitServer(
        Forest(max_batch_size=64, batch_timeout=0.005),
        accelerator="cpu",
        workers_per_device=1,
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=int(os.environ["WORKERS"]),
        log_level="warning",
        generate_client_file=False,
    )
