"""Better values for a profile's own keys, found by measuring them. Pure: who measures is told what.

``knobs`` says what may be turned and how far, ``search`` in which order and what is better,
``overlay`` writes what came of it down. None of it reads a clock or touches an engine.
"""
