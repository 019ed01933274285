"""`burnout_analyzer`: a week to its risk and what drives it; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from geulpi_client._answers import Answered
from geulpi_client._documents import About, calendar_inputs
from geulpi_client._errors import shortened
from geulpi_client._event import Event, some_events
from geulpi_client._names import BURNOUT_DRIVERS, LEVELS, MEASURES
from geulpi_client._question import Question

MODEL: Final = "burnout_analyzer"


@dataclass(frozen=True)
class Driver:
    """What moves a risk: its name, one of `BURNOUT_DRIVERS`, and by how much, in log-odds."""

    name: str
    contribution: float


@dataclass(frozen=True)
class BurnoutRisk:
    """The risk that a week as this one leaves a person stressed; an index, not a diagnosis.

    Attributes:
        probability: 0 to 1.
        interval: the lowest and the highest probability that the week is compatible with.
        level: one of `LEVELS`.
        drivers: what moves the risk, the strongest first.
        baseline: log-odds; with the contributions of all drivers it adds up to those of the
            probability.
        measures: what was measured of the week, by `MEASURES`.
        cached: whether the answer came from the cache.
    """

    probability: float
    interval: tuple[float, float]
    level: str
    drivers: tuple[Driver, ...]
    baseline: float
    measures: dict[str, float]
    cached: bool


def burnout_question(events: Sequence[Event], about: About) -> Question[BurnoutRisk]:
    """Return the question how high the risk in the week of these events is.

    Raises:
        InvalidEvent, InvalidSetting: before anything is sent.
    """
    return Question(MODEL, calendar_inputs(some_events(events), about), read_burnout)


def read_burnout(answered: Answered) -> BurnoutRisk:
    """Return the risk of an answer.

    Raises:
        UnexpectedAnswer: it is not what this client knows.
    """
    probability, level = answered.number("probability"), answered.text("level")
    low, high = answered.numbers("interval", 2)
    if not 0 <= low <= high <= 1 or not 0 <= probability <= 1:
        raise answered.unexpected("interval", f"is {low} to {high} around {probability}")
    if level not in LEVELS:
        raise answered.unexpected("level", f"is {shortened(level)}, none of {', '.join(LEVELS)}")
    contributions = answered.by_name("contributions", BURNOUT_DRIVERS)
    drivers = [Driver(name, contribution) for name, contribution in contributions.items()]
    return BurnoutRisk(
        probability=probability,
        interval=(low, high),
        level=level,
        drivers=tuple(sorted(drivers, key=lambda driver: -abs(driver.contribution))),
        baseline=answered.number("baseline"),
        measures=answered.by_name("measures", MEASURES),
        cached=answered.cached,
    )
