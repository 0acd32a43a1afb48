"""What Open WebUI says when it cannot go on. Pure.

Seen with release 0.12.4: databases that are damaged, of another kind, newer, read-only or without
room, a data folder of somebody else, a port that is no number or cannot be had. Read in its source:
the missing secret key.
"""

from __future__ import annotations

import shlex

from deployctl.diagnosis.remedies import HOME, same
from deployctl.diagnosis.signs import BROAD, Found, Sign, pattern
from deployctl.render import CONTAINER_USER
from deployctl.services.webui import DATA, VOLUME


def _keep_a_copy(found: Found) -> str:
    """First nothing is lost; then the chats are given up."""
    stack = found.way.stack
    return (
        f"docker cp {stack}-webui-1:{DATA} {stack}-data-copy"
        f" && deployctl down --volumes --stack {stack} && {found.way.same()}"
        "  # keeps a copy of the data here and starts with empty chats"
    )


def _own_again(found: Found) -> str:
    """The data handed to the user that the frontend runs as; by the image itself, so no other."""
    way, state = found.way, found.evidence.state
    image = state.image if state is not None and state.image else None
    if image is None and way.plan is not None:
        image = way.plan.service("webui").image.reference
    if image is None:
        return f"docker volume inspect {way.stack}_{VOLUME}"
    return (
        "docker run --rm --network none --user 0:0 --entrypoint chown "
        f"-v {way.stack}_{VOLUME}:/data {shlex.quote(image)} -R {CONTAINER_USER} /data"
        f" && {way.same()}"
    )


def _newer(found: Found) -> str:
    """Back to the newer image; where none was named, a stack beside it, so that nothing is lost."""
    way = found.way
    if way.sets("frontend.image"):
        return way.without_set("frontend.image")
    words = shlex.join(("deployctl", "up", *way.selection.words, "--stack", f"{way.stack}2"))
    return (
        f"deployctl down --stack {way.stack} && {words}"
        "  # keeps the chats; or the newer one again: add --set frontend.image=IMAGE:TAG"
    )


def _override(found: Found) -> str:
    way = found.way
    return (
        f"grep -n -A9 webui {HOME}/stacks/{way.stack}/compose.override.yaml"
        f"  # correct it; then: {way.same()}"
    )


SIGNS = (
    Sign(
        code="frontend-data-damaged",
        about="webui",
        pattern=pattern(
            r"database disk image is malformed|file is not a database|malformed database schema"
        ),
        seen="database disk image is malformed · file is not a database",
        cause="The database with accounts and chats is damaged.",
        way_out="a copy of the data is kept, and the stack starts with empty chats",
        remedy=_keep_a_copy,
        sample="ERROR [open_webui.env] Error running migrations: (sqlite3.DatabaseError) file is "
        "not a database",
        serving=True,
    ),
    Sign(
        code="frontend-disk-full",
        about="webui",
        # On a full disk SQLite may also say that it could not write its journal (seen).
        pattern=pattern(r"database or disk is full|No space left on device|disk I/O error"),
        seen="database or disk is full · No space left on device · disk I/O error",
        cause="The disk that holds the chats is full, or fails.",
        way_out="`docker system df` says what is on it; `docker image prune` frees unused images",
        remedy=lambda found: (
            f"docker system df  # what to delete: docker image prune; then: {found.way.same()}"
        ),
        sample="ERROR [open_webui.env] Error running migrations: (sqlite3.OperationalError) "
        "database or disk is full",
        serving=True,
    ),
    Sign(
        code="frontend-data-denied",
        about="webui",
        pattern=pattern(
            r"attempt to write a readonly database|unable to open database file"
            r"|\.webui_secret_key: Permission denied"
            r"|Permission denied: '(?P<file>/app/backend/data[^']*)'"
        ),
        seen="attempt to write a readonly database · unable to open database file",
        cause="The frontend runs as a user of its own, and its data belongs to another one.",
        way_out="hand the data volume to its user; the command is given",
        remedy=_own_again,
        sample="sqlite3.OperationalError: attempt to write a readonly database",
        serving=True,
    ),
    Sign(
        code="frontend-data-newer",
        about="webui",
        pattern=pattern(r"Can't locate revision identified by '(?P<revision>[^']*)'"),
        seen="Can't locate revision identified by …",
        cause="The chats were last used with a newer Open WebUI, and this one cannot read them.",
        way_out="the newer `frontend.image` again, or a new stack beside the old one",
        remedy=_newer,
        sample="alembic.util.exc.CommandError: Can't locate revision identified by 'feedfacecafe'",
    ),
    Sign(
        code="frontend-value-invalid",
        about="webui",
        pattern=pattern(r"WEBUI_SECRET_KEY is not set"),
        seen="WEBUI_SECRET_KEY is not set",
        cause="The key that signs sign-ins did not reach the frontend: `compose.override.yaml` "
        "takes it away.",
        way_out="take WEBUI_SECRET_KEY out of `compose.override.yaml`",
        remedy=_override,
        sample="WEBUI_SECRET_KEY is not set. It is a hard requirement when authentication is "
        "enabled.",
    ),
    Sign(
        code="frontend-value-invalid",
        about="webui",
        pattern=pattern(
            r"ValueError: invalid literal for int\(\) with base 10: '(?P<value>[^']*)'"
        ),
        seen="ValueError: invalid literal for int()",
        cause="A variable that must be a number is none: `compose.override.yaml` changes it.",
        way_out="correct it in `compose.override.yaml`",
        remedy=_override,
        sample="ValueError: invalid literal for int() with base 10: 'zebra'",
        message="A variable that must be a number is none: `{value}`.",
        rank=BROAD,
    ),
    Sign(
        code="frontend-port-taken",
        about="webui",
        pattern=pattern(
            r"error while attempting to bind on address \('(?P<host>[^']*)', (?P<port>\d+)\): "
            r"(?P<said>.+)"
        ),
        seen="error while attempting to bind on address (…)",
        cause="Inside the container the address is taken or not there: `compose.override.yaml` has "
        "changed it.",
        way_out="take HOST, PORT and `network_mode` out of `compose.override.yaml`",
        remedy=_override,
        sample="[Errno 98] error while attempting to bind on address ('0.0.0.0', 8080): address "
        "already in use",
        message="The frontend cannot listen on {host}:{port} inside its container: {said}.",
    ),
    Sign(
        code="frontend-crashed",
        about="webui",
        pattern=pattern(r"ModuleNotFoundError: No module named '(?P<module>[^']*)'"),
        seen="ModuleNotFoundError: No module named …",
        cause="The frontend's image lacks a part, or a variable asks for what it does not have.",
        way_out="the profile's own image; look what `compose.override.yaml` asks for",
        remedy=lambda found: (
            found.way.without_set("frontend.image")
            if found.way.sets("frontend.image")
            else _override(found)
        ),
        sample="ModuleNotFoundError: No module named 'psycopg2'",
        message="The frontend's image has no `{module}`, which it was asked to use.",
    ),
    Sign(
        code="frontend-crashed",
        about="webui",
        pattern=pattern(r"database is locked"),
        seen="database is locked",
        cause="Another program has the frontend's database open.",
        way_out="end it, and the same `up`",
        remedy=same,
        sample="sqlite3.OperationalError: database is locked",
        rank=BROAD,
        fatal=False,
    ),
)
