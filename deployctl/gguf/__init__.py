"""What a GGUF file says of itself: whether it is whole, and which model is in it. Reads streams."""

from deployctl.gguf.header import GgufHeader, read_header
from deployctl.gguf.reader import MAGIC, GgufError, GgufTensor, NoGgufError, problem_with
from deployctl.gguf.refusal import UnconvertibleError

__all__ = [
    "MAGIC",
    "GgufError",
    "GgufHeader",
    "GgufTensor",
    "NoGgufError",
    "UnconvertibleError",
    "problem_with",
    "read_header",
]
