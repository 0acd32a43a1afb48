"""What fits and how fast it can possibly be, known before anything is downloaded. Pure.

Owns the arithmetic of memory: a model's shape gives its weights, its memory per token and its
speed ceiling; an engine's way of working gives the rest. Every number carries its basis.
"""

from deployctl.sizing.llama_cpp import whole_blocks
from deployctl.sizing.nearest import proposals
from deployctl.sizing.needs import need
from deployctl.sizing.nouns import Basis, Fit, Load, Part, Place, Proposal, Room, Verdict
from deployctl.sizing.shapes import (
    ceiling,
    kv_bytes_per_token,
    parameters,
    read_per_token,
    weights_bytes,
)
from deployctl.sizing.verdicts import TIGHT_SHARE, impossible, is_short, judge
from deployctl.sizing.vllm import graph_sizes, pool_bytes

__all__ = [
    "TIGHT_SHARE",
    "Basis",
    "Fit",
    "Load",
    "Part",
    "Place",
    "Proposal",
    "Room",
    "Verdict",
    "ceiling",
    "graph_sizes",
    "impossible",
    "is_short",
    "judge",
    "kv_bytes_per_token",
    "need",
    "parameters",
    "pool_bytes",
    "proposals",
    "read_per_token",
    "weights_bytes",
    "whole_blocks",
]
