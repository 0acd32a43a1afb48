"""Why something did not start, or stopped: what was said and seen → code, cause, way out. Pure.

What diagnoses is in ``diagnose``, which takes longer to load than a start that works may wait.
"""

from __future__ import annotations

from deployctl.diagnosis.nouns import Evidence, Way

__all__ = ["Evidence", "Way"]
