"""The memory of vLLM 0.32. Pure.

Predicted from what its start-up code reserves; nothing of it was measured on a card by us.
"""

from __future__ import annotations

from deployctl.sizing.nouns import Load, Part, Place
from deployctl.sizing.shapes import kv_bytes_per_token, weights_bytes

_MIB = 1024**2

#: predicted: a CUDA context with torch's and FlashAttention's kernels loaded.
_CONTEXT = 400 * _MIB

#: predicted: the pool that CUDA graphs share, and each recorded batch size.
_GRAPHS, _PER_GRAPH = 64 * _MIB, 8 * _MIB

#: predicted: the server and the engine are a process each, and each loads torch.
_PYTHON, _OF_DRIVER = 2048 * _MIB, 1024 * _MIB

#: Tokens of a block of the pool, by place; one block is vLLM's own.
_BLOCK: dict[Place, int] = {"gpu": 16, "ram": 128}


def need(load: Load) -> tuple[Part, ...]:
    """See :func:`deployctl.sizing.need`."""
    card: Place = "ram" if load.device == "cpu" else "gpu"
    known = load.weights_bytes is not None
    parts = [
        Part(
            place=card,
            name="weights",
            bytes=load.weights_bytes or weights_bytes(load.shape, load.format),
            basis="measured" if known else "predicted",
            why="the files' size" if known else f"the model's shape in {load.format.upper()}",
        ),
        _conversations(load, card),
        _working_space(load, card),
        _engine(load, card),
    ]
    if card == "gpu":
        parts.append(_host())
    return tuple(parts)


def pool_bytes(load: Load) -> int:
    """Bytes for all conversations together: what is asked, in whole blocks, or the larger pool.

    Each conversation takes whole blocks, and one block more is vLLM's own
    (check_enough_kv_cache_memory in vllm/v1/core/kv_cache_utils.py).
    """
    block = _BLOCK["ram" if load.device == "cpu" else "gpu"]
    blocks = -(-load.context // block) * load.concurrency + 1
    asked = blocks * block * kv_bytes_per_token(load.shape, load.kv_type)
    return max(asked, load.kv_pool_bytes or 0)


def graph_sizes(concurrency: int) -> tuple[int, ...]:
    """How many answers at once get a CUDA graph: 1, 2, 4, in steps of 8, and all of them.

    vLLM would record up to twice as many: start-up time and memory of the card for nothing.
    """
    sizes = {1, 2, 4, *range(8, concurrency, 8), concurrency}
    return tuple(sorted(size for size in sizes if size <= concurrency))


def _conversations(load: Load, place: Place) -> Part:
    per_token = kv_bytes_per_token(load.shape, load.kv_type)
    return Part(
        place=place,
        name="conversations",
        bytes=pool_bytes(load),
        basis="predicted",
        why=f"{load.concurrency} × {load.context} tokens, {per_token} bytes each",
    )


def _working_space(load: Load, place: Place) -> Part:
    """What its start-up run with a full batch needs, in 16 bit, and one step of sampling.

    At the widest point of a layer gate, up and their product are there, beside the residual and
    the attention's inputs and outputs. Sampling holds scores, probabilities and a sorted copy in
    32 bits, and its order in 64, for each answer.
    """
    shape = load.shape
    hidden = max(shape.hidden, shape.heads * shape.head_dim)
    activations = 2 * load.batch * (3 * shape.feed_forward + 6 * hidden)
    sampling = (3 * 4 + 8) * load.concurrency * shape.vocabulary
    return Part(
        place=place,
        name="working space",
        bytes=activations + sampling,
        basis="predicted",
        why=f"{load.batch} tokens of a prompt at a time, {load.concurrency} answers",
    )


def _engine(load: Load, place: Place) -> Part:
    graphs = (
        0
        if load.eager or place == "ram"
        else _GRAPHS + _PER_GRAPH * len(graph_sizes(load.concurrency))
    )
    return Part(
        place=place,
        name="engine",
        bytes=graphs + (_PYTHON if place == "ram" else _CONTEXT),
        basis="predicted",
        why=_why(place, graphs),
    )


def _why(place: Place, graphs: int) -> str:
    if place == "ram":
        return "two processes of Python and torch"
    return "the driver's context, torch" + (" and CUDA graphs" if graphs else "")


def _host() -> Part:
    return Part(
        place="ram",
        name="engine",
        bytes=_PYTHON + _OF_DRIVER,
        basis="predicted",
        why="two processes of Python and torch, and the driver",
    )
