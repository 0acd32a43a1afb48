"""The console script. Answers ``--version`` before anything heavy is imported."""

from __future__ import annotations

import sys

from deployctl import __version__


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"deployctl {__version__}\n")
        return
    from deployctl.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
