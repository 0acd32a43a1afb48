"""The dimensions of the catalog's models."""

from deployctl.catalog import Catalog
from deployctl.profiles.models import read_entry

_READERS = Catalog({"HOME": "/nonexistent"}).readers()

R1, QWEN, LLAMA, SMOL = (
    read_entry(name, _READERS).shape.noun()
    for name in (
        "deepseek-r1-distill-qwen-1.5b",
        "qwen2.5-1.5b-instruct",
        "llama-3.2-1b-instruct",
        "smollm2-135m-instruct",
    )
)
