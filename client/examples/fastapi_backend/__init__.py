"""An example: a FastAPI backend that asks the calendar models through `AsyncGeulpiClient`."""
