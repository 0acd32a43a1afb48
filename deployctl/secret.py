"""A value that must not be seen."""

from __future__ import annotations


class Secret:
    """A value that must not be seen: prints as ``***``, is given only by :meth:`reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not value:
            raise ValueError("an empty secret protects nothing")
        self._value = value

    def reveal(self) -> str:
        """The value itself; call it only where it is written to a 0600 file or sent."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)
