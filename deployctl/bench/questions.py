"""Questions of a wanted length, no two of which begin alike. Pure.

A prefix cache answers what begins like an earlier question without reading it; a question that
begins with words drawn by chance is read whole.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

#: Short common words: most tokenizers have one token for each, the space before it included.
_TEXT = """
    time year people way day man thing woman life child world school state family student group
    country problem hand part place case week company system program question work government
    number night point home water room mother area money story fact month lot right study book
    eye job word business issue side kind head house service friend father power hour game line
    end member law car city community name president team minute idea kid body information back
    parent face others level office door health person art war history party result change
    morning reason research girl guy moment air teacher force education foot boy age policy
    music market sense field paper table light road town river bank green blue stone horse tree
    north south winter summer engine letter garden bridge island forest window mountain
"""
WORDS = tuple(_TEXT.split())

_TASK = "Write a long story in which these words occur."


def question(words: int, *, seed: int, number: int) -> str:
    """The question ``number`` of a run: so many words by chance, then what is to be done."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311  # no secret
    drawn = chance.choices(WORDS, k=max(1, words))
    return f"{' '.join(drawn)}. {_TASK}"


def words_for(tokens: int, seen: Sequence[tuple[int, int]]) -> int:
    """How many words make a question of ``tokens``, by two that were counted: (words, tokens)."""
    (few, less), (many, more) = sorted(seen)
    each = (more - less) / (many - few) if many > few and more > less else 1.0
    return max(1, round(few + (tokens - less) / each))
