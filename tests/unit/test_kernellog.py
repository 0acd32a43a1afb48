"""Who was killed for memory, and for whose, from the kernel's own log."""

from pathlib import Path

from deployctl.kernellog import killed_for, last_kill

OURS, OTHER = "2391" * 16, "beef" * 16


def record(constraint: str, container: str) -> str:
    """As Linux 6 writes it; the constraint and the group differ."""
    return (
        f"6,41218,28575947924,-;oom-kill:constraint={constraint},nodemask=(null),cpuset={OTHER},"
        f"mems_allowed=0,oom_memcg=/docker/{OTHER},task_memcg=/docker/{container},"
        "task=llama-server,pid=19568,uid=10001\n"
    )


def test_a_limit_a_machine_and_neither_are_told_apart() -> None:
    assert last_kill([record("CONSTRAINT_MEMCG", OURS)], OURS) == "limit"
    assert last_kill([record("CONSTRAINT_NONE", OURS)], OURS) == "machine"
    assert last_kill([record("CONSTRAINT_NONE", OTHER)], OURS) == "neither"
    assert last_kill([], OURS) == "neither"


def test_the_last_kill_counts() -> None:
    both = [record("CONSTRAINT_MEMCG", OURS), record("CONSTRAINT_NONE", OURS)]
    assert last_kill(both, OURS) == "machine"


def test_a_log_that_may_not_be_read_says_nothing(tmp_path: Path) -> None:
    assert killed_for(OURS, 1.0, tmp_path / "kmsg") == "unknown"


def test_a_kill_of_an_earlier_run_is_history() -> None:
    kill = record("CONSTRAINT_MEMCG", OURS)
    assert last_kill([kill], OURS, since_us=28575947924) == "limit"
    assert last_kill([kill], OURS, since_us=28575947925) == "neither"


def test_a_log_is_read_to_its_end(tmp_path: Path) -> None:
    log = tmp_path / "kmsg"
    log.write_text(record("CONSTRAINT_NONE", OURS))
    long_ago = 10.0**9  # before this machine booted
    assert killed_for(OURS, long_ago, log) == "machine"
