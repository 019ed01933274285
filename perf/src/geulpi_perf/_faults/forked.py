"""A process that uses a client and then forks: `python -m geulpi_perf._faults.forked URL CACHE`.

It prints, as JSON, what became of the calls of the parent and of the child, which both go on with
the client that the parent had used.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

from geulpi_client import ModelClient

from geulpi_perf._faults.callers import Load, ask, prime, question_of

CALLERS = 8
CALLS = 5
TIMEOUT_S = 5.0
PATIENCE_S = 15.0


def main() -> None:
    """Use the client, fork, use it in both processes, and print what they got."""
    url, cache_url = sys.argv[1:]
    load = Load(CALLERS, url, cache_url, TIMEOUT_S)
    client = ModelClient(url, **load.client_settings())
    prime(client)
    _ask_all(client, 0)
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            # Fresh rows of its own: a count that both go on with gives both the same.
            os.write(sending, json.dumps(_ask_all(client, 1_000_000)).encode())
        finally:
            os._exit(0)
    os.close(sending)
    found = {"parent": _ask_all(client, 0)}
    heard, _, _ = select.select([receiving], [], [], PATIENCE_S)
    said = os.read(receiving, 1 << 16) if heard else b""
    found["child"] = json.loads(said) if said else ["no answer"]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(json.dumps(found))
    client.close()


def _ask_all(client: ModelClient, first_caller: int) -> list[str]:
    """Return what became of each call: "right", "wrong" or the name of its error."""

    def loop(caller: int) -> list[str]:
        calls = [ask(client, caller, question_of(caller, number)) for number in range(CALLS)]
        return [call.error or ("right" if call.version else "wrong") for call in calls]

    with ThreadPoolExecutor(CALLERS) as pool:
        return [
            what
            for loop_found in pool.map(loop, range(first_caller, first_caller + CALLERS))
            for what in loop_found
        ]


if __name__ == "__main__":
    main()
