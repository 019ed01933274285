"""The fake server for tests of what uses a client: its models, its faults, and the calendar's."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import grpc
import numpy as np
import pytest
from geulpi_client import (
    AccessDenied,
    Busy,
    ClientClosed,
    DeadlineExceeded,
    Event,
    InferenceFailed,
    InferResult,
    InputRefused,
    InvalidInput,
    InvalidSetting,
    ModelNotFound,
    ModelUnavailable,
    Overloaded,
    Target,
    Task,
    Unreachable,
)
from geulpi_client._answers import Answered
from geulpi_client._balance import balance_question
from geulpi_client._burnout import burnout_question
from geulpi_client._classify import classify_question
from geulpi_client._deadline import Deadline
from geulpi_client._documents import About
from geulpi_client._inputs import checked_inputs
from geulpi_client._insights import insights_question
from geulpi_client._messages import Request
from geulpi_client._patterns import patterns_question
from geulpi_client._question import Question
from geulpi_client._schedule import schedule_question
from geulpi_client._tensors import Spec, Tensor, from_array, to_array
from geulpi_client._translation import batch_limit
from geulpi_client.testing import FakeTriton
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)
FEATURES = {"x": ("FP32", [-1, 4])}
PREDICTION = {"prediction": ("FP32", [-1, 1])}
MODELS = (
    "event_classifier",
    "schedule_optimizer",
    "pattern_detector",
    "balance_analyzer",
    "burnout_analyzer",
    "week_insights",
)
BERLIN = ZoneInfo("Europe/Berlin")
NINE = datetime(2026, 3, 9, 9, tzinfo=BERLIN)  # the clocks change on March 29th
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def total(x):
    """Return the sum of each row."""
    return {"prediction": x.sum(axis=1, keepdims=True)}


@pytest.fixture
def fake() -> FakeTriton:
    """A server of the model `churn`, which takes at most 64 rows."""
    server = FakeTriton()
    server.serve("churn", total, inputs=FEATURES, outputs=PREDICTION, max_batch_size=64)
    return server


def soon(seconds: float = 60.0) -> Deadline:
    return Deadline.after(seconds)


def request_of(rows: np.ndarray = ROWS, *, model="churn", version="", **given) -> Request:
    return Request(model, version, [from_array("x", "FP32", rows)], **given)


def ask(fake: FakeTriton, request: Request | None = None, seconds: float = 60.0):
    answer = fake.open_transport().infer(request or request_of(), soon(seconds))
    return answer.version, {tensor.name: to_array(tensor) for tensor in answer.outputs}


def predictions(fake: FakeTriton) -> list[list[float]]:
    return ask(fake)[1]["prediction"].tolist()


def test_a_function_answers_and_what_came_is_kept(fake) -> None:
    """Once per request, with its arrays by name; the request is there to be looked at."""
    headers = [("traceparent", "00-1")]
    request = request_of(version="1", id="r1", headers=headers)
    version, outputs = ask(fake, request)
    assert (version, outputs["prediction"].tolist()) == ("1", [[6.0], [22.0]])
    (came,) = fake.requests
    assert (came.model, came.version, came.id) == ("churn", "1", "r1")
    assert came.headers == {"traceparent": "00-1"}
    assert came.inputs["x"].tolist() == ROWS.tolist()


def test_what_a_function_changes_is_not_what_came(fake) -> None:
    """It has arrays of its own."""

    def changing(x):
        x[:] = 0
        return total(x)

    fake.serve("churn", changing, inputs=FEATURES, outputs=PREDICTION)
    assert predictions(fake) == [[0.0], [0.0]]
    assert fake.requests[0].inputs["x"].tolist() == ROWS.tolist()


def test_text_is_objects_of_str_both_ways() -> None:
    """As a client gives it; arrays of numpy's own text will do as answers."""
    fake = FakeTriton()
    seen = []

    def shout(title):
        seen.extend(title.ravel().tolist())
        return {"loud": np.array([[one.upper()] for one in title[:, 0]])}

    text = ("BYTES", [-1, 1])
    fake.serve("shout", shout, inputs={"title": text}, outputs={"loud": text})
    raw = np.array([["é".encode()], [b"b"]], dtype=np.object_)
    _, outputs = ask(fake, Request("shout", "", [from_array("title", "BYTES", raw)]))
    assert seen == ["é", "b"]
    assert outputs["loud"].tolist() == [["É"], ["B"]]


