"""Import Open WebUI, then serve it. Started by start.sh.

Garbage collection waits for the imports: they make hundreds of thousands of objects and throw
few away, and collecting among them took 1.7 of 6.2 CPU seconds.
"""

import gc
import os


def load() -> None:
    """Import it; and let it search: its slim form refuses for want of a client, which is here."""
    gc.disable()
    import open_webui.main  # noqa: F401
    from open_webui.retrieval.web import duckduckgo

    gc.enable()
    duckduckgo.USE_SLIM = False


load()  # in every worker, where UVICORN_WORKERS says several: they run all but what follows

if __name__ == "__main__":
    import uvicorn

    uvicorn.run(
        "open_webui.main:app",
        host=os.environ.get("HOST") or "0.0.0.0",  # noqa: S104 - inside a container
        port=int(os.environ.get("PORT") or 8080),
        forwarded_allow_ips=os.environ.get("FORWARDED_ALLOW_IPS") or "*",
        workers=int(os.environ.get("UVICORN_WORKERS") or 1),
    )
