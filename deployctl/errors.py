"""Errors an operator can act on, and the exit code each of them leads to.

Owns the vocabulary of failure: every error code, its exit code and its one-sentence meaning.
Imports nothing of ours, so that every other module may import it.
``docs/errors.md`` is generated from :data:`CODES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller; the list is closed."""

    OK = 0
    BUG = 1
    USAGE = 2
    PROFILE = 3
    PREFLIGHT = 4
    APPLY = 5
    NOT_READY = 6
    INTERRUPTED = 130


#: code → (exit code, what it means). One line each; the hint is given where the error is raised.
CODES: dict[str, tuple[ExitCode, str]] = {
    # command line
    "usage": (ExitCode.USAGE, "The command line is wrong."),
    # profiles
    "profile-unknown": (ExitCode.PROFILE, "No profile has this name."),
    "profile-syntax": (
        ExitCode.PROFILE,
        "The file is not the plain YAML that profiles are made of.",
    ),
    "profile-invalid": (ExitCode.PROFILE, "A value in the profile is missing, unknown or wrong."),
    "profile-cycle": (
        ExitCode.PROFILE,
        "`extends:` leads back to the profile itself, or too deep.",
    ),
    "profile-key-unknown": (ExitCode.PROFILE, "No profile has a key of this name."),
    "profile-exists": (ExitCode.USAGE, "A profile of this name is there and is not overwritten."),
    "model-unknown": (ExitCode.PROFILE, "The catalog has no model of this name."),
    "compose-unreadable": (
        ExitCode.PROFILE,
        "A file given to `lint-compose` cannot be read, or is no Compose file.",
    ),
    "render-drift": (ExitCode.PROFILE, "A rendered file is not what its profile says."),
    "model-unreadable": (
        ExitCode.PROFILE,
        "The model's own file cannot be understood, so nothing is known of the model.",
    ),
    "source-invalid": (ExitCode.PROFILE, "A model source is not one of the known forms."),
    "dataset-invalid": (
        ExitCode.PROFILE,
        "A dataset given to `eval` cannot be read, a line of it is no problem, or it has none.",
    ),
    "mirrors-invalid": (ExitCode.PROFILE, "A line of the operator's mirror map cannot be used."),
    # preflight
    "docker-missing": (ExitCode.PREFLIGHT, "No Docker client or Compose plugin on this machine."),
    "docker-unreachable": (
        ExitCode.PREFLIGHT,
        "Docker is installed, but its daemon does not answer.",
    ),
    "docker-remote": (ExitCode.PREFLIGHT, "The Docker client is told to use another machine."),
    "docker-denied": (ExitCode.PREFLIGHT, "This user may not talk to the Docker daemon."),
    "docker-too-old": (
        ExitCode.PREFLIGHT,
        "Docker Engine or Compose is older than the stack needs.",
    ),
    "buildx-missing": (
        ExitCode.PREFLIGHT,
        "An image must be built here and Docker has no build plugin.",
    ),
    "setup-unsupported": (ExitCode.PREFLIGHT, "This system cannot be set up automatically."),
    "setup-denied": (ExitCode.PREFLIGHT, "Setting up Docker needs rights this user does not have."),
    "setup-declined": (ExitCode.PREFLIGHT, "The operator said no to the set-up."),
    "cpus-too-many": (ExitCode.PREFLIGHT, "`engine.cpus` is more than this machine has."),
    "address-missing": (ExitCode.PREFLIGHT, "`ports.address` is not an address of this machine."),
    "port-taken": (ExitCode.PREFLIGHT, "A port the stack needs is held by something else."),
    "memory-short": (ExitCode.PREFLIGHT, "The model's weights alone are more than the memory."),
    "context-too-long": (
        ExitCode.PREFLIGHT,
        "model.context is more than the model was made for.",
    ),
    "gpu-missing": (ExitCode.PREFLIGHT, "The card that the profile is made for is not here."),
    "gpu-driver-missing": (ExitCode.PREFLIGHT, "A card is here, and its driver does not answer."),
    "gpu-driver-old": (ExitCode.PREFLIGHT, "The card's driver is older than the image needs."),
    "gpu-too-old": (ExitCode.PREFLIGHT, "The card cannot do what the profile asks of it."),
    "gpu-toolkit-missing": (ExitCode.PREFLIGHT, "Docker cannot hand the card to a container."),
    "disk-short": (ExitCode.PREFLIGHT, "The disk has less room than images and weights need."),
    "arch-unsupported": (
        ExitCode.PREFLIGHT,
        "The profile does not run on this processor architecture.",
    ),
    # applying
    "setup-failed": (ExitCode.APPLY, "A step of the Docker set-up failed."),
    "image-pull-failed": (ExitCode.APPLY, "An image could not be pulled from its registry."),
    "image-build-failed": (ExitCode.APPLY, "An image could not be built from packages."),
    "image-missing": (
        ExitCode.APPLY,
        "An image is not here and the chosen source cannot supply it.",
    ),
    "weights-unreachable": (ExitCode.APPLY, "The place the model file comes from does not answer."),
    "weights-not-found": (ExitCode.APPLY, "The model file does not exist at its source."),
    "weights-denied": (
        ExitCode.APPLY,
        "The source refuses the model file: gated, or the token is wrong.",
    ),
    "weights-corrupt": (
        ExitCode.APPLY,
        "The model file is truncated, is not a model, or has a wrong checksum.",
    ),
    "weights-unconvertible": (
        ExitCode.APPLY,
        "The GGUF file is whole, and what it would be in 16 bits is not known for sure.",
    ),
    "weights-no-space": (ExitCode.APPLY, "The disk has no room for the model file."),
    "extra-missing": (
        ExitCode.APPLY,
        "A command needs Python packages that deployctl alone does not bring.",
    ),
    "pip-missing": (ExitCode.APPLY, "The Python that runs deployctl has no pip."),
    "compose-failed": (ExitCode.APPLY, "`docker compose` refused or failed."),
    "render-invalid": (
        ExitCode.APPLY,
        "The rendered stack, with the operator's override, is not valid.",
    ),
    "stack-locked": (ExitCode.APPLY, "Another deployctl is working on this stack."),
    "stack-foreign": (
        ExitCode.APPLY,
        "A stack of this name is there, brought up from another state folder.",
    ),
    "secrets-lost": (
        ExitCode.APPLY,
        "The chats are there, but not the credentials they were made with.",
    ),
    "secrets-damaged": (
        ExitCode.APPLY,
        "The file with the stack's credentials cannot be understood any more.",
    ),
    "stack-unknown": (ExitCode.APPLY, "No stack of this name has been brought up."),
    "render-unwritable": (ExitCode.APPLY, "The rendered files cannot be written there."),
    "report-unwritable": (ExitCode.APPLY, "The archive of a report cannot be written there."),
    "workspace-unwritable": (
        ExitCode.APPLY,
        "The state or configuration folder cannot be read or written.",
    ),
    # readiness
    "engine-exited": (ExitCode.NOT_READY, "The engine's container stopped or keeps restarting."),
    "engine-not-ready": (ExitCode.NOT_READY, "The engine did not answer before its deadline."),
    "frontend-exited": (
        ExitCode.NOT_READY,
        "The frontend's container stopped or keeps restarting.",
    ),
    "frontend-not-ready": (ExitCode.NOT_READY, "The frontend did not answer before its deadline."),
    "proof-failed": (
        ExitCode.NOT_READY,
        "Everything started, but no answer came back through the UI.",
    ),
    "chats-unsaved": (ExitCode.NOT_READY, "The frontend answers, and cannot save a chat."),
    "sign-in-limited": (
        ExitCode.NOT_READY,
        "The frontend takes no more sign-ins for a while.",
    ),
    "own-file-invalid": (
        ExitCode.PROFILE,
        "A file of yours beside the stack's own cannot be used by the service that reads it.",
    ),
    "addon-not-ready": (
        ExitCode.NOT_READY,
        "An add-on does not run; engine and chat window do.",
    ),
    "stack-not-running": (ExitCode.NOT_READY, "The stack is not running, or only partly."),
    # why it did not become ready, read from what engine, frontend and Docker said
    "engine-flag-unknown": (ExitCode.NOT_READY, "The engine does not know a flag it was given."),
    "engine-value-invalid": (
        ExitCode.NOT_READY,
        "The engine refuses the value of a flag or of a variable.",
    ),
    "engine-weights-missing": (ExitCode.NOT_READY, "The engine does not find the model file."),
    "engine-weights-denied": (ExitCode.NOT_READY, "The engine may not read the model file."),
    "engine-weights-invalid": (
        ExitCode.NOT_READY,
        "The engine finds the model file damaged, cut short, or no model at all.",
    ),
    "engine-model-unsupported": (
        ExitCode.NOT_READY,
        "The engine's image is too old for the model, or made for other models.",
    ),
    "engine-memory-short": (
        ExitCode.NOT_READY,
        "The engine could not get the memory it asked for.",
    ),
    "engine-oom-killed": (
        ExitCode.NOT_READY,
        "The engine was killed because it needed more memory than its limit.",
    ),
    "host-memory-short": (
        ExitCode.NOT_READY,
        "This machine ran out of memory and its kernel killed the service.",
    ),
    "engine-gpu-memory-short": (ExitCode.NOT_READY, "The card has less memory than asked for."),
    "engine-kv-short": (
        ExitCode.NOT_READY,
        "After the weights, too little memory is left for a conversation of this length.",
    ),
    "engine-context-too-long": (
        ExitCode.NOT_READY,
        "model.context is more than the engine lets the model have.",
    ),
    "engine-dtype-unsupported": (ExitCode.NOT_READY, "The card cannot compute in this format."),
    "engine-gpu-missing": (ExitCode.NOT_READY, "The engine sees no card in its container."),
    "engine-gpu-unused": (
        ExitCode.NOT_READY,
        "A card was asked for and the engine does not use it.",
    ),
    "engine-gpu-lost": (ExitCode.NOT_READY, "The engine had a card and lost it."),
    "engine-gpu-driver-changed": (
        ExitCode.NOT_READY,
        "The card's driver was updated, and the old one is still loaded.",
    ),
    "engine-gpu-driver-old": (
        ExitCode.NOT_READY,
        "The card's driver is older than what the engine was built with.",
    ),
    "engine-gpu-too-old": (ExitCode.NOT_READY, "The engine was not built for a card this old."),
    "engine-cpu-unsupported": (
        ExitCode.NOT_READY,
        "The engine uses instructions that this processor does not have.",
    ),
    "engine-port-taken": (
        ExitCode.NOT_READY,
        "The engine cannot listen on its port inside the container.",
    ),
    "engine-crashed": (ExitCode.NOT_READY, "The engine crashed."),
    "engine-killed": (ExitCode.NOT_READY, "Somebody killed the engine."),
    "engine-hung": (ExitCode.NOT_READY, "The engine runs and answers nothing."),
    "frontend-data-damaged": (ExitCode.NOT_READY, "The frontend's database is damaged."),
    "frontend-data-denied": (
        ExitCode.NOT_READY,
        "The frontend may not write its own data.",
    ),
    "frontend-data-newer": (
        ExitCode.NOT_READY,
        "The frontend's database was made by a newer version of it.",
    ),
    "frontend-disk-full": (ExitCode.NOT_READY, "The disk that holds the chats is full."),
    "frontend-oom-killed": (
        ExitCode.NOT_READY,
        "The frontend was killed because it needed more memory than its limit.",
    ),
    "frontend-value-invalid": (
        ExitCode.NOT_READY,
        "The frontend refuses the value of a variable, or misses one.",
    ),
    "frontend-port-taken": (
        ExitCode.NOT_READY,
        "The frontend cannot listen on its port inside the container.",
    ),
    "frontend-crashed": (ExitCode.NOT_READY, "The frontend crashed."),
    "frontend-killed": (ExitCode.NOT_READY, "Somebody killed the frontend."),
    "frontend-hung": (ExitCode.NOT_READY, "The frontend runs and answers nothing."),
    "start-port-taken": (
        ExitCode.APPLY,
        "A port was free when it was looked at and taken when it was needed.",
    ),
    "start-no-space": (ExitCode.APPLY, "Docker has no room left on its disk."),
    "start-mount-denied": (ExitCode.APPLY, "Docker cannot mount a file or folder of this machine."),
    "start-platform": (
        ExitCode.APPLY,
        "The image is made for another processor architecture.",
    ),
    "start-gpu-driver-old": (ExitCode.APPLY, "The card's driver is older than the image needs."),
    "start-gpu-driver-changed": (
        ExitCode.APPLY,
        "The card's driver was updated, and the old one is still loaded, or it is not whole.",
    ),
    "start-gpu-toolkit-missing": (ExitCode.APPLY, "Docker cannot hand the card to a container."),
    "start-device-missing": (ExitCode.APPLY, "A device that the stack asks for is not here."),
    "start-docker-lost": (
        ExitCode.APPLY,
        "Docker answered no more while the stack was being started.",
    ),
    "start-cpus-too-many": (
        ExitCode.APPLY,
        "Docker refuses `engine.cpus`: it is more than this machine has.",
    ),
    "start-address-missing": (
        ExitCode.APPLY,
        "`ports.address` was an address of this machine when it was looked at, and is none now.",
    ),
    "start-network-failed": (ExitCode.APPLY, "Docker cannot make, or does not find, a network."),
    "reconcile-failed": (
        ExitCode.APPLY,
        "A setting of the chat window could not be set back to what the profile asks.",
    ),
    "check-failed": (ExitCode.NOT_READY, "A check of `verify` failed."),
    # chat and smoke
    "chat-failed": (ExitCode.NOT_READY, "The engine gave no whole answer."),
    "chat-too-long": (
        ExitCode.USAGE,
        "The question, with what was said before, is longer than the model's context.",
    ),
    "smoke-refused": (
        ExitCode.USAGE,
        "A stack of the smoke test's name is there, and no smoke test made it.",
    ),
    "smoke-timeout": (ExitCode.NOT_READY, "The smoke test did not end within its time."),
    "smoke-leftovers": (
        ExitCode.APPLY,
        "Something of the smoke test's stack could not be removed.",
    ),
    # measuring
    "bench-broken": (
        ExitCode.NOT_READY,
        "The engine works, and gave no whole answer under the load that measured it.",
    ),
    "trial-refused": (
        ExitCode.USAGE,
        "A stack of the name that a measurement wants for its own is there, and none made it.",
    ),
    "trial-leftovers": (
        ExitCode.APPLY,
        "Something of the stack that was made to be measured could not be removed.",
    ),
    "bench-none": (ExitCode.APPLY, "Nothing was measured of this stack yet."),
    "bench-slower": (
        ExitCode.NOT_READY,
        "The stack got slower since it was measured last, and `--fail-if-slower` was asked for.",
    ),
    "journal-busy": (ExitCode.APPLY, "The same is being measured by another deployctl."),
    "slo-unreachable": (
        ExitCode.PREFLIGHT,
        "No value that `tune` tried keeps to the SLO on this machine.",
    ),
    "overlay-exists": (ExitCode.USAGE, "A file of this name is there and is not overwritten."),
    "dataset-unavailable": (
        ExitCode.APPLY,
        "The dataset cannot be had: its source does not answer, has it not, or refuses it.",
    ),
    "tools-off": (ExitCode.USAGE, "The engine was started without tools, and they are asked for."),
    # everything else
    "output-unwritable": (
        ExitCode.APPLY,
        "Stdout leads to a file that cannot be written, like one on a full disk.",
    ),
    "result-unwritten": (
        ExitCode.APPLY,
        "A file in which a result was wanted could not be made; the result itself is printed.",
    ),
    "interrupted": (
        ExitCode.INTERRUPTED,
        "The operator pressed Ctrl-C, or ended deployctl with a signal.",
    ),
    "bug": (ExitCode.BUG, "deployctl itself is wrong here."),
}


