"""The memory of llama.cpp's server, build b11434, started with ``--load-mode none``. Pure.

Weights are read into the engine's own memory, not mapped: where the processor has AVX2 or NEON it
keeps a rearranged copy of 4-bit tensors (ggml-cpu/repack.cpp), and a mapped file would stay
resident beside that copy: 1906 instead of 1311 MiB, measured with R1-Distill in Q4_K_M.
On a processor every term was held against the real server (benchmarks/fit.py); what is said of
cards follows from the same source but was not measured.
"""

from __future__ import annotations

from deployctl.sizing.nouns import Load, Part, Place
from deployctl.sizing.shapes import (
    bytes_of,
    embedding_bytes,
    is_plain,
    kv_bytes_per_token,
    weights_bytes,
)

_MIB = 1024**2

#: Cells of a conversation's cache come in blocks of this many (llama-context.cpp).
_CELLS = 256

#: Bytes a token of the batch takes beside its vectors: its number, its place, its cell.
#: measured: what is left of the engine's own figure with four shapes and five batches.
_PER_TOKEN = 41

#: The program itself, its libraries, its threads. measured: 16 MiB of files and 6 of its own.
_PROGRAM = 22 * _MIB

#: What a word of the vocabulary takes: text, look-up tables, merges. measured: 250 to 330 bytes.
_PER_WORD = 260

#: A slot's sampler, request and answer. measured: 1.2 MiB with prompts of 1200 tokens.
_PER_CONVERSATION = 1.2 * _MIB

#: A card's own context and the engine's kernels on it, and what its driver takes of main memory.
_ON_CARD = {"cuda": 320 * _MIB, "vulkan": 160 * _MIB}
_OF_DRIVER = {"cuda": 260 * _MIB, "vulkan": 120 * _MIB}


def need(load: Load) -> tuple[Part, ...]:
    """See :func:`deployctl.sizing.need`."""
    on_card = () if load.device == "cpu" else (_context_on_card(load), _embedding(load))
    return (_weights(load), _conversations(load), _working_space(load), *on_card, _server(load))


def _place(load: Load) -> Place:
    return "ram" if load.device == "cpu" else "gpu"


def _weights(load: Load) -> Part:
    known = load.weights_bytes is not None
    size = load.weights_bytes or weights_bytes(load.shape, load.format)
    if load.device != "cpu" and not load.shape.tied_embeddings:
        # The input layer always stays in main memory (llama-model.cpp); a tied table is copied.
        size -= min(size, embedding_bytes(load.shape, load.format))
    return Part(
        place=_place(load),
        name="weights",
        bytes=size,
        basis="measured" if known else "predicted",
        why="the file's size" if known else f"the model's shape in {load.format.upper()}",
    )


def whole_blocks(tokens: int) -> int:
    """The context that the server gives a conversation that is to have at least so many tokens."""
    return -(-tokens // _CELLS) * _CELLS


def _cells(load: Load) -> int:
    return whole_blocks(load.context)


def _conversations(load: Load) -> Part:
    per_token = kv_bytes_per_token(load.shape, load.kv_type)
    return Part(
        place=_place(load),
        name="conversations",
        bytes=load.concurrency * _cells(load) * per_token,
        basis="predicted",
        why=f"{load.concurrency} × {load.context} tokens of {per_token} bytes",
    )


def _working_space(load: Load) -> Part:
    """Vectors of the widest layer for each token of the batch, its mask, its answers' scores.

    Three times the feed-forward width and five times the hidden one in 32 bits: read off the
    engine's own ``compute buffer size``, exact to 0.1 % for all shapes and batches tried.
    """
    shape = load.shape
    hidden = max(shape.hidden, shape.heads * shape.head_dim)
    vectors = 4 * (3 * shape.feed_forward + 5 * hidden) + _PER_TOKEN
    mask = 2 * _cells(load)
    scores = 4 * load.concurrency * shape.vocabulary
    layers = load.batch * (vectors + mask)
    return Part(
        place=_place(load),
        name="working space",
        bytes=max(layers, scores) + scores + _multiplying(load),
        basis="predicted",
        why=f"{load.batch} tokens of a prompt at a time",
    )


def _multiplying(load: Load) -> int:
    """On a processor: the widest vectors again, in the type that suits the weights."""
    if load.device != "cpu":
        return 0
    widest = load.batch * max(load.shape.feed_forward, load.shape.hidden)
    return 2 * widest if is_plain(load.format) else bytes_of(widest, "q8_0")


def _context_on_card(load: Load) -> Part:
    return Part(
        place="gpu",
        name="engine",
        bytes=_ON_CARD[load.device],
        basis="predicted",
        why="the driver's context and the engine's kernels",
    )


def _embedding(load: Load) -> Part:
    return Part(
        place="ram",
        name="weights",
        bytes=embedding_bytes(load.shape, load.format),
        basis="predicted",
        why="the embedding table stays in main memory",
    )


def _server(load: Load) -> Part:
    words = _PER_WORD * load.shape.vocabulary
    conversations = int(load.concurrency * _PER_CONVERSATION)
    return Part(
        place="ram",
        name="engine",
        bytes=_PROGRAM + words + conversations + _OF_DRIVER.get(load.device, 0),
        basis="predicted",
        why=f"the server, {load.shape.vocabulary} words, {load.concurrency} conversations",
    )
