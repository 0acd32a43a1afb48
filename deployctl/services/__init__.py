"""Services beside the engine: the frontend, and one file per add-on. Pure."""
