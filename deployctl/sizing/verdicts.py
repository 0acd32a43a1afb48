"""Parts against rooms: fits, tight, or not. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from deployctl.amounts import rough
from deployctl.sizing.nouns import Fit, Part, Place, Room, Verdict

#: Less than this share of a memory left over is tight: estimates err, and others live there too.
TIGHT_SHARE = 0.08

_PLACES: dict[Place, str] = {"gpu": "graphics card", "ram": "main memory"}


def judge(parts: Sequence[Part], rooms: Sequence[Room]) -> tuple[Fit, ...]:
    """One verdict per memory that is needed, the card first.

    Of several rooms of one place the first counts; a place without a room is unknown.
    """
    fits = []
    for place in _PLACES:
        mine = [part for part in parts if part.place == place]
        if mine:
            fits.append(_judged(place, sum(part.bytes for part in mine), _room(place, rooms)))
    return tuple(fits)


def _room(place: Place, rooms: Sequence[Room]) -> Room:
    unknown = Room(place=place, name=_PLACES[place], total_bytes=None, free_bytes=None)
    return next((room for room in rooms if room.place == place), unknown)


def _judged(place: Place, needed: int, room: Room) -> Fit:
    verdict, reason = _verdict(needed, room)
    known = [size for size in (room.total_bytes, room.free_bytes) if size is not None]
    return Fit(
        verdict=verdict,
        place=place,
        room=room,
        need_bytes=needed,
        left_bytes=min(known) - needed if known else None,
        reason=reason,
    )


def _verdict(needed: int, room: Room) -> tuple[Verdict, str]:
    total, free = room.total_bytes, room.free_bytes
    if total is None and free is None:
        return "tight", f"It is not known how much memory there is ({room.name})."
    if total is not None and needed > total:
        return "no", f"{rough(needed)} are needed; {room.name} has {rough(total)} in all."
    if free is not None and needed > free:
        return (
            "tight",
            f"{rough(needed)} are needed; only {rough(free)} are free now ({room.name}).",
        )
    left = min(size for size in (total, free) if size is not None) - needed
    # Without a total the margin is of what is free.
    if left < TIGHT_SHARE * (total if total is not None else needed + left):
        return "tight", f"Only {rough(left)} would be left ({room.name})."
    return "fits", f"{rough(left)} are left ({room.name})."


def is_short(fit: Fit) -> bool:
    """Whether more is needed than there is, or than is free now."""
    known = (fit.room.total_bytes, fit.room.free_bytes)
    return any(size is not None and fit.need_bytes > size for size in known)


def impossible(parts: Sequence[Part], rooms: Sequence[Room]) -> bool:
    """Whether weights alone are more than all the memory of their place: no estimate is in it."""
    for place in _PLACES:
        weights = sum(p.bytes for p in parts if p.place == place and p.name == "weights")
        total = _room(place, rooms).total_bytes
        if total is not None and weights > total:
            return True
    return False
