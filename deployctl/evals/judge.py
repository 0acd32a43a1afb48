r"""Whether two answers of mathematics are the same: math-verify, in a process of its own.

A program: one JSON object a line on stdin, ``{"gold": …, "answer": …}`` in LaTeX, and for each
``true``, ``false`` or ``null`` (no result) on stdout, in order, behind a first line
:data:`READY`. Imports nothing of ours.

In a process of its own because an answer may be anything: ``9^{9^{9^9}}`` computes for ever inside
one call of C, where no signal is heard, and takes all memory on the way. Here a limit of memory
holds, and a watchdog ends the process; whoever started it goes on behind the answer that did it.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import re
import resource
import sys

#: What is written before the first result, once math-verify is there.
READY = "ready"

#: Seconds for one pair, parsing included; math-verify's own limits of 5 s are within.
_LIMIT_S = 20

#: Memory of this process, bytes.
_MEMORY = 4 << 30

#: An answer longer than that is no answer, characters.
_LONGEST = 2000

_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mbox)\s*\{([^{}]*)\}")

#: What an answer in words is made of; of one letter or two it is a variable, or a product.
_WORDS = re.compile(r"[A-Za-z(][A-Za-z .,'()-]*")


def same(gold: str, answer: str) -> bool | None:
    """Whether the answer is the gold one; ``None`` where the checker comes to no result."""
    from math_verify import (  # type: ignore[import-untyped]  # it has none
        ExprExtractionConfig,
        LatexExtractionConfig,
        parse,
        verify,
    )
    from math_verify.errors import TimeoutException  # type: ignore[import-untyped]  # the same

    if len(answer) > _LONGEST:
        return False
    if (said := _words(gold)) is not None:
        return said == (_words(answer) or answer.strip(" $.()").casefold())
    ways = (LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig())
    try:
        right, given = (
            parse(f"\\boxed{{{text}}}", ways, fallback_mode="no_fallback", raise_on_error=True)
            for text in (gold, answer)
        )
        if not right:
            return None
        return bool(given) and bool(verify(right, given, raise_on_error=True))
    except (Exception, TimeoutException):  # it is a BaseException, and anything may be raised
        return None


def _words(text: str) -> str | None:
    r"""An answer in words (``\text{Evelyn}``), plain; ``None`` where it is mathematics."""
    plain = _TEXT.sub(r"\1", text).strip(" $")
    in_words = plain != text.strip(" $") or re.search(r"[A-Za-z]{3}", plain)
    return plain.strip(" .()").casefold() if in_words and _WORDS.fullmatch(plain) else None


def _limit_memory() -> None:
    """Take no more than :data:`_MEMORY`, or what is allowed here: a limit cannot be raised."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    """Judge every pair on stdin."""
    logging.disable(logging.CRITICAL)
    _limit_memory()
    import math_verify  # noqa: F401  # slow; and nothing is ready without it

    # At once: the first pair may end the process, and what was not flushed is lost with it.
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    with sys.stdin, sys.stdout:
        for line in sys.stdin:
            pair = json.loads(line)
            faulthandler.dump_traceback_later(_LIMIT_S, exit=True)
            found = same(pair["gold"], pair["answer"])
            faulthandler.cancel_dump_traceback_later()
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
