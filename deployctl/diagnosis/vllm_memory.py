"""What vLLM says when context, conversations or weights do not fit. Pure.

Seen with release 0.32.0 on a processor: a context longer than the model's, conversations that do
not fit beside the weights. The rest is about cards and was read in the source of that release.
"""

from __future__ import annotations

from deployctl.diagnosis.remedies import (
    half_precision,
    less_at_once,
    less_context,
    more_memory,
    smaller,
    who_uses_the_card,
    with_context,
)
from deployctl.diagnosis.signs import Found, Sign, pattern
from deployctl.engines.vllm import KIND


def _with_estimate(found: Found) -> str:
    """What vLLM itself says would fit, in whole steps."""
    length = found.words.get("length", "")
    return with_context(found.way, int(length)) if length else less_context(found)


def _of_the_model(found: Found) -> str:
    """What the model was made for."""
    own = float(found.words.get("own") or 0)
    return with_context(found.way, int(own)) if own >= 1 else less_context(found)


def _too_long(found: Found) -> str:
    own = found.word("own").partition(".")[0]
    made_for = f" ({own})" if own else ""
    asked = found.word("asked")
    return f"`model.context` is {asked} tokens, more than the model was made for{made_for}."


def _no_graphs(found: Found) -> str:
    return found.way.with_set(("engine.eager", "true"))


CONTEXT = (
    Sign(
        code="engine-kv-short",
        about=KIND,
        pattern=pattern(
            r"To serve at least one request with the model's max seq len \((?P<asked>\d+)\)"
            r"(?:.*?estimated maximum model length is (?P<length>\d{1,9}))?"
        ),
        seen="To serve at least one request with the model's max seq len … the estimated maximum "
        "model length is …",
        cause="One conversation of this length does not fit into the memory that is left.",
        way_out="`--set model.context=` what vLLM says would fit",
        remedy=_with_estimate,
        sample="ValueError: To serve at least one request with the model's max seq len (131072), "
        "(3.5 GiB KV cache is needed, which is larger than the available KV cache memory (0.59 "
        "GiB). Based on the available memory, the estimated maximum model length is 21904.",
        message="One conversation of {asked} tokens does not fit into the memory that is left.",
    ),
    Sign(
        code="engine-kv-short",
        about=KIND,
        pattern=pattern(
            r"No available memory for the cache blocks|Cannot auto-fit max_model_len"
            r"|not enough GPU memory available to serve even a single token"
        ),
        seen="No available memory for the cache blocks · Cannot auto-fit max_model_len",
        cause="After the weights no memory is left for conversations.",
        way_out="half of `model.context` or `concurrency`, or a profile for a smaller card",
        remedy=smaller,
        sample="ValueError: No available memory for the cache blocks. Try increasing "
        "`gpu_memory_utilization` when initializing the engine.",
    ),
    Sign(
        code="engine-kv-short",
        about=KIND,
        pattern=pattern(
            r"Available memory on node \S+ \((?P<free>[\d.]+)/(?P<all>[\d.]+) GiB\) on kv cache "
            r"allocation is less than requested memory for kv \((?P<asked>[\d.]+)"
        ),
        seen="Available memory on node … is less than requested memory for kv",
        cause="On a processor: beside the weights too little of the container's memory is left for "
        "the conversations.",
        way_out="`--set engine.memory=` half as much again as its limit, or as what is predicted",
        remedy=more_memory,
        sample="ValueError: Available memory on node 0 (0.05/1.86 GiB) on kv cache allocation is "
        "less than requested memory for kv (0.09 GiB). Decrease --kv-cache-memory-bytes, "
        "VLLM_CPU_KVCACHE_SPACE, or reduce CPU memory used by other processes.",
        message="The conversations need {asked} GiB, and of the engine's {all} GiB only {free} are "
        "left.",
    ),
    Sign(
        code="engine-context-too-long",
        about=KIND,
        pattern=pattern(
            r"User-specified max_model_len \((?P<asked>\d+)\) is greater than the derived "
            r"max_model_len(?: \(\w+=(?P<own>\d{1,9}(?:\.\d+)?))?"
        ),
        seen="User-specified max_model_len … is greater than the derived max_model_len …",
        cause="`model.context` is more than the model was made for.",
        way_out="`--set model.context=` what the model was made for",
        remedy=_of_the_model,
        sample="  Value error, User-specified max_model_len (1000000) is greater than the derived "
        "max_model_len (max_position_embeddings=8192.0 or model_max_length=None in model's "
        "config.json).",
        message=_too_long,
    ),
)

