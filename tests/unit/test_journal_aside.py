"""What was kept is put aside, and nothing is ever written over."""

from __future__ import annotations

from pathlib import Path

from deployctl.journal import Journal


def test_what_was_kept_is_put_aside_under_a_new_name_each_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a" / "rows.jsonl")
    assert journal.put_aside() is None
    for number in (1, 2):
        journal.append({"run": number})
        assert journal.put_aside() == tmp_path / "a" / f"rows.old-{number}.jsonl"
        assert not journal.path.exists()
    kept = [Journal(tmp_path / "a" / f"rows.old-{number}.jsonl").read().rows for number in (1, 2)]
    assert kept == [({"run": 1},), ({"run": 2},)]