#: What is wrong with a Docker that cannot be used.
DOCKER_PROBLEMS = {
    "docker-missing": "Docker, or its Compose plugin, is not installed.",
    "docker-unreachable": "Docker is installed, but its daemon does not answer.",
    "docker-remote": "The Docker client is told to use another machine; ports and model are here.",
    "docker-denied": "This user may not talk to the Docker daemon.",
    "docker-too-old": "Docker is too old for the stack.",
}

#: What to type about it, where that is not `deployctl setup`.
DOCKER_HINTS = {
    "docker-denied": "sudo usermod -aG docker $USER  # then sign in again",
    "docker-remote": "unset DOCKER_HOST DOCKER_CONTEXT; docker context use default",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong, in the operator's words.

    ``where`` is ``file:line`` or a service name, ``details`` is evidence (log tail, source line),
    ``hint`` is the next command to type or edit to make.
    """

    code: str
    message: str
    hint: str
    where: str | None = None
    details: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(
                f"undocumented error code {self.code!r}: add it to deployctl/errors.py"
            )
        if not self.hint:
            raise ValueError(f"{self.code}: an error without a hint helps nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterFailure:
    """What was done about a stack whose start failed, in the operator's words.

    ``did``: ``untouched`` (nothing had been changed yet), ``kept``, ``taken-down``,
    ``take-down-failed``, ``rolled-back``, ``rollback-failed`` or ``no-rollback`` (there was nothing
    to go back to, and it was left). ``faults`` say why taking down or going back failed.
    """

    did: str
    text: str
    hint: str
    profile: str | None = None  # which runs again
    faults: tuple[Fault, ...] = ()


class DeployctlError(Exception):
    """One or several faults that end a command.

    The exit code is the first fault's; several faults are reported together, in order.
    ``after`` is what was done about the stack, where there was something to do.
    """

    after: AfterFailure | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str,
        hint: str,
        where: str | None = None,
        details: tuple[str, ...] = (),
    ) -> None:
        self.faults: tuple[Fault, ...] = (
            Fault(code=code, message=message, hint=hint, where=where, details=details),
        )
        super().__init__(message)

    @classmethod
    def of(cls, faults: tuple[Fault, ...]) -> DeployctlError:
        """Make one error of several faults (at least one)."""
        first = faults[0]
        error = cls(
            first.message,
            code=first.code,
            hint=first.hint,
            where=first.where,
            details=first.details,
        )
        error.faults = faults
        return error

    @property
    def exit_code(self) -> ExitCode:
        """The process's exit code: that of the first fault."""
        return CODES[self.faults[0].code][0]
