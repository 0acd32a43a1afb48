"""Reads somebody's Compose file and points out what will not work, or not for long. Pure.

``lint`` is the door: text in, findings and faults out. One file per subject holds the rules; a rule
is an object with a stable name, and ``docs/lint-compose.md`` is made from them.
"""
