"""The operator's own rules: how they are checked before anything starts, and what was found. Pure.

They lie in ``rules/`` in the stack's folder. Prometheus ends at a file that it cannot read, so they
are checked by its own program, in its own image.
"""

from __future__ import annotations

import re

from deployctl.addons.monitored import scrape
from deployctl.addons.nouns import OwnFiles, Refusal


def check_argv(image: str, folder: str, names: tuple[str, ...], user: str) -> tuple[str, ...]:
    """``docker run …``: promtool over the files ``names`` of ``folder``; it reaches nothing."""
    return (
        *("docker", "run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL"),
        *("--security-opt=no-new-privileges:true", f"--user={user}", "--memory=256m"),
        f"--mount=type=bind,source={folder},target={scrape.OWN_RULES},readonly",
        *("--entrypoint=/bin/promtool", image, "check", "rules"),
        *(f"{scrape.OWN_RULES}/{name}" for name in names),
    )


def refusals(output: str) -> tuple[Refusal, ...]:
    """Read what promtool said of files that it refuses (2.42), stdout and stderr in any order.

    Each refusal begins with the file's name; what YAML's parser says may go on for some lines.
    """
    found: list[Refusal] = []
    for line in output.splitlines():
        if begun := _BEGINS.match(line):
            file, said = begun[1], line[begun.end() :]
            at = _AT.match(said) or _YAML_AT.match(said)
            rest = said[at.end() :] if at else said
            found.append(Refusal(file=file, line=int(at[1]) if at else None, message=rest))
        elif found and (more := _MORE.match(line)):
            last = found[-1]
            if last.message.endswith("unmarshal errors:"):
                found.pop()
            found.append(Refusal(file=last.file, line=int(more[1]), message=more[2]))
    return tuple(dict.fromkeys(found))


_BEGINS = re.compile(r"(?!Checking )(?:\S*/)?([^/\s:]+\.ya?ml): ")
_AT = re.compile(r"(\d+):\d+: ")
_YAML_AT = re.compile(r"yaml: line (\d+): ")
_MORE = re.compile(r" +line (\d+): (.*)")

OWN_RULES = OwnFiles(
    folder="rules",
    title="alert rules",
    service="prometheus",
    variable="DEPLOYCTL_RULES",
    check=check_argv,
    refusals=refusals,
)
