"""What FastAPI can't know for the API's documentation, added to it."""

from __future__ import annotations

import re
from typing import Any, Final

from fastapi import FastAPI

from fastapi_backend.problems import MEDIA_TYPE, Problem

_ATTRIBUTES: Final = "\n\nAttributes:\n"
_ATTRIBUTE: Final = re.compile(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", re.MULTILINE)
_PROBLEM: Final = f"#/components/schemas/{Problem.__name__}"


def install_docs(app: FastAPI) -> None:
    """Make an app's documentation tell what its dataclasses tell, and how problems are sent."""
    generate = app.openapi

    def documented() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()  # kept by FastAPI, so this is done once
            for schema in document["components"]["schemas"].values():
                describe_attributes(schema)
            for operations in document["paths"].values():
                for operation in operations.values():
                    for response in operation["responses"].values():
                        name_media_type(response)
        return generate()

    app.openapi = documented  # type: ignore[method-assign]  # as FastAPI's documentation does it


def describe_attributes(schema: dict[str, Any]) -> None:
    """Move what a dataclass's docstring says about its attributes to the attributes."""
    description, _, attributes = schema.get("description", "").partition(_ATTRIBUTES)
    for name, text in _ATTRIBUTE.findall(attributes):
        schema["properties"].get(name, {})["description"] = " ".join(text.split())
    if attributes:
        schema["description"] = description


def name_media_type(response: dict[str, Any]) -> None:
    """Give a problem its media type; FastAPI takes every model for `application/json`."""
    content = response.get("content", {})
    if content.get("application/json", {}).get("schema") == {"$ref": _PROBLEM}:
        content[MEDIA_TYPE] = content.pop("application/json")
