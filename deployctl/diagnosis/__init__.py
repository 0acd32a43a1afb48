"""Why something did not start, or stopped: what was said and seen → code, cause, way out. Pure."""

from __future__ import annotations

from deployctl.diagnosis.diagnose import diagnose, recognised, refused
from deployctl.diagnosis.nouns import Evidence, Way

__all__ = ["Evidence", "Way", "diagnose", "recognised", "refused"]
