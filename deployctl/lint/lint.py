"""Text → findings: reads a file, lets every rule look at it, and shows what they found. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace

from deployctl.errors import Fault
from deployctl.lint import secrets
from deployctl.lint.masking import Masker, bare
from deployctl.lint.nouns import Excerpt, Finding, Found, Linted, Rule, Stack
from deployctl.lint.reading import CODE, Text, read
from deployctl.lint.rules import RULES
from deployctl.lint.services import service_keys, stack_of
from deployctl.lint.tree import Mapping as Map
from deployctl.lint.tree import Place, text_of
from deployctl.lint.writing import Edit, applied
from deployctl.model import Origin
from deployctl.profiles import excerpt
from deployctl.visible import visible

#: Where the guide tells of a rule.
GUIDE = "docs/lint-compose.md"

_NO_SERVICES = "begin with `services:` and, indented below it, a service"

_NO_KEYS = "write below it, indented: `image:` and the image to run"


def lint_all(files: Iterable[tuple[str, bytes]]) -> tuple[Linted, ...]:
    """Lint files given together: what one leaves out, another may say of the same service."""
    texts = [read(content, file) for file, content in files]
    keys = [service_keys(text.root) if text.root else {} for text in texts]
    found = []
    for index, text in enumerate(texts):
        others: dict[str, frozenset[str]] = {}
        for one in (*keys[:index], *keys[index + 1 :]):
            for name, written in one.items():
                others[name] = others.get(name, frozenset()) | written
        found.append(_linted(text, others))
    return tuple(found)


def lint(content: bytes, file: str) -> Linted:
    """Lint one file. Never raises: what cannot be read is the result's fault."""
    return lint_all([(file, content)])[0]


def _linted(text: Text, others: Mapping[str, frozenset[str]]) -> Linted:
    fault = text.fault
    if text.root is not None:
        fault = _no_services(text, text.root, others)
    if fault is not None or text.root is None:
        return Linted(file=text.file, services=(), findings=(), fault=fault)
    stack = stack_of(text, text.root, dict(others))
    return Linted(
        file=text.file,
        services=tuple(service.name for service in stack.services),
        findings=tuple(_findings(stack)),
        fault=None,
    )


def _findings(stack: Stack) -> list[Finding]:
    masker, proof = Masker(secrets.values(stack)), _Proof(stack)
    found: dict[tuple[Place, str, object], Finding] = {}
    for rule in RULES:
        for one in rule.check(stack):
            made = _finding(rule, one, masker, proof)
            # Through an anchor several services have the same line.
            key = (one.at, rule.id, made.corrected if made.corrected else made.message)
            known = found.setdefault(key, made)
            if made.service and made.service not in (known.service, *known.also):
                found[key] = replace(known, also=(*known.also, made.service))
    order = {rule.id: number for number, rule in enumerate(RULES)}
    return sorted(found.values(), key=lambda f: (f.line, f.column, order[f.rule]))


def _finding(rule: Rule, found: Found, masker: Masker, proof: _Proof) -> Finding:
    stack = proof.stack
    edits = tuple(edit for edit in found.edits if edit is not None)
    whole = bool(edits) and len(edits) == len(found.edits) and proof.readable(edits)
    corrected = tuple(_excerpt(stack, edit, masker) for edit in _in_order(edits)) if whole else None
    last = found.last or found.at.line
    return Finding(
        rule=rule.id,
        severity=found.severity or rule.severity,
        file=stack.text.file,
        line=found.at.line,
        column=found.at.column,
        service=found.service.name if found.service else None,
        also=(),
        message=masker.line(found.message, found.at.line, last),
        why=rule.why,
        shown=_lines(stack, found.at.line, last, masker),
        corrected=corrected,
        fix=rule.fix,
        see=f"{GUIDE}#{rule.id}",
    )


@dataclass(slots=True)
class _Proof:
    """Reads a file again as it is corrected: of a strange one, no lines are given at any price.

    ``left`` lines are read so, some hundred findings of any usual file; then it is trusted.
    """

    stack: Stack
    left: int = 40_000

    def readable(self, edits: tuple[Edit, ...]) -> bool:
        lines = self.stack.text.lines
        self.left -= len(lines)
        if self.left < 0:
            return True
        made = "\n".join(applied(lines, edits)).encode("utf-8", "replace")
        text = read(made, self.stack.text.file)
        return text.root is not None and _no_services(text, text.root, self.stack.others) is None


def _in_order(edits: Iterable[Edit]) -> list[Edit]:
    return sorted(edits, key=lambda edit: edit.first)


def _excerpt(stack: Stack, edit: Edit, masker: Masker) -> Excerpt:
    return Excerpt(
        first=edit.first,
        last=edit.last,
        shown=_lines(stack, edit.first, edit.last, masker),
        corrected=tuple(masker.line(line, edit.first, edit.last) for line in edit.lines),
    )


def _lines(stack: Stack, first: int, last: int, masker: Masker) -> tuple[str, ...]:
    lines = stack.text.lines[first - 1 : last]
    return tuple(masker.line(line, number) for number, line in enumerate(lines, start=first))


def _no_services(text: Text, root: Map, others: Container[str]) -> Fault | None:
    """The fault of a file that is YAML and runs nothing."""
    entry = next((e for e in root.entries if e.key.text == "services"), None)
    if entry is not None and isinstance(entry.value, Map) and entry.value.entries:
        return _no_map(text, entry.value, others)
    keys = {e.key.text for e in root.entries}
    if entry is None and "include" in keys:
        return None
    place = entry.key.start if entry else Place(1, 1)
    sentence = "`services` holds no service." if entry else "The file has no `services`."
    hint = _NO_SERVICES
    if entry is None and {"engine", "extends", "model"} & keys:
        hint = f"deployctl profile check {visible(text.file)}  # it looks like a profile"
    elif entry is None and {"kind", "apiVersion"} <= keys:
        hint = "name a Compose file; this one is Kubernetes'"
    elif entry is None and any(_has_image(e.value) for e in root.entries):
        hint = "put `services:` above, and indent what is there by two spaces"
    at = Origin(file=visible(text.file), line=place.line, column=place.column)
    return excerpt.fault(at, [], sentence, hint, code=CODE)


def _no_map(text: Text, services: Map, others: Container[str]) -> Fault | None:
    """The fault of a service that is a number, a word, a list, or nothing in any file."""
    for entry in services.entries:
        merged = entry.key.text == "<<" and not entry.key.style
        elsewhere = entry.key.text in others and text_of(entry) in ("", "~", "null")
        reset = entry.value.tag == "!reset"
        if merged or reset or elsewhere or isinstance(entry.value, Map):
            continue
        at = entry.key.start
        origin = Origin(file=visible(text.file), line=at.line, column=at.column)
        shown = [""] * (at.line - 1) + [bare(line) for line in text.lines[at.line - 1 : at.line]]
        name = excerpt.quoted(entry.key.text)
        sentence = f"The service {name} is no map of keys and values."
        return excerpt.fault(origin, shown, sentence, _NO_KEYS, code=CODE)
    return None


def _has_image(node: object) -> bool:
    return isinstance(node, Map) and any(e.key.text == "image" for e in node.entries)
