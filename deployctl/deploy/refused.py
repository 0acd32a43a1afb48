"""What the frontend refused at a sign-in, for whoever looks every few seconds: not to ask it again.

Open WebUI allows 15 sign-ins in three minutes for one address, refused ones counted: whoever tries
at every look locks the operator out. Owns ``refused.json`` in the stack's folder (0600): a salted
hash of the password that was refused, or until when no sign-in is tried at all.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from deployctl.atomic import usable, write
from deployctl.errors import DeployctlError
from deployctl.files import text_of
from deployctl.readiness import password_changed
from deployctl.vitals import moment

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from deployctl.readiness import Endpoints
    from deployctl.secret import Secret
    from deployctl.workspace import Workspace

#: How long the frontend counts a sign-in, seconds: routers/auths.py, signin_rate_limiter.
_LIMITED = timedelta(seconds=180)


def refuse_again(space: Workspace, at: Endpoints, now: datetime) -> None:
    """Raise what the frontend said to this password before, as ``proof-failed``; else do nothing.

    ``sign-in-limited`` while it takes no sign-in at all. ``now`` is the time of day.
    """
    try:
        noted = json.loads(text_of(_file(space)))
        until, salt, digest = (str(noted[name]) for name in ("until", "salt", "digest"))
    except (ValueError, KeyError, TypeError):
        return
    end = moment(until)
    if end is not None and now < end <= now + _LIMITED:
        raise DeployctlError(
            f"The frontend takes no sign-in before {end:%H:%M:%S} UTC: it was asked too often.",
            code="sign-in-limited",
            where="webui",
            hint=f"sleep 180; deployctl status --stack {at.stack}",
        )
    same = digest and secrets.compare_digest(digest, _digest(at.admin_password, salt))
    if same and not _signed_in_since(space):
        raise DeployctlError(
            "The frontend refused the stored administrator, and is not asked again before "
            f"admin_password of {at.secrets_file} changes.",
            code="proof-failed",
            where="webui",
            hint=password_changed(at),
        )


def keep_refused(space: Workspace, at: Endpoints) -> None:
    """Note that this password was refused."""
    salt = secrets.token_hex(16)
    _write(space, until="", salt=salt, digest=_digest(at.admin_password, salt))


def keep_limited(space: Workspace, now: datetime) -> None:
    """Note that no sign-in is taken for a while."""
    _write(space, until=(now + _LIMITED).isoformat(), salt="", digest="")


def forget_refused(space: Workspace) -> None:
    """Note that a sign-in worked."""
    with usable(_file(space)):
        _file(space).unlink(missing_ok=True)


def _signed_in_since(space: Workspace) -> bool:
    """Whether `up` has kept a session since the refusal."""
    try:
        session = (space.folder / "session").stat()
        return session.st_mtime_ns > _file(space).stat().st_mtime_ns
    except OSError:
        return False


def _file(space: Workspace) -> Path:
    return space.folder / "refused.json"


def _write(space: Workspace, **noted: str) -> None:
    write(_file(space), json.dumps(noted) + "\n", 0o600)


def _digest(password: Secret, salt: str) -> str:
    # As slow as it is meant to be: a hash of this outlives the password it is of.
    made = hashlib.scrypt(password.reveal().encode(), salt=salt.encode(), n=2**12, r=8, p=1)
    return made.hex()
