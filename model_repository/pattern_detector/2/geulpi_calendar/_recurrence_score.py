"""How much better a rule tells the days of a series than chance does; in nats.

A series of `events` on `days` days is told either by chance (each event on any day, whatever the
others do) or by a rule: of its `slots`, the `hits` hold an event, the rest of the events fall by
chance. The share of slots that are hit is unknown, Beta(4, 1) before anything is seen. The first
hit is given to both, so a rule is one by its interval and kind, not by its phase.

The gain is the log of the ratio of the two likelihoods (a Bayes factor), less the code length of
the rule. By Markov's inequality a gain of log(1/α) or more, from whichever rule, comes of chance
with probability α at most (Grünwald, de Heide, Koolen: Safe testing, 2024); no correction for the
number of rules tried is needed beyond their code lengths, which obey Kraft's inequality.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from geulpi_calendar.documents import MAX_EVENTS

__all__ = ["gain_over_chance", "gain_over_repulsion", "span_cost"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
ShortInts: TypeAlias = npt.NDArray[np.int32]

_HIT: Final = 4  # Beta(4, 1): four of five slots are expected to be hit
_MISS: Final = 1
_LOG_FACTORIAL: Final = np.concatenate(
    [[0.0], np.cumsum(np.log(np.arange(1, 2 * MAX_EVENTS + _HIT + _MISS + 1)))]
)
_BUSIEST: Final = 0.4  # share of days that chance may fill


def gain_over_chance(hits: Ints, slots: Ints, events: Ints, days: Ints, logs: Floats) -> Floats:
    """Return the gain over events that fall on any day independently, several on one too.

    Args:
        hits: at least 1, and more than half of the slots.
        slots: from the first hit to the last.
        events: of the series, the hits among them.
        days: that the series spans.
        logs: sum over the hits, without the first, of log(how likely chance takes such a day,
            against a day on average).
    """
    others = events - hits
    chance = _LOG_FACTORIAL[events - 1] - (hits - 1) * np.log(np.maximum(days - 1, 1)) + logs
    gain: Floats = _log_hits(hits, slots) + _LOG_FACTORIAL[others] - chance
    return gain


def gain_over_repulsion(hits: Ints, slots: Ints, events: Ints, days: Ints, logs: Floats) -> Floats:
    """Return the gain over events that fall on days at random, but at most one a day.

    Chance may fill two days of five; what fills more is a habit. Arguments as above.
    """
    others = np.minimum(events - hits, days - slots)
    off = days - slots
    rate = (hits + others) / days
    on_weight = np.exp(logs / np.maximum(hits - 1, 1))
    off_weight = np.maximum(days - slots * on_weight, 0) / np.maximum(off, 1)
    on_rate = np.clip(rate * on_weight, 1e-9, _BUSIEST)
    off_rate = np.clip(rate * off_weight, 1e-9, _BUSIEST)
    chance = (
        (hits - 1) * np.log(on_rate)
        + (slots - hits) * np.log1p(-on_rate)
        + others * np.log(off_rate)
        + (off - others) * np.log1p(-off_rate)
    )
    told = np.clip(others / np.maximum(off, 1), 1e-9, 1 - 1e-9)
    besides = others * np.log(told) + (off - others) * np.log1p(-told)
    gain: Floats = _log_hits(hits, slots) + besides - chance
    return gain


def span_cost(whole: npt.NDArray[np.bool_], events: Ints) -> Floats:
    """Return the code length of where a rule begins and ends among the events of its series."""
    cost: Floats = np.log(2) + np.where(whole, 0.0, 2 * np.log(events))
    return cost


def _log_hits(hits: Ints, slots: Ints) -> Floats:
    """Return the log probability of which slots are hit, the first one given."""
    ones, zeros = hits - 1 + _HIT - 1, slots - hits + _MISS - 1
    table = _LOG_FACTORIAL
    whole = table[_HIT - 1] + table[_MISS - 1] - table[_HIT + _MISS - 1]
    log_probability: Floats = table[ones] + table[zeros] - table[ones + zeros + 1] - whole
    return log_probability
