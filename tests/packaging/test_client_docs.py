"""The client's pages say what the client does: options, names, figures, and examples that run."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import geulpi_client
import pytest
import trustme
from geulpi_client import (
    AsyncGeulpiClient,
    CallFailed,
    Event,
    GeulpiClient,
    GeulpiError,
    InvalidSetting,
    ModelStats,
    Stats,
)
from geulpi_client._constants import (
    CACHE_PAUSE_S,
    CACHE_TIMEOUT_S,
    CONTRACT_REFRESH_S,
    CONTRACT_TTL_S,
    COUNTS_PREFIX,
    DEFAULT_URL,
    LOCK_PREFIX,
    LOG_KEY,
    LOG_READ_S,
    MAX_CACHED_ROW_BYTES,
    MAX_ELEMENT_BYTES,
    MAX_WAITING_WRITES_BYTES,
    OTHER_TTL_S,
    RESULT_PREFIX,
    TAG_PREFIX,
    TTL_S,
)
from geulpi_client._endpoints import LONGEST_OPEN_S
from geulpi_client._redis import MAX_CONNECTIONS, checked_cache_url
from geulpi_client._retries import MAX_ATTEMPTS
from geulpi_client._settings import Options, Settings
from geulpi_client.prometheus import register
from geulpi_client.testing import FakeTriton
from geulpi_server import EmbeddedTriton, EmbeddedValkey
from prometheus_client import CollectorRegistry, generate_latest

ROOT = Path(__file__).parent.parent.parent
PAGE = "docs/client.md"
QUESTIONS = "client/README.md"
PAGES = (PAGE, QUESTIONS, "README.md")
BIN = Path(sys.executable).parent


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def section(heading: str) -> str:
    """What stands under a heading of the page, up to the next one of the same rank or higher."""
    rank = len(heading) - len(heading.lstrip("#"))
    _, after = text_of(PAGE).split(f"\n{heading}\n")
    return re.split(rf"\n#{{1,{rank}}} ", after)[0]


def rows_of(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without the lines below their heads."""
    lines = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [row for row in rows if not set("".join(row)) <= set("-|")]


def named(cell: str) -> str:
    """What a cell has between its first backticks."""
    found = re.search(r"`([^`]*)`", cell)
    return found[1] if found else ""


def test_every_option_stands_in_the_table_with_its_default() -> None:
    """`Options` names them, `Settings` has the defaults; no option is described that is none."""
    rows = {named(row[0]): row for row in rows_of(section("## All options")) if len(row) == 4}
    del rows[""]  # the head
    assert ast.literal_eval(named(rows.pop("url")[2])) == DEFAULT_URL
    assert rows.keys() == Options.__annotations__.keys()
    for option in dataclasses.fields(Settings):
        if option.name == "servers":
            continue
        default = option.default
        if option.default_factory is not dataclasses.MISSING:
            default = option.default_factory()
        default = dict(default) if isinstance(default, Mapping) else default
        told = ast.literal_eval(named(rows[option.name][2]))
        assert (told, type(told)) == (default, type(default)), option.name
        assert len(rows[option.name][3]) > 20, f"{option.name}: why?"


def test_options_have_the_limits_that_the_table_tells() -> None:
    """Just inside a limit is taken, just outside is refused."""
    fake = FakeTriton()
    for option, right, wrong in (
        ("memory_bytes", 65_536, 65_535),
        ("coalesce_delay_s", 0.002, 0.0021),
        ("max_in_flight", 1, 0),
        ("max_waiting", 1, 0),
        ("timeout_s", 0.001, 0),
    ):
        GeulpiClient(fake, **{option: right}).close()
        with pytest.raises(InvalidSetting, match=option):
            GeulpiClient(fake, **{option: wrong})


def test_what_is_no_option_has_the_values_that_the_page_tells() -> None:
    """In the order of the page."""
    mib = 1 << 20
    told = dict(rows_of(section("## All options").split("What is not an option")[1]))
    assert list(told.values()) == [
        f"{1000 * CACHE_TIMEOUT_S:g} ms",
        f"at most {CACHE_PAUSE_S:g} s",
        f"at most {MAX_CACHED_ROW_BYTES / mib:g} MiB",
        f"at most {MAX_WAITING_WRITES_BYTES / mib:g} MiB",
        f"asked anew after {CONTRACT_TTL_S:g} s, which may take {CONTRACT_REFRESH_S:g} s",
        f"read every {LOG_READ_S:g} s",
        f"at most {MAX_ATTEMPTS}",
        f"open for at most {LONGEST_OPEN_S:g} s",
        f"at most {MAX_CONNECTIONS} a server",
        f"at most {MAX_ELEMENT_BYTES / mib:g} MiB",
    ]


