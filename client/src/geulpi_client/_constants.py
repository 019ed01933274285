"""Every cache prefix, time to live and limit of the client, with units in the names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

DEFAULT_URL: Final = "localhost:8001"
DEFAULT_CACHE_URL: Final = "redis://localhost:6379/0"
DEFAULT_TIMEOUT_S: Final = 5.0

# Keys in Redis: `ml_cache:{model}:{version}:{digest}` and the hash `ml_cache_stats:{model}`.
RESULT_PREFIX: Final = "ml_cache:"
COUNTS_PREFIX: Final = "ml_cache_stats:"
# `ml_cache_tag:{tag}` is the set of a tag's keys, `ml_cache_lock:{key}` says that one process
# computes a row anew, and the stream `ml_cache_log` tells all what was dropped.
TAG_PREFIX: Final = "ml_cache_tag:"
LOCK_PREFIX: Final = "ml_cache_lock:"
LOG_KEY: Final = "ml_cache_log"
LOG_ENTRIES: Final = 10_000
LOG_KEPT_S: Final = 86_400

# How long an answer stays true: a plan ages with the calendar, a burnout risk over days.
TTL_S: Final[Mapping[str, float]] = MappingProxyType(
    {
        "event_classifier": 300.0,
        "schedule_optimizer": 60.0,
        "pattern_detector": 1800.0,
        "balance_analyzer": 900.0,
        "burnout_analyzer": 3600.0,
        "week_insights": 900.0,
    }
)
OTHER_TTL_S: Final = 300.0

# What the cache may cost a call, and for how long at most it is left alone after it failed.
CACHE_TIMEOUT_S: Final = 0.05
CACHE_PAUSE_S: Final = 1.0
# Rows are written beside the calls, those of so long a time in one round-trip.
WRITE_DELAY_S: Final = 0.005
# After so many look-ups of a quick model in a row that found nothing, the shared cache is asked at
# every eighth call only, until it knows something again: a look-up costs up to a fifth of such a
# call, so that it pays from some twenty hits in a hundred on.
FRUITLESS_LOOKUPS: Final = 100
QUICK_MS: Final = 5.0
FRUITLESS_EVERY: Final = 8
MAX_WAITING_WRITES_BYTES: Final = 16 << 20
# How often a client with a memory of its own looks what other processes dropped.
LOG_READ_S: Final = 0.5
COUNTS_FLUSH_S: Final = 1.0
# Larger answers stay out of the cache: moving them takes longer than the cache may cost.
MAX_CACHED_ROW_BYTES: Final = 1 << 20

# How old a model's metadata may be, and what a refresh may cost while an older one is at hand.
CONTRACT_TTL_S: Final = 0.5
CONTRACT_REFRESH_S: Final = 0.25

# A calendar of MAX_EVENTS events with titles of 60 Korean letters fits.
MAX_ELEMENT_BYTES: Final = 1 << 24
MAX_EVENTS: Final = 50_000
MAX_TITLE_CHARACTERS: Final = 1000