def test_the_contract_is_what_was_served(fake) -> None:
    """Outputs in the order of their names, and how many rows it takes."""
    fake.serve(
        "two",
        total,
        inputs=FEATURES,
        outputs={"b": ("BYTES", [-1, 1]), "a": ("INT64", [-1, 2])},
        version="12",
    )
    with_limit, without = (
        fake.open_transport().contract(model, "", soon()) for model in ("churn", "two")
    )
    assert (with_limit.version, with_limit.max_batch_size) == ("1", 64)
    assert with_limit.inputs == (Spec("x", "FP32", (-1, 4)),)
    assert (without.version, without.max_batch_size) == ("12", None)
    assert without.outputs == (Spec("a", "INT64", (-1, 2)), Spec("b", "BYTES", (-1, 1)))


def test_serving_again_is_a_deploy_and_unloading_ends_it(fake) -> None:
    """The older version is gone, and its faults are over."""
    fake.fail("churn", Unreachable)
    fake.serve(
        "churn",
        lambda x: {"prediction": -x[:, :1]},
        inputs=FEATURES,
        outputs=PREDICTION,
        version="2",
    )
    assert ask(fake)[0] == "2"
    assert fake.open_transport().contract("churn", "", soon()).version == "2"
    with pytest.raises(ModelNotFound, match="model 'churn' version 1 at fake"):
        ask(fake, request_of(version="1"))
    fake.unload("churn")
    for call in (
        lambda: ask(fake),
        lambda: fake.open_transport().contract("churn", "", soon()),
    ):
        with pytest.raises(ModelNotFound):
            call()


@pytest.mark.parametrize("error", [Unreachable, Overloaded, ModelUnavailable, AccessDenied])
def test_a_model_fails_as_told_until_it_recovers(fake, error: type[Exception]) -> None:
    """The error is about the request; what failed came nevertheless."""
    fake.fail("churn", error)
    for _ in range(3):
        with pytest.raises(error) as caught:
            ask(fake, request_of(id="r7"))
    assert caught.value.target == Target("fake", "churn", "", "r7")
    fake.recover("churn")
    assert predictions(fake) == [[6.0], [22.0]]
    assert len(fake.requests) == 4


def test_so_many_requests_fail_and_no_more_whatever_the_threads(fake) -> None:
    """Each of them is counted once."""
    fake.fail("churn", InputRefused, times=3)
    barrier = threading.Barrier(8)

    def answered() -> bool:
        barrier.wait()
        try:
            ask(fake)
        except InputRefused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        answers = [one.result() for one in [pool.submit(answered) for _ in range(8)]]
    assert answers.count(False) == 3
    assert len(fake.requests) == 8


def test_a_deadline_can_be_said_to_have_passed(fake) -> None:
    """The error has the caller's time-out; nobody waits for it."""
    fake.fail("churn", DeadlineExceeded, times=1)
    with pytest.raises(DeadlineExceeded) as caught:
        ask(fake, seconds=3600)
    assert caught.value.timeout_s == 3600
    assert predictions(fake) == [[6.0], [22.0]]


def test_a_slow_model_keeps_its_callers_waiting_until_their_deadline(fake) -> None:
    """It answers after that time, or the call ends at its deadline, at once if that has passed."""
    fake.slow("churn", 0.05)
    began = time.monotonic()
    assert predictions(fake) == [[6.0], [22.0]]
    assert time.monotonic() - began >= 0.05
    fake.slow("churn", 3600)
    with pytest.raises(DeadlineExceeded) as caught:
        ask(fake, seconds=0.05)
    assert caught.value.timeout_s == 0.05
    fake.recover("churn")
    fake.requests.clear()
    for call in (
        lambda: ask(fake, seconds=0),
        lambda: fake.open_transport().contract("churn", "", soon(0)),
    ):
        with pytest.raises(DeadlineExceeded):
            call()
    assert fake.requests == []  # nothing was sent


