r"""Check results as JUnit XML, which every CI system shows. Pure.

One ``testsuite`` with one ``testcase`` for each check. XML 1.0 has no place for most control
characters, not even escaped, and logs and models write any of them: they are shown as ``\x1b``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from deployctl.outcomes import CheckResult

#: What XML 1.0 allows (section 2.2) is all but these; surrogates cannot be encoded either.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """The text with every character that XML cannot hold written as its number."""
    return _NOT_XML.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def junit(
    checks: Sequence[CheckResult],
    *,
    suite: str,
    properties: Mapping[str, str],
    seconds: float,
) -> str:
    """Write a report: ``suite`` names it, ``properties`` say of what. ``seconds`` is for it all.

    A warning passes, and says in ``system-out`` what it warns of.
    """
    counts = {
        "name": xml_text(suite),
        "tests": str(len(checks)),
        "failures": str(sum(check.status == "failed" for check in checks)),
        "errors": "0",
        "time": f"{seconds:.3f}",
    }
    skipped = {"skipped": str(sum(check.status == "skipped" for check in checks))}
    root = ET.Element("testsuites", counts)  # which has no `skipped` in Jenkins' schema (junit-10)
    found = ET.SubElement(root, "testsuite", {**counts, **skipped})
    listed = ET.SubElement(found, "properties")
    for name, value in properties.items():
        ET.SubElement(listed, "property", {"name": xml_text(name), "value": xml_text(value)})
    for check in checks:
        _case(found, check, suite)
    ET.indent(root)
    # In ASCII, with the rest as numbers: whole on a stdout of any encoding.
    written: bytes = ET.tostring(root, encoding="us-ascii", xml_declaration=True)
    return written.decode("ascii")


def _case(above: ET.Element, check: CheckResult, suite: str) -> None:
    named = {"name": check.name, "classname": suite, "time": f"{check.seconds:.3f}"}
    case = ET.SubElement(above, "testcase", {key: xml_text(value) for key, value in named.items()})
    if check.status == "failed":
        message = {"message": xml_text(check.summary), "type": xml_text(check.code or "failed")}
        ET.SubElement(case, "failure", message).text = xml_text(_told(check))
    elif check.status == "skipped":
        ET.SubElement(case, "skipped", {"message": xml_text(check.summary)})
    else:
        ET.SubElement(case, "system-out").text = xml_text(_told(check))


def _told(check: CheckResult) -> str:
    where = (f"where: {check.where}",) if check.where else ()
    hint = (f"next: {check.hint}",) if check.hint else ()
    return "\n".join((check.summary, *where, *check.details, *hint))
