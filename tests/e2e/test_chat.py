"""``chat`` and ``open`` against the real engine: answers, figures, and what goes where."""

from __future__ import annotations

import subprocess

from tests.e2e.product import Stack


def asked(stack: Stack, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Pipe a question in, as a shell does."""
    return subprocess.run(
        [*stack.product.argv, "chat", "--stack", stack.name, *words],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        cwd=stack.product.cwd,
        env=stack.product.env(),
        timeout=120,
    )


def test_stdout_is_the_answer_and_stderr_the_figures(stack: Stack) -> None:
    done = asked(stack, text="Name one colour of the rainbow.")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "tokens/s" not in done.stdout
    for part in (" tokens/s", "first after ", "measured"):
        assert part in done.stderr


def test_figures_are_what_the_engine_counted(stack: Stack) -> None:
    before = stack.engine_counter(stack.kind.answer_tokens)
    data = stack.product.run(
        *("chat", "Write about the sea.", "--stack", stack.name),
        *("--max-tokens", "24", "--output", "json"),
    ).data
    counted = stack.engine_counter(stack.kind.answer_tokens) - before
    assert data["usage"]["completion_tokens"] == counted <= 24
    assert data["answer"].strip()
    assert data["timings"]["tokens_per_second"] > 0
    assert 0 < data["timings"]["first_token_s"] <= data["timings"]["seconds"]


def test_a_question_that_is_too_long_says_what_to_do(stack: Stack) -> None:
    done = asked(stack, "-", text="word " * 6000)
    assert done.returncode == 2
    assert (done.stdout, "[chat-too-long]" in done.stderr) == ("", True)
    assert "--set model.context=" in done.stderr


def test_a_reader_that_leaves_is_no_failure(stack: Stack) -> None:
    script = '"$@" | head -c 1 >/dev/null; exit "${PIPESTATUS[0]}"'
    argv = (*stack.product.argv, "chat", "--stack", stack.name, "Write about the sea.")
    done = subprocess.run(
        ["bash", "-c", script, "bash", *argv],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=stack.product.cwd,
        env=stack.product.env(),
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_open_says_where_and_opens_what_browser_names(stack: Stack) -> None:
    quiet = {"BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": "", "SSH_CONNECTION": ""}
    outcome = stack.product.run("open", "--stack", stack.name, env=quiet)
    assert outcome.exit_code == 0, str(outcome)
    assert outcome.stdout.splitlines()[0].endswith(stack.webui)
    named = {**quiet, "BROWSER": "no-such-browser:true"}
    data = stack.product.run("open", "--stack", stack.name, "--output", "json", env=named).data
    assert (data["opened_with"], data["tried"]) == ("true", ["no-such-browser"])


def test_what_never_was_is_exit_5_and_says_how_it_comes_up(stack: Stack) -> None:
    for words in (("chat", "Hi"), ("open",), ("verify",)):
        outcome = stack.product.run(*words, "--stack", f"{stack.name}-not", "--output", "json")
        assert (outcome.exit_code, outcome.error["code"]) == (5, "stack-unknown")
        assert outcome.error["hint"] == f"deployctl up --stack {stack.name}-not"
    logs = stack.product.run("logs", "--stack", f"{stack.name}-not")  # which has no JSON
    assert logs.exit_code == 5
    assert "[stack-unknown]" in logs.stderr