def test_a_function_that_takes_longer_than_the_deadline_is_too_late(fake) -> None:
    """Its answer is not taken."""

    def slow(x):
        time.sleep(0.1)
        return total(x)

    fake.serve("churn", slow, inputs=FEATURES, outputs=PREDICTION)
    with pytest.raises(DeadlineExceeded):
        ask(fake, seconds=0.05)


def test_in_an_event_loop_nobody_waits_for_a_slow_model_but_its_callers(fake) -> None:
    """The same answers, errors and deadlines, awaited."""
    fake.serve("slow", total, inputs=FEATURES, outputs=PREDICTION)
    fake.slow("slow", 0.2)
    order = []

    async def run() -> None:
        transport = fake.open_async_transport()
        assert (await transport.contract("churn", "", soon())).max_batch_size == 64

        async def one(model: str) -> None:
            answer = await transport.infer(request_of(model=model), soon())
            assert to_array(answer.outputs[0]).tolist() == [[6.0], [22.0]]
            order.append(model)

        await asyncio.gather(one("slow"), one("churn"))
        fake.slow("slow", 3600)
        with pytest.raises(DeadlineExceeded):
            await transport.infer(request_of(model="slow"), soon(0.05))
        fake.fail("churn", Unreachable)
        with pytest.raises(Unreachable):
            await transport.infer(request_of(), soon())
        await transport.aclose()
        for call in (transport.infer(request_of(), soon()), transport.contract("m", "", soon())):
            with pytest.raises(ClientClosed):
                await call

    asyncio.run(run())
    assert order == ["churn", "slow"]


def test_a_closed_way_says_so_and_others_stay_open(fake) -> None:
    """Each client has its own."""
    first, second = fake.open_transport(), fake.open_transport()
    first.close()
    for call in (
        lambda: first.infer(request_of(), soon()),
        lambda: first.contract("churn", "", soon()),
    ):
        with pytest.raises(ClientClosed):
            call()
    assert second.infer(request_of(), soon()).version == "1"
    assert second.url == "fake"


def test_what_a_function_raises_is_a_failed_inference(fake) -> None:
    """With its error as the cause."""

    def broken(x):
        raise KeyError("tenure")

    fake.serve("churn", broken, inputs=FEATURES, outputs=PREDICTION)
    with pytest.raises(InferenceFailed, match="KeyError: 'tenure'") as caught:
        ask(fake)
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("returned", "complaint"),
    [
        (None, "returned NoneType, not a mapping of the outputs 'prediction'"),
        ({}, r"output 'prediction' is missing; declared is prediction FP32 \[-1, 1\]"),
        ({"prediction": [[1.0], [2.0]]}, "output 'prediction' is list, not an array"),
        ({"prediction": ROWS[:, 0]}, r"output 'prediction' has shape \[2\] instead of \[2,1\]"),
        ({"prediction": ROWS[:1, :1]}, r"'prediction' has shape \[1,1\] instead of \[2,1\]"),
        ({"prediction": ROWS}, r"'prediction' has shape \[2,4\] instead of \[2,1\]"),
        (
            {"prediction": ROWS[:, :1].astype(np.float64)},
            r"'prediction' holds float64 instead of float32; return it with .astype\('float32'\)",
        ),
        (total(ROWS) | {"score": ROWS}, "output 'score' is not declared; declared are 'prediction"),
    ],
)
def test_an_answer_that_is_not_declared_is_named(fake, returned: object, complaint: str) -> None:
    """Which output, what it is and what it should be."""
    fake.serve("churn", lambda **_: returned, inputs=FEATURES, outputs=PREDICTION)
    with pytest.raises(InferenceFailed, match=complaint):
        ask(fake)


