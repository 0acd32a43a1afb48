"""Questions people have when nothing has failed, or not with a code: answers and commands. Pure.

``docs/errors.md`` shows them. The commands are written for a stack of the usual name.
"""

from __future__ import annotations

from dataclasses import dataclass

from deployctl.diagnosis.remedies import HOME


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is seen, why, and what to type about it; the commands in the order to try them."""

    seen: str
    why: str
    commands: tuple[str, ...]


QUESTIONS = (
    Question(
        seen="CUDA out of memory",
        why="Weights, conversations and other programs together are more than the card has. `plan` "
        "says what takes how much; `--fit` takes the nearest values that fit.",
        commands=(
            "nvidia-smi  # what else uses the card",
            "deployctl up --fit",
            "deployctl up --set concurrency=1",
            "deployctl recommend",
        ),
    ),
    Question(
        seen="Replies are cut short",
        why="An answer may have `model.max_tokens` tokens, thinking included; it must be less than "
        "`model.context`.",
        commands=(
            "deployctl profile explain smoke model.max_tokens",
            "deployctl up --set model.context=8192 --set model.max_tokens=4096",
        ),
    ),
    Question(
        seen="It thinks, and no answer follows",
        why="A reasoning model used all its tokens for thinking. With llama.cpp a budget ends the "
        "thinking; or take a model that answers at once.",
        commands=(
            "deployctl up --profile cpu-only --set engine.reasoning_budget=512",
            "deployctl up --model qwen2.5-1.5b-instruct",
        ),
    ),
    Question(
        seen="Tool calls fail, or none is made",
        why="Tools are off unless `model.tools` is true, and DeepSeek-R1's template never shows "
        "them to the model. Qwen2.5 can call tools; with the chat window's own (about 5000 tokens) "
        "it needs a context of 16384.",
        commands=(
            "deployctl up --model qwen2.5-1.5b-instruct --set model.tools=true "
            "--set model.context=16384",
        ),
    ),
    Question(
        seen="Replies are slow",
        why="The card is not used, the processor has few cores, or the model is large for its "
        "memory. `plan` predicts the most that this machine can give; `status` says what it does. "
        "A long chat takes long to read: begin a new one.",
        commands=(
            "deployctl status",
            "deployctl plan",
            "deployctl logs engine",
            "deployctl recommend",
        ),
    ),
    Question(
        seen="The chat window shows no model",
        why="The frontend does not reach the engine: it stopped, or its address or key was changed "
        "in the admin panel.",
        commands=(
            "deployctl status  # names the setting, where one is why",
            "deployctl reconcile webui  # sets it back",
            "deployctl up  # starts what stopped",
            "deployctl logs webui",
        ),
    ),
    Question(
        seen="The password is lost, or sign-in fails",
        why="The credentials of a stack are in its folder, readable by you alone; in the folder of "
        "another stack they do not fit.",
        commands=(f"cat {HOME}/stacks/deployctl/credentials",),
    ),
    Question(
        seen="The port is taken",
        why="Something else listens on 7860 or 8000.",
        commands=(
            "sudo ss -ltnp 'sport = :7860'  # who it is",
            "deployctl up --set ports.webui=7861 --set ports.engine=8001",
        ),
    ),
    Question(
        seen="The model cannot be downloaded",
        why="The hub is not reached, or the model is closed to those who have not accepted its "
        "licence. A file of your own, or a profile that needs no hub, works without.",
        commands=(
            "HF_TOKEN=YOUR_TOKEN deployctl up",
            "deployctl up --model file:/srv/models/FILE.gguf",
            "deployctl up --profile smoke",
        ),
    ),
)
