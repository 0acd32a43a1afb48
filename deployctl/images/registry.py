"""Whether registries answer at all, asked from this process, all at once, within seconds.

Blocked networks often swallow packets: the daemon would then wait for minutes. An edge: speaks
HTTP to the registries' ``/v2/`` and nothing else.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from deployctl.images.reference import is_loopback

#: How long a registry may take to answer, seconds; a healthy one takes a tenth.
PATIENCE_S = 4.0

#: Why a registry does not answer, in words; ``None`` when it does.
Silence = str | None


def ask(host: str, timeout_s: float) -> Silence:
    """Ask one registry. Any reply at all is an answer, also "log in first" or bad TLS.

    Uses the proxies of this process's environment, but none for this machine itself.
    """
    import requests  # noqa: TID251  # edge; slow to import, needed for pulls only
    from requests import exceptions  # noqa: TID251

    session = requests.Session()
    session.trust_env = not is_loopback(host)
    # Docker speaks HTTP to its own machine; a TLS registry answers that with "400", also a reply.
    scheme = "http" if is_loopback(host) else "https"
    try:
        session.get(
            f"{scheme}://{host}/v2/",
            timeout=timeout_s,
            allow_redirects=False,
            auth=lambda request: request,  # nobody's: else requests sends what ~/.netrc has
        ).close()
    except exceptions.ProxyError as problem:
        return f"the proxy does not let us through ({_root(problem)})"
    except exceptions.SSLError:
        return None  # somebody is there; whom Docker trusts is Docker's business
    except exceptions.Timeout:
        return f"no answer within {timeout_s:.0f} s"
    except (exceptions.ConnectionError, OSError) as problem:
        if "aborted" in str(problem).lower():  # it hung up on HTTP: somebody is there
            return None
        return _root(problem)
    return None


def _root(problem: BaseException) -> str:
    """The innermost reason, short: ``Name or service not known``, ``Connection refused``."""
    for _ in range(10):
        reason = getattr(problem, "reason", None) or next(
            (arg for arg in problem.args if isinstance(arg, BaseException)), None
        )
        if not isinstance(reason, BaseException):
            break
        problem = reason
    cause = problem.__cause__ or problem.__context__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    text = getattr(problem, "strerror", None) or str(problem)
    return str(text).rpartition(": ")[2] or type(problem).__name__


def ask_all(
    hosts: Iterable[str],
    *,
    asker: Callable[[str, float], Silence] = ask,
    timeout_s: float = PATIENCE_S,
) -> Mapping[str, Silence]:
    """Ask every host at the same time; one that has not answered in time counts as silent.

    The threads are daemonic: a name server that never answers cannot be interrupted.
    """
    asked = tuple(dict.fromkeys(hosts))
    replies: queue.SimpleQueue[tuple[str, Silence]] = queue.SimpleQueue()
    for host in asked:
        threading.Thread(
            target=lambda h: replies.put((h, asker(h, timeout_s))), args=(host,), daemon=True
        ).start()
    found: dict[str, Silence] = {}
    deadline = time.monotonic() + timeout_s + 0.5
    while len(found) < len(asked):
        try:
            host, silence = replies.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        found[host] = silence
    return {host: found.get(host, f"no answer within {timeout_s:.0f} s") for host in asked}