def test_an_answer_of_text_holds_text(fake) -> None:
    """No numbers."""
    fake.serve(
        "churn",
        lambda x: {"label": x[:, :1].astype(np.object_)},
        inputs=FEATURES,
        outputs={"label": ("BYTES", [-1, 1])},
    )
    with pytest.raises(InferenceFailed, match="output 'label' holds float instead of text"):
        ask(fake)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"model": ""}, "model is ''"),
        ({"function": 1}, "function is 1"),
        ({"version": 1}, "version is 1; expected a whole number as text"),
        ({"version": "v1"}, "version is 'v1'"),
        ({"inputs": {}}, "inputs is {}; expected a dict by name"),
        ({"inputs": {"x": "FP32"}}, r"inputs\['x'\] is 'FP32'; expected a datatype and a shape"),
        ({"inputs": {"x": ("FP32", "ab")}}, r"inputs\['x'\] is \('FP32', 'ab'\)"),
        ({"inputs": {"x": ("FP32", [-1, 2.5])}}, r"inputs\['x'\] is \('FP32', \[-1, 2.5\]\)"),
        ({"outputs": {"Y": ("float32", [-1])}}, r"datatype of outputs\['Y'\] is 'float32'.*FP32"),
        ({"inputs": {"x": ("FP32", [-2])}}, r"shape of inputs\['x'\] is \[-2\]"),
        ({"max_batch_size": 0}, "max_batch_size is 0"),
        ({"max_batch_size": 8, "inputs": {"x": ("FP32", [4])}}, r"shape of 'x' is \[4\]"),
    ],
)
def test_a_model_that_cant_be_is_refused(changed: dict[str, object], complaint: str) -> None:
    """Before it is served."""
    given = {"model": "m", "function": total, "inputs": FEATURES, "outputs": PREDICTION} | changed
    fake = FakeTriton()
    with pytest.raises(InvalidSetting, match=complaint):
        fake.serve(given.pop("model"), given.pop("function"), **given)
    with pytest.raises(ModelNotFound):
        ask(fake, request_of(model="m"))


@pytest.mark.parametrize(
    ("method", "args", "complaint"),
    [
        ("fail", ("churn", ValueError), "error is <class 'ValueError'>; expected a class of Call"),
        ("fail", ("churn", InvalidInput), "error is .*InvalidInput"),
        ("fail", ("churn", Unreachable(Target("u"))), "error is Unreachable"),
        ("fail", ("churn", Unreachable, 0), "times is 0"),
        ("fail", ("chum", Unreachable), "model is 'chum'; expected one that is served: 'churn'"),
        ("slow", ("churn", -1), "seconds is -1"),
        ("slow", ("churn", math.inf), "seconds is inf"),
        ("slow", ("churn", "1"), "seconds is '1'"),
        ("slow", ("chum", 1), "model is 'chum'"),
        ("recover", ("chum",), "model is 'chum'"),
        ("unload", ("chum",), "model is 'chum'"),
    ],
)
def test_a_fault_that_cant_be_is_refused(fake, method: str, args: tuple, complaint: str) -> None:
    """Nothing is changed by it."""
    with pytest.raises(InvalidSetting, match=complaint):
        getattr(fake, method)(*args)
    assert predictions(fake) == [[6.0], [22.0]]


@pytest.fixture
def calendar() -> FakeTriton:
    """A server of the calendar's models."""
    server = FakeTriton()
    server.calendar()
    return server


@pytest.fixture
def real(triton):
    with grpc.insecure_channel(triton.grpc_url) as channel:
        yield GRPCInferenceServiceStub(channel)


@pytest.mark.parametrize("model", MODELS)
def test_the_calendars_models_take_and_give_what_the_real_ones_do(
    calendar, real, root, model
) -> None:
    """Names, datatypes, shapes, the order of the inputs, and how many rows at a time."""
    metadata = real.ModelMetadata(pb.ModelMetadataRequest(name=model))
    inputs, outputs = (
        [Spec(one.name, one.datatype, tuple(one.shape)) for one in tensors]
        for tensors in (metadata.inputs, metadata.outputs)
    )
    contract = calendar.open_transport().contract(model, "", soon())
    assert list(contract.inputs) == inputs
    assert list(contract.outputs) == sorted(outputs, key=lambda spec: spec.name)
    config = (root / "model_repository" / model / "config.pbtxt").read_text()
    assert f"\nmax_batch_size: {contract.max_batch_size}\n" in config


def texts(name: str, rows: int = 1) -> Tensor:
    return from_array(name, "BYTES", np.full((rows, 1), b"{}", dtype=np.object_))


