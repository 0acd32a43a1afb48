"""What Docker says when it cannot hand a card, or another device, to a container. Pure.

Seen with Docker 26.1: no toolkit, no such device. Known from reports of others: drivers that are
too old, that were updated while in use, or that are not whole.
"""

from __future__ import annotations

from deployctl.diagnosis.remedies import older_needs, reboot, recommend, reload_driver, setup
from deployctl.diagnosis.signs import Found, Sign, pattern


def _another_way(found: Found) -> str:
    """The way to the card that this Docker has, where it has one; else how to get one."""
    way = found.way
    tried = None if way.plan is None else way.plan.service("engine").gpu_access
    others = [each for each in way.card_access if each != tried]
    if not others:
        return setup(found)
    return f"{way.with_set(('engine.gpu_access', others[0]))}  # this Docker has that way"


def _name_the_cards_anew(found: Found) -> str:
    """A specification of the cards as they are now; an update of the driver makes one stale."""
    return f"sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml && {found.way.same()}"


SIGNS = (
    Sign(
        code="start-gpu-driver-old",
        about="docker",
        pattern=pattern(
            r"nvidia-container-cli: requirement error: (?:unsatisfied condition: (?P<needs>[^,]+))?"
        ),
        seen="nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0",
        cause="The card's driver is older than the CUDA that the image was made with.",
        way_out="a newer driver, or a profile with an older CUDA: `deployctl recommend`",
        remedy=older_needs,
        sample="nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0, please "
        "update your driver to a newer version, or use an earlier cuda container: unknown",
        message=lambda found: (
            "The card's driver is older than the image needs"
            + (f" ({found.word('needs')})." if found.word("needs") else ".")
        ),
    ),
    Sign(
        code="start-gpu-toolkit-missing",
        about="docker",
        pattern=pattern(
            r"could not select device driver|unknown or invalid runtime name: nvidia"
            r"|nvidia-container-runtime-hook.*not found"
        ),
        seen='could not select device driver "nvidia" with capabilities: [[gpu]]',
        cause="Docker cannot hand a card to a container: the NVIDIA Container Toolkit is missing, "
        "or Docker does not know of it.",
        way_out="`--set engine.gpu_access=…` where Docker has another way; else `deployctl setup`",
        remedy=_another_way,
        sample='Error response from daemon: could not select device driver "nvidia" with '
        "capabilities: [[gpu]]",
    ),
    Sign(
        code="start-gpu-toolkit-missing",
        about="docker",
        pattern=pattern(
            r"unresolvable CDI devices (?P<devices>\S+)|CDI device injection failed"
            r"|failed to inject CDI devices"
        ),
        seen="CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all",
        cause="Docker finds no card by its name in a CDI specification: there is none, or it is "
        "older than the driver.",
        way_out="`sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`, and the same `up`",
        remedy=_name_the_cards_anew,
        sample="Error response from daemon: CDI device injection failed: unresolvable CDI devices "
        "nvidia.com/gpu=all",
    ),
    Sign(
        code="start-gpu-driver-changed",
        about="docker",
        pattern=pattern(
            r"nvml error: driver/library version mismatch|Driver/library version mismatch"
        ),
        seen="nvidia-container-cli: … nvml error: driver/library version mismatch",
        cause="The card's driver was updated, and the old one is still loaded.",
        way_out="`sudo reboot`, or load the new one while nothing uses the card",
        remedy=reload_driver,
        sample="nvidia-container-cli: initialization error: nvml error: driver/library version "
        "mismatch: unknown",
    ),
    Sign(
        code="start-gpu-driver-changed",
        about="docker",
        pattern=pattern(r"load library failed: (?P<library>libnvidia-ml|libcuda)\.so"),
        seen="nvidia-container-cli: … load library failed: libnvidia-ml.so.1",
        cause="The card's driver is not whole: an update has not ended, or took its library away.",
        way_out="let the update end, and `sudo reboot`; `nvidia-smi` must show the card then",
        remedy=reboot,
        sample="nvidia-container-cli: initialization error: load library failed: "
        "libnvidia-ml.so.1: cannot open shared object file: no such file or directory: unknown",
    ),
    Sign(
        code="start-device-missing",
        about="docker",
        pattern=pattern(
            r'error gathering device information while adding custom device "(?P<device>[^"]*)"'
            r"|nvidia-container-cli: .*?(?:unknown device|no devices? found|driver not loaded)"
            r"|nvml error: driver not loaded|nvidia-smi has failed"
        ),
        seen="error gathering device information while adding custom device …",
        cause="A device that the stack asks for is not on this machine.",
        way_out="a profile that this machine can run: `deployctl recommend`",
        remedy=recommend,
        sample="Error response from daemon: error gathering device information while adding custom "
        'device "/dev/dri": no such file or directory',
    ),
)
