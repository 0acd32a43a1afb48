"""Image sources: here already, pulled through the operator's mirrors, built from packages."""

from deployctl.images.store import ImageStore

__all__ = ["ImageStore"]