def test_times_to_live_and_keys_are_those_of_the_client() -> None:
    """The two tables of the cache's section."""
    times = {named(row[0]): row[1] for row in rows_of(section("### Times to live"))[1:]}
    seconds = {model: float(told.replace(",", "")) for model, told in times.items()}
    assert seconds == {**TTL_S, "": OTHER_TTL_S}
    keys = [named(row[0]) for row in rows_of(section("### Keys"))[1:]]
    assert keys == [
        RESULT_PREFIX + "{model}:{version}:{digest}",
        COUNTS_PREFIX + "{model}",
        TAG_PREFIX + "{tag}",
        LOCK_PREFIX + "{key}",
        LOG_KEY,
    ]


def test_the_redis_urls_of_the_page_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, and all kinds."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.chdir(tmp_path)
    urls = [named(row[0]) for row in rows_of(section("### Redis URLs"))[1:]]
    addresses = [checked_cache_url(url) for url in urls]
    assert {address.kind for address in addresses} == {"standalone", "sentinel", "cluster"}
    assert any(not address.hosts for address in addresses)  # the Unix socket


def test_every_public_name_is_on_a_page() -> None:
    """A class or function that no page mentions is one that nobody finds."""
    pages = "".join(text_of(page) for page in PAGES)
    public = {
        name
        for name in geulpi_client.__all__
        if inspect.isclass(getattr(geulpi_client, name)) or callable(getattr(geulpi_client, name))
    }
    assert len(public) > 50
    assert {name for name in public if not re.search(rf"\b{name}\b", pages)} == set()


def test_every_error_is_in_the_tree_below_its_base_and_in_the_table() -> None:
    """The tree is that of the classes; the table says what to do about each that is raised."""
    tree = re.search(r"```text\n(GeulpiError.*?)```", text_of(PAGE), re.DOTALL)[1]
    bases: dict[str, str] = {}
    line_of = []
    for line in tree.splitlines():
        name = re.search(r"\w+", line)[0]
        depth = line.index(name) // 4
        line_of = [*line_of[:depth], name]
        bases[name] = line_of[-2] if depth else "Exception"
    public = {
        name: error
        for name in geulpi_client.__all__
        if inspect.isclass(error := getattr(geulpi_client, name)) and issubclass(error, GeulpiError)
    }
    assert bases.keys() == public.keys()
    for name, base in bases.items():
        assert issubclass(public[name], public.get(base, Exception)), (name, base)
    raised = public.keys() - {"GeulpiError", "InvalidInput", "CallFailed"}
    cells = [row[0] for row in rows_of(section("## Errors"))[1:]]
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(raised)


def test_which_errors_are_tried_again_is_told_right() -> None:
    """The table against the client: the one request is followed by a second one, or it is not."""
    for row in rows_of(section("## Errors"))[1:]:
        for name in re.findall(r"`(\w+)`", row[0]):
            error = getattr(geulpi_client, name)
            if not issubclass(error, CallFailed):
                assert row[1] == "no"
                continue
            fake = FakeTriton()
            fake.calendar()
            fake.fail("event_classifier", error, times=1)
            with GeulpiClient(fake, timeout_s=5.0) as geulpi:
                if row[1] == "yes":
                    assert geulpi.classify([Event("치과 예약")]), name
                else:
                    with pytest.raises(error):
                        geulpi.classify([Event("치과 예약")])
            assert len(fake.requests) == (2 if row[1] == "yes" else 1), name


def test_which_errors_a_file_answers_is_told_right() -> None:
    """The same for `local`."""
    local = {"event_classifier": ROOT / "model_repository/event_classifier/3/model.onnx"}
    for row in rows_of(section("## Errors"))[1:]:
        for name in re.findall(r"`(\w+)`", row[0]):
            error = getattr(geulpi_client, name)
            if not issubclass(error, CallFailed):
                assert row[2] == "no"
                continue
            fake = FakeTriton()
            fake.calendar()
            fake.fail("event_classifier", error)
            with GeulpiClient(fake, local=local, timeout_s=0.5) as geulpi:
                if row[2] == "yes":
                    assert geulpi.classify([Event("치과 예약")]), name
                    assert geulpi.stats().total.local_answers == 1, name
                else:
                    with pytest.raises(error):
                        geulpi.classify([Event("치과 예약")])


def test_every_prometheus_family_is_in_the_table() -> None:
    """With its kind and its labels."""
    fake = FakeTriton()
    fake.calendar()
    registry = CollectorRegistry()
    with GeulpiClient(fake, memory_bytes=1 << 20) as geulpi:
        register(geulpi, registry)
        geulpi.classify([Event("치과 예약")])
        fake.fail("event_classifier", geulpi_client.InferenceFailed)
        with pytest.raises(geulpi_client.InferenceFailed):
            geulpi.classify([Event("운동")])
        families = list(registry.collect())
        exposed = generate_latest(registry).decode()
    told = {named(row[0]): (row[1], row[2]) for row in rows_of(section("## Observability"))}
    for family in families:
        name = family.name + ("_total" if family.type == "counter" else "")
        assert name in exposed
        kind, labels = told[name]
        assert kind == family.type, name
        found = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert set(re.findall(r"\w+", labels)) == found, name
    assert {name for name in told if name.startswith("geulpi_client_")} == {
        family.name + ("_total" if family.type == "counter" else "") for family in families
    }


