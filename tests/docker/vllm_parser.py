"""Reads command lines with vLLM's own parser, and prints what it makes of each as JSON.

Runs inside vLLM's image, in which nothing of ours is. Usage: python -c PROGRAM, a JSON list of
command lines on stdin. What the parser refuses has `refused`, its last line.
"""

import contextlib
import io
import json
import sys
from typing import Any

# In the order in which vLLM's server itself uses them.
from vllm.entrypoints.launchers.cli_args import (  # type: ignore[import-not-found]
    make_arg_parser,
    validate_parsed_serve_args,
)
from vllm.entrypoints.launchers.launcher import (  # type: ignore[import-not-found]
    validate_api_server_args,
)
from vllm.utils.argparse_utils import FlexibleArgumentParser  # type: ignore[import-not-found]

PLAIN = (str, int, float, list, dict, type(None))


def parsed(argv: list[str]) -> dict[str, Any]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            found = make_arg_parser(FlexibleArgumentParser(prog="vllm serve")).parse_args(argv)
            validate_parsed_serve_args(found)
            validate_api_server_args(found)
    except SystemExit:
        return {"refused": said.getvalue().strip().splitlines()[-1]}
    except (KeyError, TypeError, ValueError) as problem:
        return {"refused": f"{type(problem).__name__}: {problem}"}
    return {name: value for name, value in vars(found).items() if isinstance(value, PLAIN)}


print(json.dumps([parsed(argv) for argv in json.load(sys.stdin)]))  # noqa: T201  # its answer
