"""Setting up Docker on a bare machine: look (system), decide (plan), do (apply).

A Docker that works is never touched. Everything that will be run is known, and can be shown,
before anything is run.
"""
