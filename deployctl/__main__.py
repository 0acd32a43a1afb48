"""The console script. Answers ``--version`` before anything heavy is imported."""

from __future__ import annotations

import sys

from deployctl import __version__


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:] == ["--version"] and sys.stdout is not None:
        sys.stdout.write(f"deployctl {__version__}\n")
        return
    try:
        from deployctl.cli import run
    except KeyboardInterrupt:  # before there was anything to clean up
        sys.stderr.write("error: Interrupted; nothing was done. [interrupted]\n")
        sys.exit(130)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
