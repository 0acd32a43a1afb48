"""Checks of what programs ask of a model: JSON of a given form, and calls of tools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from deployctl.verify.answers import budget
from deployctl.verify.ask import chat, content, dig, get, good, question, quoted, told
from deployctl.verify.nouns import Seen, doubtful, failed, ok, skipped

if TYPE_CHECKING:
    from deployctl.loopback import Reply
    from deployctl.verify.nouns import Subject

_COLOURS = ("red", "green", "blue")

#: What must come back, in JSON Schema.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "colour": {"type": "string", "enum": list(_COLOURS)},
        "count": {"type": "integer"},
    },
    "required": ["colour", "count"],
    "additionalProperties": False,
}

_NAME = "record_paint"
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": _NAME,
        "description": "Records how many cans of paint of which colour are wanted.",
        "parameters": SCHEMA,
        # vLLM 0.32 holds arguments to their form only where the tool asks for it (seen: a mere
        # string came instead).
        "strict": True,
    },
}
_ASK = "I want three cans of blue paint. Record that."

#: Tokens that the few words of the schema may take, blanks included.
_TOKENS = 96


def fault_of(text: str) -> str | None:
    """What keeps a text from being an instance of :data:`SCHEMA`; ``None`` when it is one."""
    try:
        value = json.loads(text)
    except ValueError:
        return f"no JSON: {quoted(text)}"
    if not isinstance(value, dict) or set(value) != {"colour", "count"}:
        return f"not the two keys that were asked for: {quoted(text)}"
    if value["colour"] not in _COLOURS:
        return f"colour {value['colour']!r} is none of {', '.join(_COLOURS)}"
    if type(value["count"]) is not int:  # True is an int as well
        return f"count {value['count']!r} is no whole number"
    return None


def json_schema(subject: Subject) -> Seen:
    """``json-schema``: the engine holds the model to a form; the result is parsed and compared."""
    form = {"name": "paint", "strict": True, "schema": SCHEMA}
    asked = question(
        subject,
        _ASK,
        max_tokens=budget(subject, _TOKENS),
        response_format={"type": "json_schema", "json_schema": form},
    )
    reply = chat(subject, asked)
    if not good(reply):
        return failed(f"was not answered: {told(reply)}", subject.logs)
    text = content(dig(reply.data, "choices", 0, "message"))
    if fault := fault_of(text):
        return failed(f"the answer does not follow the schema: {fault}", subject.logs)
    return ok(f"{json.dumps(json.loads(text))} follows the schema")


def _no_place(subject: Subject) -> str | None:
    """Why this engine cannot be asked to call a tool; ``None`` when it can."""
    if not subject.wanted.tool_parser:
        return "the engine was started without a parser for tool calls: the profile asks for none"
    if subject.wanted.engine == "llama.cpp":
        able = dig(get(subject, "/props").data, "chat_template_caps", "supports_tools")
        if able is False and not subject.wanted.tools:
            return "the model's template has no place for tools, and the profile asks for none"
    return None


def forced(subject: Subject) -> Seen:
    """``tool-call-forced``: told to call a tool, it does, with valid arguments.

    llama-server b11434 takes a named tool for ``auto`` and says so in its log; ``required`` with
    one tool asks for the same. Its grammar lets words come first (seen: ``until-168? tool-calls``),
    and a small model may never end them. Begun for it, as the template begins a call, the answer
    is held to the rest by that same grammar, and then it must come.
    """
    if why_not := _no_place(subject):
        return skipped(why_not)
    if subject.wanted.engine != "llama.cpp":
        named = {"type": "function", "function": {"name": _NAME}}
        return _judged(subject, _call(subject, named), must=True)
    begun = _beginning(subject)
    reply = _call(subject, "required", begun)
    if begun and not good(reply):  # some templates that think refuse an answer that is begun
        begun, reply = "", _call(subject, "required")
    return _judged(subject, reply, must=bool(begun))


def _beginning(subject: Subject) -> str:
    """What the model's template writes before the name of a called tool; '' where that is unknown.

    Found by having the engine write a conversation with a call: it goes on from the question.
    """
    asked = [{"role": "user", "content": _ASK}]
    function = {"name": _NAME, "arguments": '{"colour": "red", "count": 1}'}
    called: list[dict[str, Any]] = [
        {"id": "call00001", "type": "function", "function": function},
    ]
    done = [
        {"role": "assistant", "content": "", "tool_calls": called},
        {"role": "tool", "tool_call_id": "call00001", "content": "done"},
    ]
    written = [
        dig(get(subject, "/apply-template", {"messages": m, "tools": [TOOL]}).data, "prompt")
        for m in (asked, [*asked, *done])
    ]
    question_only, whole = (text if isinstance(text, str) else "" for text in written)
    if not question_only or not whole.startswith(question_only):
        return ""
    before, name, _ = whole.removeprefix(question_only).partition(_NAME)
    return before if name else ""


def automatic(subject: Subject) -> Seen:
    """``tool-call-auto``: offered a tool that fits, the model calls it by itself."""
    if not subject.wanted.tools:
        return skipped("the profile does not say that the model can use tools (model.tools)")
    return _judged(subject, _call(subject, "auto"), must=False)


def _call(subject: Subject, choice: object, begun: str = "") -> Reply:
    body = question(
        subject,
        _ASK,
        max_tokens=budget(subject, 2 * _TOKENS),
        tools=[TOOL],
        tool_choice=choice,
        parallel_tool_calls=False,
    )
    if begun:
        body["messages"] = [*body["messages"], {"role": "assistant", "content": begun}]
    return chat(subject, body)


def _judged(subject: Subject, reply: Reply, *, must: bool) -> Seen:
    if not good(reply):
        return failed(f"a request with a tool was not answered: {told(reply)}", subject.logs)
    message = dig(reply.data, "choices", 0, "message")
    function = dig(message, "tool_calls", 0, "function")
    if function is None:
        said = f"the model called no tool and said {quoted(content(message))}"
        if must:
            return failed(said, subject.way.with_set(("model.tools", "false")))
        again = f"deployctl verify --only tool-call-auto,tool-call-forced --stack {subject.stack}"
        return doubtful(said, again)
    name, arguments = dig(function, "name"), dig(function, "arguments")
    if name != _NAME:
        return failed(f"the call names {name!r}, not {_NAME}", subject.logs)
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    if fault := fault_of(text):
        return failed(f"the call's arguments are wrong: {fault}", subject.logs)
    return ok(f"called {_NAME} with {json.dumps(json.loads(text))}")
