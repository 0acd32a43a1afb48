"""Makes HTTP requests from where it runs, and prints what came of each as JSON.

Standard library only: it is piped into the Python of a namespace. Usage: python - REQUESTS, a JSON
list of {"method", "url", "body", "headers"}; all but the address may be left out. A place that does
not answer has the status null.
"""

import http.client
import json
import sys
from typing import Any
from urllib.parse import urlsplit

WAIT_S = 2.0


def visit(wanted: dict[str, Any]) -> dict[str, Any]:
    parts = urlsplit(wanted["url"])
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    body = json.dumps(wanted["body"]) if "body" in wanted else None
    headers = {"Content-Type": "application/json", **wanted.get("headers", {})}
    line = http.client.HTTPConnection(parts.netloc, timeout=WAIT_S)
    try:
        line.request(wanted.get("method", "GET"), path, body, headers)
        answer = line.getresponse()
        text = answer.read().decode("utf-8", "replace")
    except OSError as problem:
        return {"status": None, "why": str(problem)}
    finally:
        line.close()
    named = {name.lower(): value for name, value in answer.headers.items()}
    return {"status": answer.status, "text": text, "headers": named}


if __name__ == "__main__":
    sys.stdout.write(json.dumps([visit(wanted) for wanted in json.loads(sys.argv[1])]))
