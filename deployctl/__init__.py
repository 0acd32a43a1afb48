"""deployctl takes a box to a local-LLM chat window that has already answered."""

__version__ = "0.1.0"
