"""The calendar models behind HTTP and JSON: `uvicorn fastapi_backend.app:app --loop uvloop`.

One `AsyncGeulpiClient` for the process is opened and closed by the app's lifespan; requests that
come at the same time share its connections, and its requests to the models.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Final

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Header, Path, Request, Response, status
from geulpi_client import (
    AsyncGeulpiClient,
    Balance,
    BurnoutRisk,
    Classification,
    Pattern,
    Schedule,
    WeekInsights,
    server_status,
)
from geulpi_client.prometheus import register
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel, ConfigDict, Json, SecretStr

from fastapi_backend.docs import install_docs
from fastapi_backend.problems import PROBLEMS, REQUEST_ID, install_problems, request_id
from fastapi_backend.schemas import (
    EventsRequest,
    InsightsRequest,
    PatternsRequest,
    ScheduleRequest,
    WeekRequest,
)

HEALTH_TIMEOUT_S: Final = 1.0
LONGEST_TIMEOUT_MS: Final = 120_000


class Settings(BaseModel):
    """What the environment says, each as `GEULPI_` and its name: `GEULPI_URL`, `GEULPI_CACHE` …

    They are settings of `AsyncGeulpiClient`. Of `url`, the address of a gRPC API, there may be
    several, separated by commas.
    """

    model_config = ConfigDict(frozen=True)

    url: str = "localhost:8001"
    cache: SecretStr | None = None  # it may hold a password
    timeout_s: float = 5.0
    ttl_s: Json[dict[str, float]] = {}
    memory_bytes: int = 0
    stale_s: float = 0.0
    coalesce_delay_s: float = 0.0
    max_in_flight: int = 50
    max_waiting: int = 10_000
    token: SecretStr | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Settings:
        """Read the settings that are there, and not empty.

        Raises:
            ValidationError: one can't be read.
        """
        named = {name: environment.get(f"GEULPI_{name.upper()}") for name in cls.model_fields}
        return cls.model_validate({name: value for name, value in named.items() if value})

    @property
    def urls(self) -> list[str]:
        """The addresses, one by one."""
        return [url.strip() for url in self.url.split(",")]

    def client(self) -> AsyncGeulpiClient:
        """Make the client, not yet connected.

        Raises:
            InvalidUrl, InvalidSetting: a setting can't be.
        """
        return AsyncGeulpiClient(
            self.urls,
            cache=self.cache.get_secret_value() if self.cache else None,
            timeout_s=self.timeout_s,
            ttl_s=self.ttl_s,
            memory_bytes=self.memory_bytes,
            stale_s=self.stale_s,
            coalesce_delay_s=self.coalesce_delay_s,
            max_in_flight=self.max_in_flight,
            max_waiting=self.max_waiting,
            token=self.token.get_secret_value() if self.token else None,
        )


@dataclass(frozen=True)
class Asked:
    """What the headers of a request say about its call to the models."""

    timeout_s: float | None
    tags: tuple[str, ...]


class Health(BaseModel):
    """Whether the backend lives and its models answer; `problems` are by address."""

    live: bool
    ready: bool
    problems: dict[str, str]


class Forgotten(BaseModel):
    """How many cached answers there were."""

    entries: int


UserId = Annotated[str, Path(pattern=r"^[\w.@-]{1,128}$", description="Whose cached answers")]


def user_tag(user_id: str) -> str:
    """Return the tag of a user's cached answers."""
    return f"user:{user_id}"


async def pass_request_id(
    request: Request,
    response: Response,
    _given: Annotated[
        str | None,
        Header(alias=REQUEST_ID, description="Comes back with the answer; one is made if need be."),
    ] = None,
) -> None:
    """Send a request's id back with its answer."""
    response.headers[REQUEST_ID] = request_id(request)


async def the_client(request: Request) -> AsyncGeulpiClient:
    """Return the client that the lifespan opened."""
    client: AsyncGeulpiClient = request.app.state.client
    return client


async def the_asked(
    x_timeout_ms: Annotated[
        int | None,
        Header(gt=0, le=LONGEST_TIMEOUT_MS, description="How long the call may take."),
    ] = None,
    x_user_id: Annotated[
        str | None,
        Header(
            pattern=r"^[\w.@-]{1,128}$",
            description="Whose request it is; `DELETE /users/{user_id}/cache` forgets the answers.",
        ),
    ] = None,
) -> Asked:
    """Read the headers that are about the call."""
    return Asked(
        timeout_s=None if x_timeout_ms is None else x_timeout_ms / 1000,
        tags=() if x_user_id is None else (user_tag(x_user_id),),
    )


