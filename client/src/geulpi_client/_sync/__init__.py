"""What waits for a network, written for asyncio; `geulpi_client._sync` is generated from it.

    python scripts/twin.py            (make fmt does it; make lint checks it)

What decides anything lies in modules that both share.
"""
