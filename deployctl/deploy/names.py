"""What requests are made of, for a command line that has not yet decided to do anything."""

import re
from typing import Literal

#: The stack's name unless the operator gives one; independent of the profile, so chats stay.
DEFAULT_STACK = "deployctl"

#: The name of a smoke test's stack: never the operator's.
DEFAULT_SMOKE_STACK = "deployctl-smoke"

#: The name of the stack on which models are compared: never the operator's either.
DEFAULT_COMPARE_STACK = "deployctl-compare"

#: Where images may come from.
ImageMode = Literal["auto", "local", "pull", "build"]

#: What to do about a stack that was started and did not become ready.
OnFailure = Literal["keep", "down", "rollback"]

#: What Compose accepts as a project's name.
_STACK_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def is_stack_name(text: str) -> bool:
    """Whether a stack can be called so."""
    return _STACK_NAME.fullmatch(text) is not None