def test_every_figure_of_stats_is_told() -> None:
    """The fields of `Stats` by their names; those of a model in the words of the page."""
    told = section("## Observability")
    for figure in dataclasses.fields(Stats):
        assert f"`{figure.name}`" in told, figure.name
    assert len(dataclasses.fields(ModelStats)) == 16, "a figure is new: is it on the page?"


def test_every_log_event_is_told_with_its_fields() -> None:
    """What the code logs is what the table has."""
    found = set()
    for path in Path(geulpi_client.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "event":
                level, message = call.args
                fields = ", ".join(str(keyword.arg) for keyword in call.keywords)
                found.add((ast.unparse(level).lower(), ast.literal_eval(message), fields))
    told = {tuple(row) for row in rows_of(section("## Observability")) if len(row) == 3}
    assert found == told - {("level", "event", "fields")}


def test_both_kinds_of_client_have_the_same_methods() -> None:
    """As the page says: `close` is `aclose`, and all else is the same."""

    def methods(client: type) -> dict[str, Any]:
        return {
            name.removeprefix("a") if name == "aclose" else name: inspect.signature(method)
            for name, method in inspect.getmembers(client, inspect.isfunction)
            if not name.startswith("_")
        }

    threaded, of_asyncio = methods(GeulpiClient), methods(AsyncGeulpiClient)
    assert threaded.keys() == of_asyncio.keys()
    for name, signature in threaded.items():
        assert signature.parameters.keys() == of_asyncio[name].parameters.keys(), name


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Files are there, and headings have the anchors that are linked."""
    text = text_of(page)
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    assert links
    for link in links:
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)", target.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in anchors, link


def blocks(page: str, language: str) -> list[Any]:
    """The blocks of a page, named by their line."""
    text = text_of(page)
    return [
        pytest.param(found[1], id=f"line {text.count(chr(10), 0, found.start()) + 1}")
        for found in re.finditer(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    ]


@pytest.fixture
def here(
    tmp_path: Path, triton: EmbeddedTriton, valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mapping[str, str]]:
    """A folder with what the pages' examples find in theirs, and the addresses in place of theirs.

    What they change of the process is put back.
    """
    (tmp_path / "model_repository").symlink_to(ROOT / "model_repository")
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.chdir(tmp_path)
    log = logging.getLogger("geulpi_client")
    handlers = list(log.handlers)
    yield {
        "http://localhost:8000": triton.http_url,
        "localhost:8001": triton.grpc_url,
        "redis://localhost:6379/0": valkey.url,
    }
    log.handlers[:] = handlers


def with_addresses(code: str, addresses: Mapping[str, str]) -> str:
    for printed, actual in addresses.items():
        code = code.replace(printed, actual)
    return code


@pytest.mark.parametrize("block", blocks(PAGE, "python"))
def test_the_examples_of_the_page_run_as_printed(block: str, here: Mapping[str, str]) -> None:
    """Each by itself."""
    exec(compile(with_addresses(block, here), PAGE, "exec"), {"__name__": "__main__"})


def test_the_examples_of_the_questions_run_as_printed(here: Mapping[str, str]) -> None:
    """In their order, on the real models."""
    names: dict[str, Any] = {"__name__": "__main__"}
    found = blocks(QUESTIONS, "python")
    assert len(found) > 5
    for (block,) in (param.values for param in found):
        exec(compile(with_addresses(block, here), QUESTIONS, "exec"), names)


@pytest.mark.parametrize("block", blocks(PAGE, "console") + blocks(QUESTIONS, "console"))
def test_the_commands_of_the_pages_run_as_printed(block: str, here: Mapping[str, str]) -> None:
    """Each line that begins with a `$`."""
    commands = re.findall(r"^\$ (.*)", block, re.MULTILINE)
    assert commands
    for command in commands:
        program, *arguments = shlex.split(with_addresses(command, here))
        done = subprocess.run(
            [BIN / program, *arguments],
            capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "120"},
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)


def test_what_the_page_promises_of_a_fallback_is_so(here: Mapping[str, str]) -> None:
    """The example of `local`, at an address where nobody listens: the file answers."""
    (block,) = (p.values[0] for p in blocks(PAGE, "python") if "local={" in p.values[0])
    names: dict[str, Any] = {}
    exec(block.replace("localhost:8001", "localhost:9"), names)
    assert names["result"].source == "local"
    assert names["result"].version == "3"
