"""What can go wrong with a call.

GeulpiError                      base (exit code 1)
├── InvalidInput                 misuse: yours to mend (exit code 2), also a ValueError
│   ├── InvalidEvent             a field of an event, or something that is no event
│   ├── InvalidTask              a field of a task, or tasks that can't stand together
│   ├── InvalidTensor            a tensor that the model does not take
│   ├── InvalidUrl               an address that can't be one
│   ├── InvalidSetting           a setting of a client or question that can't be: time-out, window …
│   ├── InputRefused             the server refused what was sent
│   ├── OtherEventLoop           an asyncio client in a second event loop
│   └── ClientClosed             a call after `close()`
├── CallFailed                   the server was asked; carries url, model, version, request_id
│   ├── ModelNotFound            the server said no: it serves no such model or version
│   ├── ModelUnavailable         … the model is there, but its process is dead or still loading
│   ├── InferenceFailed          … the model failed on this input
│   ├── AccessDenied             … it wants credentials
│   ├── UnexpectedAnswer         … it answered what this client can't take as an answer
│   ├── Overloaded               it is busy: the queue is full, or the request waited too long
│   ├── Unreachable              it could not be reached
│   └── DeadlineExceeded         it was too slow, also a TimeoutError
├── CacheUnavailable             the cache was asked about itself and failed; calls never raise it
└── MissingExtra                 an extra of this package is not installed, also an ImportError

The arguments of an error are the objects it is about, so errors can be pickled; `str()` writes the
sentence: what, where, the value, the remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

__all__ = [
    "AccessDenied",
    "CacheUnavailable",
    "CallFailed",
    "ClientClosed",
    "DeadlineExceeded",
    "GeulpiError",
    "InferenceFailed",
    "InputRefused",
    "InvalidEvent",
    "InvalidInput",
    "InvalidSetting",
    "InvalidTask",
    "InvalidTensor",
    "InvalidUrl",
    "MissingExtra",
    "ModelNotFound",
    "ModelUnavailable",
    "OtherEventLoop",
    "Overloaded",
    "Target",
    "UnexpectedAnswer",
    "Unreachable",
]

_SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Target:
    """Whom a call asks: the server's address, and model, version and request where it has them."""

    url: str
    model: str = ""
    version: str = ""
    request_id: str = ""

    def __str__(self) -> str:
        """Name the model and where it is."""
        version = f" version {self.version}" if self.version else ""
        return f"model '{self.model}'{version} at {self.url}" if self.model else self.url


class GeulpiError(Exception):
    """Base of every error of this package; `exit_code` is what a command line ends with."""

    exit_code: ClassVar[int] = 1


class InvalidInput(GeulpiError, ValueError):
    """What was passed can't be used; nothing was sent."""

    exit_code = 2


class InvalidEvent(InvalidInput):
    """A field of an event that can't be used: the field, its value, what is expected."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(field, value, expected)
        self.field = field

    def __str__(self) -> str:
        """Write the sentence."""
        field, value, expected = self.args
        return f"Event: {field} is {shortened(value)}; expected {expected}."


class InvalidTask(InvalidInput):
    """A field of a task, or of a list of them, that can't be used."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(field, value, expected)
        self.field = field

    def __str__(self) -> str:
        """Write the sentence."""
        field, value, expected = self.args
        return f"Task: {field} is {shortened(value)}; expected {expected}."


class InvalidTensor(InvalidInput):
    """A tensor that the model does not take: its name, what came, what is expected."""

    def __init__(self, model: str, tensor: str, got: str, expected: str) -> None:
        super().__init__(model, tensor, got, expected)
        self.model = model
        self.tensor = tensor

    def __str__(self) -> str:
        """Write the sentence."""
        model, tensor, got, expected = self.args
        return f"Input '{tensor}' of model '{model}': got {got}; expected {expected}."


class InvalidUrl(InvalidInput):
    """An address that can't be one; a password in it is never shown."""

    def __init__(self, kind: str, masked_url: str, expected: str) -> None:
        super().__init__(kind, masked_url, expected)

    def __str__(self) -> str:
        """Write the sentence."""
        kind, masked_url, expected = self.args
        return f"{kind} {shortened(masked_url)} can't be used; expected {expected}."


class InvalidSetting(InvalidInput):
    """A setting of a client, a call or a question that can't be."""

    def __init__(self, setting: str, value: object, expected: str) -> None:
        super().__init__(setting, value, expected)

    def __str__(self) -> str:
        """Write the sentence."""
        setting, value, expected = self.args
        return f"{setting} is {shortened(value)}; expected {expected}."


