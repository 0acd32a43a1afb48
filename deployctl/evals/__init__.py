"""Whether a model's answers are good: problems, what is asked, how an answer is read and judged.

Pure but for ``judge.py``, which is a process of its own. ``deploy/evaluating.py`` asks.
"""
