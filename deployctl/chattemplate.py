"""What a chat template tells of its model: thinking, tools, and how both are marked. Pure.

The template is looked at as text and never run: it comes with a model, from anywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_JINJA = re.compile(r"\{[{%](.*?)[%}]\}", re.DOTALL)
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_SWITCH = re.compile(r"\bthinking\b")
_TOOLS = re.compile(r"\btools\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """``tools``: the descriptions of tools are shown to the model.

    The parsers are vLLM's names, given only where the marks in the template leave no doubt.
    """

    reasoning: bool
    tools: bool
    reasoning_parser: str | None = None
    tool_parser: str | None = None


def traits_of(template: str, tool_template: str | None = None) -> Traits:
    """Read a template; ``tool_template`` is another one that is used when there are tools."""
    for_tools = tool_template or template
    reasoning = "<think>" in template or "</think>" in template
    tools = _mentions_tools(for_tools)
    return Traits(
        reasoning=reasoning,
        tools=tools,
        reasoning_parser=_reasoning_parser(template) if reasoning else None,
        tool_parser=_tool_parser(for_tools) if tools else None,
    )


def _mentions_tools(template: str) -> bool:
    """Whether the variable ``tools`` is used, not only the word in a sentence to the model."""
    return any(_TOOLS.search(_QUOTED.sub("", code)) for code in _JINJA.findall(template))


def _reasoning_parser(template: str) -> str | None:
    if "<｜Assistant｜>" in template and not _SWITCH.search(template):
        # DeepSeek R1 and what was distilled from it; V3.1 has a switch and marks it otherwise
        return "deepseek_r1"
    if "<|im_start|>" in template and "enable_thinking is false" in template:  # Qwen3
        return "qwen3"
    return None


def _tool_parser(template: str) -> str | None:
    if "<tool_call>" in template and "<|im_start|>" in template and "<function=" not in template:
        return "hermes"  # Qwen2.5 and Qwen3; JSON between the marks
    if "<|start_header_id|>" in template and '"parameters"' in template:
        return "llama3_json"
    return None