REFUSED = {
    "too many rows": Request("schedule_optimizer", "", [texts("problem", 17)], id="r1"),
    "no id": Request("pattern_detector", "", [texts("calendar", 257)]),
    "another model": Request("churn", "", [texts("calendar")]),
    "another version": Request("pattern_detector", "77", [texts("calendar")]),
    "another input": Request("pattern_detector", "", [texts("problem")]),
    "too few inputs": Request("event_classifier", "", [texts("title")]),
    "another type": Request(
        "pattern_detector", "", [from_array("calendar", "FP32", ROWS[:1, :1])], id="r2"
    ),
    "another shape": Request("pattern_detector", "", [Tensor("calendar", "BYTES", (1, 0), b"")]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_is_in_the_real_servers_words(calendar, real, what: str) -> None:
    """What a client reads in them, and what a test expects of them, holds for both."""
    request = REFUSED[what]
    message = pb.ModelInferRequest(
        model_name=request.model, model_version=request.version, id=request.id
    )
    for tensor in request.tensors:
        message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        message.raw_input_contents.append(tensor.raw)
    with pytest.raises(grpc.RpcError) as said:
        real.ModelInfer(message)
    with pytest.raises((InputRefused, ModelNotFound)) as caught:
        ask(calendar, request)
    sentence, _, _advice = said.value.details().partition(" NOTE: ")
    assert caught.value.said == sentence
    not_found = said.value.code() is grpc.StatusCode.NOT_FOUND
    assert isinstance(caught.value, ModelNotFound if not_found else InputRefused)


def test_the_most_rows_can_be_read_of_the_refusal(fake) -> None:
    """As a client does that learns them; so many are taken."""
    with pytest.raises(InputRefused, match="batch-size must be <= 64 for 'churn'") as caught:
        ask(fake, request_of(np.zeros((65, 4), np.float32)))
    assert batch_limit(caught.value) == 64
    assert len(ask(fake, request_of(np.zeros((64, 4), np.float32)))[1]["prediction"]) == 64


def put(calendar: FakeTriton, question: Question):
    """Return the typed answer to a question."""
    transport = calendar.open_transport()
    contract = transport.contract(question.model, "", soon())
    tensors = checked_inputs(contract, question.inputs)
    answer = transport.infer(Request(question.model, "", tensors), soon())
    outputs = {tensor.name: to_array(tensor) for tensor in answer.outputs}
    cached = np.zeros(tensors[0].shape[0], dtype=np.bool_)
    result = InferResult(outputs, answer.version, cached, 0)
    return question.read(Answered(result, Target("fake", question.model, "1")))


STANDUPS = [
    Event("Standup", start, start + HOUR / 2, category="meeting")
    for start in (NINE, NINE + 7 * DAY, NINE + 14 * DAY)
]
BIRTHDAYS = [Event("생일", date(2024 + year, 3, 2), all_day=True) for year in range(3)]


def test_events_are_classified_by_their_words(calendar) -> None:
    """One category each, by far the likeliest."""
    events = [Event("Weekly team meeting"), Event("운동"), Event("…")]
    answers = put(calendar, classify_question(events))
    assert [one.category for one in answers] == ["meeting", "exercise", "personal"]
    assert [one.title for one in answers] == [event.title for event in events]
    for one in answers:
        assert one.confidence == pytest.approx(0.9)
        assert sum(one.probabilities.values()) == pytest.approx(1)


def test_a_plan_keeps_tasks_apart_in_their_order_and_their_window(calendar) -> None:
    """Beside what is busy, after what they wait for, before their deadline; or says why not."""
    tasks = [
        Task("after", HOUR, depends_on=["report"]),
        Task("report", 2 * HOUR),
        Task("late", HOUR, earliest=NINE + 6 * HOUR),
        Task("urgent", HOUR, deadline=NINE + HOUR / 2),
        Task("endless", 30 * HOUR),
        Task("waiting", HOUR, depends_on=["endless"]),
    ]
    busy = [Busy(NINE + HOUR, NINE + 2 * HOUR), Event("Lunch", NINE + 4 * HOUR, NINE + 5 * HOUR)]
    plan = put(
        calendar,
        schedule_question(
            tasks,
            window=(NINE, NINE + DAY),
            busy=busy,
            working_hours=None,
            breaks=(),
            buffer=timedelta(),
            history=(),
            step=timedelta(minutes=15),
            time_limit_s=1.0,
            seed=0,
            time_zone=None,
        ),
    )
    placed = {one.task: (one.start, one.end) for one in plan.placements}
    assert placed == {
        "report": (NINE + 2 * HOUR, NINE + 4 * HOUR),
        "after": (NINE + 5 * HOUR, NINE + 6 * HOUR),
        "late": (NINE + 6 * HOUR, NINE + 7 * HOUR),
    }
    assert all(one.chunks == (placed[one.task],) for one in plan.placements)
    assert (plan.status, plan.objective, plan.bound, plan.gap) == ("optimal", 3, 3, 0)
    assert [(one.task, one.reason) for one in plan.not_placed] == [
        ("urgent", "no_free_slot"),
        ("endless", "no_free_slot"),
        ("waiting", "dependency"),
    ]


def test_what_comes_three_times_is_a_habit(calendar) -> None:
    """It keeps its wall clock over a change of the clocks; all-day habits have dates."""
    events = [*STANDUPS, *BIRTHDAYS, Event("Once", NINE)]
    standup, birthday = put(calendar, patterns_question(events, About()))
    assert (standup.title, standup.rrule) == ("Standup", "FREQ=WEEKLY;BYDAY=MO")
    assert (standup.dtstart, standup.last_seen) == (NINE, NINE + 14 * DAY)
    assert standup.next == tuple(NINE + days * DAY for days in (21, 28, 35))
    assert {moment.tzinfo for moment in standup.next} == {BERLIN}
    assert (standup.duration, standup.support, standup.expected) == (HOUR / 2, 3, 3)
    assert standup.category == "meeting"
    assert (birthday.title, birthday.all_day, birthday.category) == ("생일", True, None)
    assert (birthday.dtstart, birthday.last_seen) == (date(2024, 3, 2), date(2026, 3, 2))
    assert put(calendar, patterns_question([Event("Once", NINE)], About())) == []


def test_a_week_is_balanced_and_its_risk_adds_up(calendar) -> None:
    """Shares and scores within their bounds, hours of a day, the probability's log-odds."""
    balance = put(calendar, balance_question(STANDUPS, About()))
    assert all(0 <= score <= 100 for score in [balance.score, *balance.sub_scores.values()])
    assert all(0 <= share <= 1 for share in balance.percentiles.values())
    assert sum(balance.hours_per_day.values()) == 24
    assert balance.measures["events"] == 3
    risk = put(calendar, burnout_question(STANDUPS, About()))
    log_odds = risk.baseline + sum(driver.contribution for driver in risk.drivers)
    assert risk.probability == pytest.approx(1 / (1 + math.exp(-log_odds)))
    low, high = risk.interval
    assert low < risk.probability < high
    assert risk.measures == balance.measures


def test_insights_are_the_answers_of_the_three(calendar) -> None:
    """Of the same calendar, in one request."""
    insights = put(calendar, insights_question(STANDUPS, About()))
    assert insights.patterns == tuple(put(calendar, patterns_question(STANDUPS, About())))
    assert insights.balance == put(calendar, balance_question(STANDUPS, About()))
    assert insights.burnout == put(calendar, burnout_question(STANDUPS, About()))


def test_a_model_of_the_calendar_can_be_served_otherwise(calendar) -> None:
    """The answer that a test needs, in place of the plain one."""
    served = calendar.open_transport().contract("pattern_detector", "", soon())
    shapes = {spec.name: (spec.datatype, spec.shape) for spec in (*served.inputs, *served.outputs)}
    calendar.serve(
        "pattern_detector",
        lambda calendar: {"patterns": np.full(calendar.shape, "[]", dtype=np.object_)},
        inputs={"calendar": shapes["calendar"]},
        outputs={"patterns": shapes["patterns"]},
    )
    assert put(calendar, patterns_question(STANDUPS, About())) == []
