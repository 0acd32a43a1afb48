"""What either engine says of a card that it cannot use. Pure.

Read in the sources of CUDA's users (ggml-cuda of build 11434, torch 2.13) and in reports of others:
none of these was seen by us.
"""

from __future__ import annotations

from deployctl.diagnosis.remedies import (
    ask_the_card,
    older_needs,
    on_llama_cpp,
    reload_driver,
    restart_engine,
    same,
    who_uses_the_card,
)
from deployctl.diagnosis.signs import BROAD, Sign, pattern

SIGNS = (
    Sign(
        code="engine-gpu-driver-old",
        about="engine",
        pattern=pattern(
            r"NVIDIA driver on your system is too old(?: \(found version (?P<version>\d+)\))?"
            r"|CUDA driver version is insufficient"
        ),
        seen="The NVIDIA driver on your system is too old · CUDA driver version is insufficient",
        cause="The card's driver is older than the CUDA that the image was made with.",
        way_out="a newer driver, or a profile with an older CUDA: `deployctl recommend`",
        remedy=older_needs,
        sample="RuntimeError: The NVIDIA driver on your system is too old (found version 12040). "
        "Please update your GPU driver",
    ),
    Sign(
        code="engine-gpu-too-old",
        about="engine",
        pattern=pattern(
            r"with CUDA capability (?P<capability>sm_\d+) is not compatible with the current"
            r"|no kernel image is available for execution on the device"
        ),
        seen="… with CUDA capability sm_61 is not compatible · no kernel image is available",
        cause="The image holds no code for a card this old.",
        way_out="a profile with llama.cpp: `deployctl recommend`",
        remedy=on_llama_cpp,
        sample="NVIDIA GeForce GTX 1080 with CUDA capability sm_61 is not compatible with the "
        "current PyTorch installation.",
    ),
    Sign(
        code="engine-gpu-driver-changed",
        about="engine",
        pattern=pattern(
            r"[Dd]river/library version mismatch|NVML_ERROR_LIB_RM_VERSION_MISMATCH"
            r"|system has unsupported display driver / cuda driver combination"
        ),
        seen="Failed to initialize NVML: Driver/library version mismatch",
        cause="The card's driver was updated while the old one was loaded.",
        way_out="`sudo reboot`, or load the new one while nothing uses the card",
        remedy=reload_driver,
        sample="Failed to initialize NVML: Driver/library version mismatch",
        serving=True,
    ),
    Sign(
        code="engine-gpu-lost",
        about="engine",
        pattern=pattern(
            r"Failed to initialize NVML(?!: Driver/library)|Unable to determine the device handle"
            r"|GPU is lost|has fallen off the bus|CUDA error: (?:device|GPU) (?:lost|has)"
            r"|CUDA error: (?:uncorrectable ECC error|unspecified launch failure|the launch timed)"
        ),
        seen="Failed to initialize NVML: Unknown Error · GPU is lost",
        cause="The container had a card and lost it: systemd was reloaded, or the card stopped.",
        way_out="`docker restart` of the engine, and the same `up`",
        remedy=restart_engine,
        sample="Failed to initialize NVML: Unknown Error",
        serving=True,
    ),
    Sign(
        code="engine-gpu-missing",
        about="engine",
        pattern=pattern(
            r"Failed to infer device type|Found no NVIDIA driver|No CUDA GPUs are available"
            r"|no CUDA-capable device is detected"
        ),
        seen="Failed to infer device type · No CUDA GPUs are available",
        cause="There is no card in the engine's container.",
        way_out="`nvidia-smi` must show a card; else a profile without: `deployctl recommend`",
        remedy=ask_the_card,
        sample="RuntimeError: Failed to infer device type, please set the environment variable",
    ),
    Sign(
        code="engine-gpu-unused",
        about="engine",
        pattern=pattern(
            r"failed to initialize CUDA: (?P<said>.+)|no usable GPU found, --gpu-layers option"
        ),
        seen="failed to initialize CUDA: … · no usable GPU found, --gpu-layers option …",
        cause="The engine cannot use the card, and computes on the processor, slowly.",
        way_out="`nvidia-smi` must show the card; the same `up` gives it to the engine again",
        remedy=ask_the_card,
        sample="0.00.050.000 E ggml_cuda_init: failed to initialize CUDA: unknown error",
        rank=BROAD,
        fatal=False,
        serving=True,
    ),
    Sign(
        code="engine-gpu-memory-short",
        about="engine",
        pattern=pattern(
            r"CUDA out of memory|OutOfMemoryError|CUDA error: out of memory"
            r"|CUBLAS_STATUS_ALLOC_FAILED"
        ),
        seen="CUDA out of memory",
        cause="The card has less free memory than the engine needs.",
        way_out="end what else uses the card, or a profile for a smaller one",
        remedy=who_uses_the_card,
        sample="torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 446.00 MiB. GPU 0 "
        "has a total capacity of 5.80 GiB",
        rank=BROAD,
        serving=True,
    ),
    Sign(
        code="engine-crashed",
        about="engine",
        pattern=pattern(
            r"GGML_ASSERT\((?P<what>[^)]*)\)? failed|CUDA error: an illegal memory access"
            r"|Fatal Python error: (?P<also>.+)"
        ),
        seen="GGML_ASSERT(…) failed · CUDA error: an illegal memory access …",
        cause="The engine met a fault of its own and ended itself.",
        way_out="the same `up` once more; if it comes again, its last lines are worth a report",
        remedy=same,
        sample="/app/ggml/src/ggml.c:3210: GGML_ASSERT(a->ne[2] == b->ne[0]) failed",
        rank=BROAD,
        serving=True,
    ),
)
