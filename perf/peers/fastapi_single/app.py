"""The peer: a forest behind FastAPI, one row at a time, as its documentation writes an endpoint.

    MODEL=forest.joblib uvicorn app:app --workers 2 --port 8080

The endpoint is a plain `def`: FastAPI runs it in its thread pool, as it advises for work that
would block the event loop.
"""

import os

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

model = joblib.load(os.environ["MODEL"])
app = FastAPI()


class Row(BaseModel):
    row: list[float]


class Answer(BaseModel):
    label: int
    probabilities: list[float]


@app.get("/health")
def health() -> str:
    return "ok"


@app.post("/predict")
def predict(body: Row) -> Answer:
    (probabilities,) = model.predict_proba(np.array([body.row], dtype=np.float32))
    label = int(model.classes_[probabilities.argmax()])
    return Answer(label=label, probabilities=probabilities.tolist())
