"""Real servers for the tests, and marks by folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from geulpi_server import EmbeddedTriton, EmbeddedValkey
from repositories import write_all

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def valkey() -> Iterator[EmbeddedValkey]:
    """A Valkey for the whole session; tests use keys of their own or flush it first."""
    with EmbeddedValkey() as server:
        yield server


@pytest.fixture(scope="session")
def valkey_url(valkey: EmbeddedValkey) -> str:
    return valkey.url


@pytest.fixture(scope="session")
def triton() -> Iterator[EmbeddedTriton]:
    """Triton on the committed model repository, for the whole session."""
    with EmbeddedTriton(ROOT / "model_repository") as server:
        yield server


@pytest.fixture(scope="session")
def hand_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the models `twice` (Python), `sum` and `text` (ONNX)."""
    return write_all(tmp_path_factory.mktemp("repository"))