Client = Annotated[AsyncGeulpiClient, Depends(the_client)]
Call = Annotated[Asked, Depends(the_asked)]

models = APIRouter(tags=["models"], responses=PROBLEMS, dependencies=[Depends(pass_request_id)])
operations = APIRouter(tags=["operations"])


@models.post("/classify")
async def classify(body: EventsRequest, client: Client, call: Call) -> list[Classification]:
    """Say of each event which category it belongs to, in the order of the events."""
    return await client.classify(body.events, timeout_s=call.timeout_s, tags=call.tags)


@models.post("/schedule")
async def schedule(body: ScheduleRequest, client: Client, call: Call) -> Schedule:
    """Find a place for each task; one that finds none is told with the reason.

    Unless `x-timeout-ms` says otherwise, the search's time limit comes on top of the time-out.
    """
    return await client.optimize_schedule(
        body.tasks,
        window=body.window,
        busy=[*body.busy, *body.events],
        working_hours=body.working_hours,
        breaks=body.breaks,
        buffer=body.buffer,
        history=body.history,
        step=body.step,
        time_limit_s=body.time_limit_s,
        seed=body.seed,
        time_zone=body.time_zone,
        timeout_s=call.timeout_s,
        tags=call.tags,
    )


@models.post("/patterns")
async def patterns(body: PatternsRequest, client: Client, call: Call) -> list[Pattern]:
    """Find the habits in a history, as rules of RFC 5545, the most confident first."""
    return await client.detect_patterns(
        body.events,
        as_of=body.as_of,
        time_zone=body.time_zone,
        timeout_s=call.timeout_s,
        tags=call.tags,
    )


@models.post("/balance")
async def balance(body: WeekRequest, client: Client, call: Call) -> Balance:
    """Say how balanced a week is, against people like this one."""
    return await client.analyze_balance(
        body.events,
        week=body.week,
        person=body.person,
        time_zone=body.time_zone,
        timeout_s=call.timeout_s,
        tags=call.tags,
    )


@models.post("/burnout")
async def burnout(body: WeekRequest, client: Client, call: Call) -> BurnoutRisk:
    """Say how high the risk of a week is, and what drives it; an index, not a diagnosis."""
    return await client.predict_burnout(
        body.events,
        week=body.week,
        person=body.person,
        time_zone=body.time_zone,
        timeout_s=call.timeout_s,
        tags=call.tags,
    )


@models.post("/week-insights")
async def week_insights(body: InsightsRequest, client: Client, call: Call) -> WeekInsights:
    """Answer what `/patterns`, `/balance` and `/burnout` do, with one request to the models."""
    return await client.week_insights(
        body.events,
        week=body.week,
        person=body.person,
        as_of=body.as_of,
        time_zone=body.time_zone,
        timeout_s=call.timeout_s,
        tags=call.tags,
    )


@models.delete("/users/{user_id}/cache")
async def forget(user_id: UserId, client: Client) -> Forgotten:
    """Forget the cached answers to requests that came with this user's `x-user-id`."""
    return Forgotten(entries=await client.invalidate(tag=user_tag(user_id)))


@operations.get("/health", responses={503: {"model": Health, "description": "Not ready."}})
async def health(request: Request, response: Response) -> Health:
    """Ask the servers briefly how they are; one that is ready is enough."""
    settings: Settings = request.app.state.settings
    servers = await asyncio.gather(
        *(asyncio.to_thread(server_status, u, timeout_s=HEALTH_TIMEOUT_S) for u in settings.urls)
    )
    ready = any(server.ready for server in servers)
    if not ready:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    problems = {server.url: server.problem for server in servers if server.problem}
    return Health(live=True, ready=ready, problems=problems)


@operations.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Return the client's figures as Prometheus reads them."""
    registry: CollectorRegistry = request.app.state.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the client when the server starts; when it stops, let calls end and close it."""
    async with app.state.settings.client() as client:
        app.state.client, app.state.registry = client, CollectorRegistry()
        register(client, app.state.registry)
        yield


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the app, unless told otherwise with the settings of the environment."""
    app = FastAPI(title="Geulpi calendar", summary="What calendars say.", lifespan=lifespan)
    app.state.settings = settings or Settings.of(os.environ)
    app.include_router(models)
    app.include_router(operations)
    install_problems(app)
    install_docs(app)
    return app


app = create_app()

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), loop="uvloop")
