"""The end of a command that has a report, whatever ended it.

What there is goes to stdout, why there is not more to stderr; or both into one envelope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.errors import CODES, ExitCode, Fault

if TYPE_CHECKING:
    from deployctl.outcomes import Status


def code_of(faults: tuple[Fault, ...]) -> ExitCode:
    """The exit code: that of the first fault."""
    return CODES[faults[0].code][0] if faults else ExitCode.OK


def hand_out(
    command: str,
    *,
    as_json: bool,
    status: Status,
    data: object,
    text: str,
    faults: tuple[Fault, ...],
    warnings: tuple[str, ...] = (),
) -> ExitCode:
    """Write a report and what ended it; returns the exit code, in our own word for it.

    ``data`` is for programs: a noun or a mapping, without its own ``faults``, which the envelope
    has. ``text`` is for people; where it is empty, only the rest is written. ``warnings`` are said
    on stderr in any case.
    """
    from deployctl.cli import console
    from deployctl.cli.boundary import words
    from deployctl.cli.envelope import envelope, plain
    from deployctl.visible import harmless

    code = code_of(faults)
    if as_json:
        told = plain(data)
        if isinstance(told, dict):
            told.pop("faults", None)
        console.out(
            envelope(command=command, status=status, exit_code=code, data=told, faults=faults)
        )
    elif text:
        console.out(harmless(text))
    for warning in warnings:
        console.err(f"warning: {warning}")
    if faults and not as_json:
        console.err("\n\n".join(map(words, faults)))
    return code
