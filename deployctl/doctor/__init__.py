"""Host checks: what this machine is, held against what a stack needs. Judging is pure.

``look_*.py`` are the edges that gather; everything else turns what they found into checks.
"""
