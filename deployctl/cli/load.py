"""The options that say how much is asked of a model while it is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from deployctl.bench.nouns import Shape

StreamsOption = Annotated[
    str,
    typer.Option("--streams", metavar="N,…", help="How many ask at once, one level after another."),
]
PromptTokensOption = Annotated[
    int, typer.Option("--prompt-tokens", min=1, metavar="N", help="Tokens of each question.")
]
OutputTokensOption = Annotated[
    int, typer.Option("--output-tokens", min=2, metavar="N", help="Tokens of each answer.")
]
RoundsOption = Annotated[
    int,
    typer.Option("--rounds", min=1, metavar="N", help="How often each level; more say the spread."),
]

#: More than anybody's engine serves: a typing error.
_MOST_STREAMS = 1024


def shape_of(streams: str, prompt_tokens: int, output_tokens: int, rounds: int) -> Shape:
    """The load that these options make; ``usage`` where the streams are no numbers."""
    from deployctl.bench.nouns import Shape

    return Shape(
        streams=levels(streams),
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        rounds=rounds,
    )


def levels(written: str) -> tuple[int, ...]:
    """``1,4,16`` as numbers, in the order they were written, each once; ``usage`` if not so."""
    words = written.replace(",", " ").split()
    numbers = [int(word) for word in words if word.isdecimal() and len(word) < 6]
    if not words or len(numbers) != len(words) or not all(0 < n <= _MOST_STREAMS for n in numbers):
        raise typer.BadParameter(
            f"--streams {written}: whole numbers from 1 to {_MOST_STREAMS} with commas, like 1,4."
        )
    return tuple(dict.fromkeys(numbers))


def words_of(shape: Shape, usual: Shape) -> tuple[str, ...]:
    """The options that make this load of the usual one; what hints are made of."""
    options = (
        ("--streams", ",".join(map(str, shape.streams)), ",".join(map(str, usual.streams))),
        ("--prompt-tokens", str(shape.prompt_tokens), str(usual.prompt_tokens)),
        ("--output-tokens", str(shape.output_tokens), str(usual.output_tokens)),
        ("--rounds", str(shape.rounds), str(usual.rounds)),
    )
    return tuple(word for name, is_, was in options if is_ != was for word in (name, is_))
