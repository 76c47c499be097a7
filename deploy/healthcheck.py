"""Asks the gateway in this container whether it serves: exit code 0 where it does, 1 where it does not.

The image has no curl. A proxy that the environment names for calls to providers is not asked.
"""

from __future__ import annotations

import http.client
import os
import sys

WITHIN = 9.0
"""Seconds, a little less than those after which the engine gives up."""


def main() -> int:
    """Ask, print what is wrong where something is, and return the exit code."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("SERVER_PORT", "8000")), timeout=WITHIN)
    try:
        connection.request("GET", "/api/health")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as problem:
        print(f"The gateway does not answer: {problem}")
        return 1
    finally:
        connection.close()
    if status != http.client.OK:
        print(f"The gateway answers {status}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
