"""Flags that engines once had, and what took their place: for words of a Compose file. Pure.

Of vLLM 0.32.0 and llama.cpp's build 11434. What the same flags mean to a profile stands with the
diagnosis of failed starts; a test holds the two lists against each other.
"""

from __future__ import annotations

#: Flag of vLLM → what to do, and the flag to write in its place, if there is one.
VLLM: dict[str, str] = {
    "--swap-space": "conversations are not swapped out any more",
    "--guided-decoding-backend": "`--structured-outputs-config` has replaced it",
    "--disable-log-requests": "requests are not logged any more unless asked for",
    "--enable-reasoning": "`--reasoning-parser` alone does it",
    "--num-scheduler-steps": "steps are joined by themselves",
    "--max-seq-len-to-capture": "`--max-cudagraph-capture-size` has replaced it",
    "--cuda-graph-sizes": "`--cudagraph-capture-sizes` has replaced it",
    "--calculate-kv-scales": "the scales come with the model",
    "--rope-scaling": "`--hf-overrides` has replaced it",
}

#: The release in which all of them are gone.
VLLM_SINCE = (0, 32)

#: Flag of llama.cpp → the words to write in its place; none: it has gone without one.
LLAMA_CPP: dict[str, tuple[str, ...]] = {
    "--mlock": ("--load-mode", "mlock"),
    "--no-mmap": ("--load-mode", "none"),
    "--mmap": ("--load-mode", "mmap"),
    "--direct-io": ("--load-mode", "dio"),
    "-dio": ("--load-mode", "dio"),
    "--no-direct-io": ("--load-mode", "mmap"),
    "--draft": ("--spec-draft-n-max",),
    "--draft-n": ("--spec-draft-n-max",),
    "--draft-max": ("--spec-draft-n-max",),
    "--draft-min": ("--spec-draft-n-min",),
    "--draft-n-min": ("--spec-draft-n-min",),
}

#: The build that was tried; an older one may still know them.
LLAMA_CPP_SINCE = 11434
