"""What requests are made of, for a command line that has not yet decided to do anything."""

from typing import Literal

#: The stack's name unless the operator gives one; independent of the profile, so chats stay.
DEFAULT_STACK = "deployctl"

#: Where images may come from.
ImageMode = Literal["auto", "local", "pull", "build"]