CARD = (
    Sign(
        code="engine-gpu-memory-short",
        about=KIND,
        pattern=pattern(
            r"Free memory on device (?P<card>\S+) \((?P<free>[\d.]+)/(?P<all>[\d.]+) GiB\) on "
            r"startup is less than desired"
        ),
        seen="Free memory on device cuda:0 (…) on startup is less than desired …",
        cause="Something else holds memory of the card: a desktop, a game, another engine.",
        way_out="`nvidia-smi` names it; end it, and the same `up`",
        remedy=who_uses_the_card,
        sample="ValueError: Free memory on device cuda:0 (4.61/5.8 GiB) on startup is less than "
        "desired GPU memory utilization (0.92, 5.34 GiB). Decrease GPU memory utilization or "
        "reduce GPU memory used by other processes.",
        message="Only {free} of {all} GiB of the card are free: something else holds the rest.",
    ),
    Sign(
        code="engine-gpu-memory-short",
        about=KIND,
        pattern=pattern(r"Error in memory profiling\. Initial free memory"),
        seen="Error in memory profiling. Initial free memory …",
        cause="While the engine measured, another program gave back memory of the same card.",
        way_out="`nvidia-smi` names it; end it, and the same `up`",
        remedy=who_uses_the_card,
        sample="AssertionError: Error in memory profiling. Initial free memory 5.10 GiB, current "
        "free memory 5.31 GiB.",
    ),
    Sign(
        code="engine-gpu-memory-short",
        about=KIND,
        pattern=pattern(r"CUDA out of memory occurred when warming up sampler"),
        seen="CUDA out of memory occurred when warming up sampler with … dummy requests",
        cause="The card has no room left to answer as many at once as was asked for.",
        way_out="half of `concurrency`",
        remedy=less_at_once,
        sample="RuntimeError: CUDA out of memory occurred when warming up sampler with 16 dummy "
        "requests. Please try lowering `max_num_seqs` or `gpu_memory_utilization`",
    ),
    Sign(
        code="engine-gpu-memory-short",
        about=KIND,
        pattern=pattern(r"Failed to load model - not enough GPU memory"),
        seen="Failed to load model - not enough GPU memory",
        cause="The weights alone are more than the card has free.",
        way_out="a profile for a smaller card: `deployctl recommend`",
        remedy=lambda _found: "deployctl recommend  # the profiles with llama.cpp need less of it",
        sample="ERROR Failed to load model - not enough GPU memory. Try lowering "
        "--gpu-memory-utilization to free memory for weights",
    ),
    Sign(
        code="engine-gpu-memory-short",
        about=KIND,
        pattern=pattern(r"CUDA out of memory.*captur|captur.*CUDA out of memory"),
        seen="CUDA out of memory while capturing graphs",
        cause="The card has no room left for CUDA graphs.",
        way_out="`--set engine.eager=true`: none are kept",
        remedy=_no_graphs,
        sample="RuntimeError: CUDA out of memory while capturing graphs",
    ),
    Sign(
        code="engine-dtype-unsupported",
        about=KIND,
        pattern=pattern(
            r"Bfloat16 is only supported on GPUs with compute capability of at least 8\.0\."
            r"(?: Your (?P<card>.{1,80}?) GPU has compute capability (?P<has>\d\.\d))?"
        ),
        seen="Bfloat16 is only supported on GPUs with compute capability of at least 8.0",
        cause="The card is too old to compute in bfloat16.",
        way_out="`--set engine.dtype=float16`",
        remedy=half_precision,
        sample="ValueError: Bfloat16 is only supported on GPUs with compute capability of at least "
        "8.0. Your NVIDIA GeForce RTX 2060 GPU has compute capability 7.5. You can use float16 "
        "instead by explicitly setting the `dtype` flag in CLI, for example: --dtype=half.",
    ),
)
