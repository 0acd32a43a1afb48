"""What a model's own files say, as keys of a profile's ``model`` block. Pure: data in, data out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from deployctl.chattemplate import traits_of
from deployctl.hfconfig import ConfigError, format_of, sampling_of, shape_of, templates_of

if TYPE_CHECKING:
    from deployctl.gguf import GgufHeader
    from deployctl.model import ModelShape

Said = dict[str, Any]

#: File name → its bytes, ``None`` when the repository has no such file.
ReadFile = Callable[[str], bytes | None]

#: Where the hub's names of licences differ from SPDX.
_SPDX = {
    "mit": "MIT",
    "apache-2.0": "Apache-2.0",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-2-clause": "BSD-2-Clause",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "gpl-3.0": "GPL-3.0-only",
    "agpl-3.0": "AGPL-3.0-only",
}

#: What the schema of profiles takes; a shape beyond it is no model that an engine here runs.
_LIMITS = {
    "layers": (1, 1024),
    "hidden": (8, 1 << 17),
    "feed_forward": (8, 1 << 20),
    "heads": (1, 1024),
    "kv_heads": (1, 1024),
    "head_dim": (1, 4096),
    "vocabulary": (8, 1 << 22),
    "trained_context": (16, 1 << 24),
}


class UnreadableError(Exception):
    """The files cannot be understood; the text is a whole sentence without a full stop."""


def spdx(written: str | None) -> str:
    """The licence by its SPDX name where it has one; ``unknown`` when nobody says it."""
    text = (written or "").strip()
    return _SPDX.get(text.lower(), text[:200]) or "unknown"


def title_of(filename: str) -> str:
    """What to call a model of which only the file's name is known."""
    return re.sub(r"\.gguf$", "", filename, flags=re.IGNORECASE)[:200]


def said_by_header(header: GgufHeader, filename: str, size_bytes: int) -> Said:
    """A GGUF file of ``size_bytes``. Raises ``UnreadableError``."""
    title = title_of(filename)
    said: Said = {
        **_basics(title, size_bytes),
        "license": spdx(header.license),
        "sampling": sampling_of({}),
        **_traits(header.chat_template, None, known=header.complete),
    }
    if header.format is not None:
        said["format"] = header.format
    if header.shape is not None:
        said["shape"] = _shape(header.shape)
    return said


def said_by_folder(read: ReadFile, title: str, size_bytes: int) -> Said:
    """A folder with ``config.json``, its tensors ``size_bytes``. Raises ``UnreadableError``."""
    config = _json(read, "config.json")
    try:
        shape = shape_of(config)
    except ConfigError as problem:
        raise UnreadableError(str(problem)) from problem
    form = format_of(config)
    named = form is None or form.lower() in title.lower()
    said: Said = {
        **_basics(title, size_bytes),
        "name": title if named else f"{title} {str(form).upper()}",
        "license": "unknown",
        "sampling": sampling_of(_json(read, "generation_config.json")),
        **_traits(*_templates(read), known=True),
    }
    if form is not None:
        said["format"] = form
    if shape is not None:
        said["shape"] = _shape(shape)
    return said


def _basics(title: str, size_bytes: int) -> Said:
    served = re.sub(r"[^a-z0-9._-]+", "-", title.lower()).strip("._-")[:96] or "my-model"
    return {
        "name": title[:200],
        "served_name": served,
        "size": f"{size_bytes}B",
        "tools": False,  # whether the model is to call tools is the operator's to say
        "gated": False,
    }


def _templates(read: ReadFile) -> tuple[str | None, str | None]:
    """The chat template of a folder, and that for tools; a file of its own goes first."""
    own = read("chat_template.jinja")
    if own is not None:
        return own.decode("utf-8", "replace"), None
    for name in ("tokenizer_config.json", "chat_template.json"):
        plain, for_tools = templates_of(_json(read, name))
        if plain is not None:
            return plain, for_tools
    return None, None


def _traits(template: str | None, for_tools: str | None, *, known: bool) -> Said:
    """``known``: all that there is was read, so that no template means that there is none."""
    if template is None:
        return {"reasoning": False, **({"tool_template": False} if known else {})}
    traits = traits_of(template, for_tools)
    said: Said = {"reasoning": traits.reasoning, "tool_template": traits.tools}
    if traits.reasoning_parser is not None:
        said["reasoning_parser"] = traits.reasoning_parser
    if traits.tool_parser is not None:
        said["tool_parser"] = traits.tool_parser
    return said


def _shape(shape: ModelShape) -> dict[str, Any]:
    said = asdict(shape)
    for key, (low, high) in _LIMITS.items():
        if not low <= said[key] <= high:
            raise UnreadableError(f"its `{key}` would be {said[key]}, which no model has")
    return said


def _json(read: ReadFile, name: str) -> Mapping[str, Any]:
    """The object in a file; an empty one when there is no such file."""
    raw = read(name)
    if raw is None:
        return {}
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as problem:
        raise UnreadableError(f"{name} is not JSON ({problem})") from problem
    if not isinstance(data, Mapping):
        raise UnreadableError(f"{name} holds no map of keys")
    return data