class ClientClosed(InvalidInput):
    """A call on a client that was closed."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url

    def __str__(self) -> str:
        """Write the sentence."""
        return f"The client of {self.url} is closed. Remedy: call it inside its `with` block."


class OtherEventLoop(InvalidInput, RuntimeError):
    """A client of one event loop was used in another one, while the first still runs."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url

    def __str__(self) -> str:
        """Write the sentence."""
        return (
            f"The client of {self.url} belongs to another event loop, which still runs.\n"
            "Remedy: make one client per event loop, such as within the coroutine given to "
            "asyncio.run."
        )


class MissingExtra(GeulpiError, ImportError):
    """What was asked for needs an extra of this package that is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(module, extra)

    def __str__(self) -> str:
        """Write the sentence."""
        module, extra = self.args
        return f"The package '{module}' is missing.\nRemedy: pip install 'geulpi-client[{extra}]'."


class _Asked(GeulpiError):
    """Carries whom the call asked and what the server said about it."""

    def __init__(self, target: Target, said: str = "") -> None:
        super().__init__(target, said)
        self.url = target.url
        self.model = target.model
        self.version = target.version
        self.request_id = target.request_id
        self.target = target
        self.said = said


class InputRefused(_Asked, InvalidInput):
    """The server refused what was sent; it says why."""

    exit_code = 2

    def __str__(self) -> str:
        """Write the sentence."""
        return f"The server refused the input of {self.target}: {self.said}"


class CallFailed(_Asked):
    """Base of what goes wrong at or on the way to the server."""


class ModelNotFound(CallFailed):
    """The server serves no such model or version."""

    def __str__(self) -> str:
        """Write the sentence."""
        return (
            f"There is no {self.target}.\n"
            f"Remedy: `geulpi status --url {self.url}` lists what is served there."
        )


class ModelUnavailable(CallFailed):
    """The model is known to the server but can't answer now."""

    def __str__(self) -> str:
        """Write the sentence."""
        return (
            f"The {self.target} can't answer now: {self.said}\n"
            "Remedy: try again in some seconds; if it stays so, look into the server's log and "
            "reload the model."
        )


class InferenceFailed(CallFailed):
    """The model failed on this input."""

    def __str__(self) -> str:
        """Write the sentence."""
        return f"The {self.target} failed: {self.said}"


class AccessDenied(CallFailed):
    """The server, or a gateway before it, wants credentials."""

    def __str__(self) -> str:
        """Write the sentence."""
        return f"Access to {self.target} was denied: {self.said}"


class UnexpectedAnswer(CallFailed):
    """The server answered something that this client can't take as an answer."""

    def __str__(self) -> str:
        """Write the sentence."""
        return (
            f"The answer of {self.target} is not what this client expects: {self.said}\n"
            "Remedy: make the client's and the model's releases the same."
        )


class Overloaded(CallFailed):
    """The server is too busy to take the request, or let it wait too long."""

    def __str__(self) -> str:
        """Write the sentence."""
        return (
            f"The {self.target} is overloaded: {self.said}\n"
            "Remedy: send fewer requests at a time, or give the model more instances."
        )


class Unreachable(CallFailed):
    """No answer came from that address."""

    def __str__(self) -> str:
        """Write the sentence."""
        return (
            f"Can't reach a Triton server at {self.url}: {self.said}\n"
            "Remedy: start it (`geulpi serve`), and give the port of its gRPC API (8001 unless "
            "changed), or http:// and that of its HTTP API (8000)."
        )


class DeadlineExceeded(CallFailed, TimeoutError):
    """The call took longer than its time-out, in seconds."""

    def __init__(self, target: Target, timeout_s: float) -> None:
        super().__init__(target)
        self.args = (target, timeout_s)
        self.timeout_s = timeout_s

    def __str__(self) -> str:
        """Write the sentence."""
        return (
            f"No answer from {self.target} within {self.timeout_s:g} s.\n"
            "Remedy: allow more time with timeout_s, or send fewer rows at a time."
        )


class CacheUnavailable(GeulpiError):
    """The cache can't be asked about itself."""

    def __init__(self, masked_url: str, said: str) -> None:
        super().__init__(masked_url, said)
        self.url = masked_url

    def __str__(self) -> str:
        """Write the sentence."""
        masked_url, said = self.args
        return f"Can't use the cache at {masked_url}: {said}\nRemedy: start it, or check --cache."


REFUSALS: Final = (
    InputRefused,
    ModelNotFound,
    ModelUnavailable,
    InferenceFailed,
    AccessDenied,
    UnexpectedAnswer,
)
"""What a server that was reached says instead of an answer, except that it is busy."""


def shortened(value: object) -> str:
    """Return a value's repr, cut so that a sentence stays one: `'aaaa…' (10000 characters)`."""
    if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS:
        return f"{value[:_SHOWN_CHARACTERS]!r}… ({len(value)} characters)"
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def listed(names: Sequence[str]) -> str:
    """Return quoted names, as a sentence lists them."""
    return ", ".join(f"'{name}'" for name in names) or "none"
