"""The peer: a forest behind FastAPI with asyncio micro-batches, as the old service was built.

    MODEL=forest.joblib uvicorn app:app --loop uvloop --http httptools --port 8080

One request is one row. Rows wait up to 50 ms for 15 others and are then predicted together in a
thread, as FastAPI's documentation recommends for work that would block the event loop.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import joblib
import numpy as np
import orjson
from fastapi import FastAPI, Request, Response

BATCH_ROWS = 16
MAX_WAIT_S = 0.050


class MicroBatcher:
    """Collects single rows into batches for one model."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.queue: asyncio.Queue = asyncio.Queue()

    async def ask(self, row: list[float]) -> tuple[int, list[float]]:
        answer = asyncio.get_running_loop().create_future()
        await self.queue.put((row, answer))
        return await answer

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self.queue.get()]
            deadline = loop.time() + MAX_WAIT_S
            while len(batch) < BATCH_ROWS:
                try:
                    batch.append(await asyncio.wait_for(self.queue.get(), deadline - loop.time()))
                except TimeoutError:
                    break
            rows = np.array([row for row, _ in batch], dtype=np.float32)
            probabilities = await asyncio.to_thread(self.model.predict_proba, rows)
            for (_, answer), row in zip(batch, probabilities, strict=True):
                if not answer.done():
                    answer.set_result((int(self.model.classes_[row.argmax()]), row.tolist()))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.batcher = MicroBatcher(joblib.load(os.environ["MODEL"]))
    worker = asyncio.create_task(app.state.batcher.run())
    yield
    worker.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> Response:
    return Response("ok")


@app.post("/predict")
async def predict(request: Request) -> Response:
    body = orjson.loads(await request.body())
    label, probabilities = await app.state.batcher.ask(body["row"])
    return Response(
        orjson.dumps({"label": label, "probabilities": probabilities}),
        media_type="application/json",
    )
