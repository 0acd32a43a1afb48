"""What engines say in their own logs about the memory they took. Pure.

llama.cpp's server (b11434) says it only with ``-lv 4``; vLLM (0.32) always. Their prefixes differ
between versions, so only the sentences themselves are looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_MIB, _GIB = 1024**2, 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Bytes as the engine reported them; what it did not say is ``None``."""

    weights_bytes: int | None = None
    kv_bytes: int | None = None
    compute_bytes: int | None = None  # working space; vLLM does not say
    kv_tokens: int | None = None  # of all conversations together
    graphs_bytes: int | None = None  # CUDA graphs; vLLM only


_MODEL = re.compile(r"load_tensors:\s+\S+ model buffer size = *([\d.]+) MiB")
_KV = re.compile(r"llama_kv_cache: +size = *([\d.]+) MiB \( *(\d+) cells,.*?\d+/(\d+) seqs\)")
_COMPUTE = re.compile(r"\S+ +compute buffer size = *([\d.]+) MiB")
_OUTPUT = re.compile(r"\S+ +output buffer size = *([\d.]+) MiB")
_STARTS = "llama_server: initializing"


def llama_cpp_figures(lines: Iterable[str]) -> Figures | None:
    """The figures of the last start in a log; ``None`` when it says nothing of memory.

    Buffers of several devices are added up: they are the whole engine's, wherever they lie.
    """
    weights: list[int] = []
    kv: list[int] = []
    compute: list[int] = []
    tokens: list[int] = []
    for line in lines:
        if _STARTS in line:
            for each in (weights, kv, compute, tokens):
                each.clear()
        if found := _MODEL.search(line):
            weights.append(_bytes(found[1], _MIB))
        elif found := _KV.search(line):
            kv.append(_bytes(found[1], _MIB))
            tokens.append(int(found[2]) * int(found[3]))
        elif found := _COMPUTE.search(line) or _OUTPUT.search(line):
            compute.append(_bytes(found[1], _MIB))
    if not (weights or kv or compute):
        return None
    return Figures(
        weights_bytes=sum(weights) if weights else None,
        kv_bytes=sum(kv) if kv else None,
        compute_bytes=sum(compute) if compute else None,
        kv_tokens=max(tokens) if tokens else None,
    )


_V_WEIGHTS = re.compile(r"Model loading took ([\d.]+) GiB")
# Measured; given by us, on a card; given or measured, on a processor. In hundredths of a GiB.
_V_KV = re.compile(
    r"Available KV cache memory: (?P<measured>[\d.]+) GiB"
    r"|reserved (?P<card>[\d.]+) GiB memory for KV Cache as specified"
    r"|(?:Explicitly|Auto) set \((?P<ram>[\d.]+)/[\d.]+\) GiB for KV cache"
)
_V_TOKENS = re.compile(r"KV cache size: ([\d,]+) tokens")
_V_GRAPHS = re.compile(r"Graph capturing finished in .*?took (-?[\d.]+) GiB")
_V_STARTS = "Initializing a V1 LLM engine"


def vllm_figures(lines: Iterable[str]) -> Figures | None:
    """The figures of the last start in a log; ``None`` when it says nothing of memory."""
    found: dict[str, int] = {}
    for line in lines:
        if _V_STARTS in line:
            found = {}
        for name, pattern in (("weights", _V_WEIGHTS), ("kv", _V_KV), ("graphs", _V_GRAPHS)):
            if said := pattern.search(line):
                found[name] = _bytes(next(filter(None, said.groups())), _GIB)
        if said := _V_TOKENS.search(line):
            found["tokens"] = int(said[1].replace(",", "") or 0)
    if not found:
        return None
    return Figures(
        weights_bytes=found.get("weights"),
        kv_bytes=found.get("kv"),
        kv_tokens=found.get("tokens"),
        graphs_bytes=found.get("graphs"),
    )


def _bytes(number: str, unit: int) -> int:
    """A number as a log writes it; what is no number after all counts as nothing."""
    try:
        return max(0, round(float(number) * unit))
    except ValueError:
        return 0
