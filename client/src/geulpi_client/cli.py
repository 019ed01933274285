"""`geulpi classify`, `geulpi status` and `geulpi cache`: the client from a shell."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geulpi_client._constants import DEFAULT_CACHE_URL, DEFAULT_TIMEOUT_S, DEFAULT_URL

if TYPE_CHECKING:
    from datetime import datetime

    from geulpi_client import CacheStats, Classification, ServerStatus

__all__ = ["cache", "classify", "status"]

_BAR_CELLS = 10

Url = Annotated[str, typer.Option(help="host:port of the server's gRPC API.")]
Cache = Annotated[str, typer.Option("--cache", help="Redis URL of the result cache, or none.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for the answer.")]

cache = typer.Typer(no_args_is_help=True, help="Hit rates of the result cache; drop results.")


def classify(
    titles: Annotated[list[str], typer.Argument(metavar="TITLE…", help="Titles of events.")],
    start: Annotated[
        str | None, typer.Option(help="Start of each, ISO 8601 with an offset.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="End of each, ISO 8601 with an offset.")] = None,
    *,
    url: Url = DEFAULT_URL,
    cache_url: Cache = DEFAULT_CACHE_URL,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Say of each title which of the ten categories the event belongs to.

    Example: geulpi classify "치과 예약" "Team standup" --start 2026-03-02T09:00+09:00
    """
    from geulpi_client import Event, GeulpiClient

    starts, ends = _moment("start", start), _moment("end", end)
    events = [Event(title, starts, ends) for title in titles]
    with GeulpiClient(url, cache=_cache_or_none(cache_url), timeout_s=timeout) as client:
        answers = client.classify(events)
    if as_json:
        _print_json([asdict(answer) for answer in answers])
    else:
        _show_answers(answers)


def status(
    *,
    url: Url = DEFAULT_URL,
    cache_url: Cache = DEFAULT_CACHE_URL,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Show the server, its models and the cache; exit code 1 unless the server is ready.

    Example: geulpi status --url localhost:8001 --json
    """
    from geulpi_client import server_status

    address = _cache_or_none(cache_url)
    cache_state = _cache_state(address) if address else None  # a wrong URL is told before any wait
    server = server_status(url, timeout_s=timeout)
    if as_json:
        _print_json(_status_document(server, cache_state))
    else:
        _show_status(server, cache_state)
    if not server.ready:
        raise typer.Exit(1)


@cache.command()
def stats(*, cache_url: Cache = DEFAULT_CACHE_URL, as_json: Json = False) -> None:
    """Show how often each model's rows were found in the cache, and how many it holds.

    Example: geulpi cache stats --cache redis://localhost:6379/0
    """
    from geulpi_client import cache_entries, cache_stats

    address = _required_cache(cache_url)
    counts, entries = cache_stats(address), cache_entries(address)
    models = {
        name: _counts_document(counts.get(name)) | {"entries": entries.get(name, 0)}
        for name in sorted({*counts, *entries})
    }
    total = _counts_document(_summed(counts)) | {"entries": sum(entries.values())}
    if as_json:
        _print_json({"models": models, "total": total})
    else:
        _show_counts(models, total)


@cache.command()
def invalidate(
    model: Annotated[str | None, typer.Argument(help="Drop the results of this model.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Drop those of every model.")] = False,
    cache_url: Cache = DEFAULT_CACHE_URL,
    as_json: Json = False,
) -> None:
    """Drop cached results; the next calls ask the model anew.

    Example: geulpi cache invalidate event_classifier
    """
    import geulpi_client

    if (model is None) is not every:
        raise typer.BadParameter("name one MODEL, or --all")
    dropped = geulpi_client.invalidate(_required_cache(cache_url), model)
    if as_json:
        _print_json({"model": model, "dropped": dropped})
    else:
        typer.echo(f"{dropped} cached results dropped")


def _moment(field: str, text: str | None) -> datetime | None:
    from datetime import datetime

    from geulpi_client import InvalidEvent

    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidEvent(field, text, "ISO 8601, such as 2026-03-02T09:00+09:00") from error


def _cache_or_none(url: str) -> str | None:
    return None if url == "none" else url


def _required_cache(url: str) -> str:
    from geulpi_client import InvalidUrl

    if url == "none":
        raise InvalidUrl("Cache address", url, "a Redis URL, such as redis://localhost:6379/0")
    return url


def _summed(counts: dict[str, CacheStats]) -> CacheStats:
    from geulpi_client import CacheStats

    return CacheStats(
        sum(model.hits for model in counts.values()), sum(model.misses for model in counts.values())
    )


def _counts_document(counts: CacheStats | None) -> dict[str, Any]:
    if counts is None:
        return {"hits": 0, "misses": 0, "hit_rate": 0.0}
    return asdict(counts) | {"hit_rate": counts.hit_rate}


def _cache_state(url: str) -> dict[str, Any]:
    from geulpi_client import CacheUnavailable, cache_stats
    from geulpi_client._redis import masked

    counts = None
    with suppress(CacheUnavailable):
        counts = _summed(cache_stats(url))
    return {"url": masked(url), "reachable": counts is not None} | _counts_document(counts)


def _status_document(server: ServerStatus, cache_state: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "url": server.url,
        "live": server.live,
        "ready": server.ready,
        "models": [asdict(model) for model in server.models],
        "server": {"name": server.name, "version": server.version},
        "cache": cache_state,
    }


def _print_json(document: object) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False))


def _show_answers(answers: list[Classification]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("title", "category", "confidence", "runner-up", "cached")
    for answer in answers:
        runner_up = sorted(answer.probabilities, key=answer.probabilities.__getitem__)[-2]
        bar = "█" * round(answer.confidence * _BAR_CELLS)
        table.add_row(
            Text(answer.title),
            Text(answer.category, style="bold"),
            f"{answer.confidence:4.0%} {bar}",
            f"{runner_up} {answer.probabilities[runner_up]:.0%}",
            "yes" if answer.cached else "no",
        )
    Console().print(table)


def _show_status(server: ServerStatus, cache_state: dict[str, Any] | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    state = "ready" if server.ready else "live, not ready" if server.live else "away"
    line = f"server {server.url}: {state} {server.name} {server.version}"
    console.print(line.rstrip(), markup=False, highlight=False)
    if server.problem:
        console.print(server.problem, markup=False, highlight=False, soft_wrap=True)
    if server.models:
        table = Table("model", "versions", "backend", "state")
        for model in server.models:
            state = "ready" if model.ready else "not ready"
            table.add_row(model.name, ", ".join(model.versions), model.backend, state)
        console.print(table)
    if cache_state is None:
        console.print("cache none")
    elif not cache_state["reachable"]:
        console.print(f"cache {cache_state['url']}: away", markup=False)
    else:
        console.print(
            f"cache {cache_state['url']}: {cache_state['hit_rate']:.1%} of "
            f"{cache_state['hits'] + cache_state['misses']} rows found",
            markup=False,
        )


def _show_counts(models: dict[str, dict[str, Any]], total: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("model", show_footer=True)
    table.columns[0].footer = "total"
    for field in ("entries", "hits", "misses"):
        table.add_column(field, str(total[field]), justify="right")
    table.add_column("hit rate", f"{total['hit_rate']:.1%}", justify="right")
    for name, counts in models.items():
        table.add_row(
            name,
            *(str(counts[field]) for field in ("entries", "hits", "misses")),
            f"{counts['hit_rate']:.1%}",
        )
    Console().print(table)
