"""What can go wrong with the embedded server.

ServerError                     base: something failed (exit code 1)
├── UnsupportedEnvironment      this machine or this Python environment can't run Triton
├── RepositoryNotFound          misuse (exit code 2): no model repository there
├── InvalidAddress              misuse (exit code 2): a port or host that can't be
├── PortTaken                   somebody listens there already
├── ModelsNotReady              Triton runs, but models failed to load or did not answer
├── ServerDied                  a server process ended by itself
└── StartTimeout                a server did not become ready in time
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

__all__ = [
    "InvalidAddress",
    "ModelsNotReady",
    "PortTaken",
    "RepositoryNotFound",
    "ServerDied",
    "ServerError",
    "StartTimeout",
    "UnsupportedEnvironment",
]


class ServerError(Exception):
    """Base of every error of this package; `exit_code` is what a command line ends with."""

    exit_code: ClassVar[int] = 1


class UnsupportedEnvironment(ServerError):
    """This machine or Python environment can't run the embedded Triton."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(f"{found}\nRemedy: {remedy}")


class RepositoryNotFound(ServerError):
    """The model repository is missing or holds no model."""

    exit_code = 2

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"No model repository at '{path}': {why}.\n"
            "Remedy: name one with --model-repository, or make one with `geulpi build` or "
            "`geulpi convert`."
        )


class InvalidAddress(ServerError):
    """A host or port that no server can listen on."""

    exit_code = 2

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(f"{field} {value!r} can't be used: expected {expected}.")


class PortTaken(ServerError):
    """Another process listens on the port."""

    def __init__(self, field: str, host: str, port: int) -> None:
        option = f"--{field.replace('_', '-')}"
        super().__init__(
            f"Port {port} ({field}) on {host} is taken by another process.\n"
            f"Remedy: stop that process, or choose another port with {option}."
        )


class ModelsNotReady(ServerError):
    """Models that did not load or did not answer their canary inference."""

    def __init__(self, reasons: dict[str, str], log_file: Path) -> None:
        self.reasons = reasons
        listed = "\n".join(f"  {model}: {reason}" for model, reason in sorted(reasons.items()))
        super().__init__(
            f"Not every model can be served:\n{listed}\n"
            "Remedy: publish a sound version of each, or move its folder out of the repository. "
            f"Triton's log: {log_file}"
        )


class ServerDied(ServerError):
    """A server process ended by itself."""

    def __init__(self, name: str, status: int | None, lines: list[str], log_file: Path) -> None:
        self.log_file = log_file
        said = "".join(f"\n  {line}" for line in lines) or "\n  (nothing)"
        super().__init__(
            f"{name} ended by itself (exit status {status}). Its last words:{said}\n"
            f"The whole log: {log_file}"
        )


class StartTimeout(ServerError):
    """A server did not become ready in time."""

    def __init__(self, name: str, timeout_s: float, waiting_for: str, log_file: Path) -> None:
        super().__init__(
            f"{name} was not ready after {timeout_s:g} s (still waiting for {waiting_for}).\n"
            f"Remedy: look into its log, {log_file}; a slow machine may need a longer start "
            "time-out."
        )
