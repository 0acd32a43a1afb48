"""The written forms of a model source, parsed. Pure: looks at text only.

Four forms: ``hf:ORG/REPO[@REV]:FILE``, ``file:/PATH``, ``https://…`` and
``wheel:PACKAGE==VERSION:PATH``. ``hf:ORG/REPO[@REV]`` alone is the whole repository, and the path
of ``file:`` may be a folder. ``bf16:`` before any form that names a GGUF file is the folder of
16-bit tensors that this file becomes here. Everything else is refused with the form that was
probably meant, because a source that is only nearly right would be noticed minutes later, by a
download.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from dataclasses import replace
from typing import NoReturn
from urllib.parse import SplitResult, unquote, urlsplit

from deployctl.errors import DeployctlError, Fault
from deployctl.model import Source

#: What a file name may be long, in bytes: 255 is the limit of Linux file systems, and the store
#: adds suffixes of its own.
_LONGEST_PART = 200

_FORMS = (
    "hf:ORG/REPO:FILE.gguf",
    "hf:ORG/REPO",
    "file:/path/to/FILE.gguf",
    "https://HOST/PATH/FILE.gguf",
    "wheel:PACKAGE==VERSION:PATH/FILE.gguf",
    "bf16:SOURCE",
)

# Names as the hub itself accepts them: no dash or dot at either end, no "--", no "..".
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_REPO = re.compile(rf"{_NAME}/{_NAME}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]*")
_PACKAGE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)

#: Whose two-part addresses are pages about a repository.
_HUB_HOSTS = frozenset({"huggingface.co", "hf.co"})

_KINDS = ("hf", "file", "https", "wheel", "bf16")

_ALIASES = {
    "huggingface": "hf",
    "hub": "hf",
    "pypi": "wheel",
    "pip": "wheel",
    "whl": "wheel",
    "path": "file",
    "local": "file",
    "http": "https",
    "convert": "bf16",
    "bfloat16": "bf16",
}


def is_written_like_one(text: str) -> bool:
    """Whether a source is meant, be it written rightly or not; no name of the catalog is so."""
    if text.startswith((*(f"{kind}:" for kind in (*_KINDS, "http")), ".")):
        return True
    return "/" in text or text.lower().endswith(".gguf")


def parse_source(text: str) -> Source:
    """Parse the written form of a source.

    Raises ``DeployctlError`` (``source-invalid``) whose hint is the form that was probably meant.
    """
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        _refuse(text, "it contains a line break or another control character")
    if text != text.strip():
        _refuse(text, "it begins or ends with a space", meant=text.strip())
    found = _SCHEME.fullmatch(text)
    if found is None:
        _refuse_bare(text)
    kind, rest = found[1], found[2]
    if kind == "hf":
        return _hf(text, rest)
    if kind == "file":
        return _file(text, rest)
    if kind in ("https", "http"):
        return _url(text)
    if kind == "bf16":
        return _converted(text, rest)
    if kind != "wheel":
        _refuse_scheme(text, kind, rest)
    return _wheel(text, rest)


def _hf(text: str, rest: str) -> Source:
    if rest.startswith("//"):
        _refuse(text, "the form has no slashes after `hf:`", meant=_as_hf(rest.strip("/")))
    place, colon, path = rest.partition(":")
    repo, at, revision = place.partition("@")
    if not colon and (repo.count("/") > 1 or repo.lower().endswith(".gguf")):
        problem = "it does not name a file of the repository (put it after a second colon)"
        _refuse(text, problem, meant=_as_hf(rest))
    if at and not revision:
        _refuse(text, "nothing follows the `@`", meant=f"hf:{repo}{colon}{path}")
    if not _REPO.fullmatch(repo) or "--" in repo or ".." in repo:
        meant = f"hf:ORG/{repo}{colon}{path}" if repo and "/" not in repo else None
        _refuse(text, f"`{repo}` is not a repository of the form ORG/REPO", meant=meant)
    if revision and (not _REVISION.fullmatch(revision) or ".." in revision):
        _refuse(text, f"`{revision}` is not a branch, tag or commit")
    if colon:
        _check_inner_path(text, path)
    return Source(kind="hf", text=text, repo=repo, revision=revision or "main", path=path)


def _file(text: str, rest: str) -> Source:
    path = rest
    if rest.startswith("//"):
        # The URL form of a path: an empty host, percent escapes.
        try:
            url = urlsplit(text)
        except ValueError as error:
            _refuse(text, f"it is not a URL ({error})", meant="file:/path/to/FILE.gguf")
        if url.netloc not in ("", "localhost"):
            meant = f"file:/{url.netloc}{url.path}"
            _refuse(text, "a file of another machine cannot be used", meant=meant)
        path = unquote(url.path)
    if not path.strip("/"):
        _refuse(text, "it names no file", meant="file:/path/to/FILE.gguf")
    source = Source(kind="file", text=text, path=path.rstrip("/"))
    if source.path == "~" or source.filename in ("", ".", ".."):
        _refuse(text, "it names no file", meant="file:/path/to/FILE.gguf")
    if path.startswith("~/"):
        return source
    if path.startswith("$"):
        problem = "variables are not expanded here"
        _refuse(text, problem, meant=f"file:/path/to/{path.rpartition('/')[2]}")
    if not path.startswith("/"):
        _refuse(
            text,
            "the path is not complete, and it would mean different files in different folders",
            meant=f"file:$PWD/{path.removeprefix('./')}",
        )
    return source


def _url(text: str) -> Source:
    try:
        url = urlsplit(text)
        host, _port = url.hostname, url.port
    except ValueError as problem:
        _refuse(text, f"it is not a URL ({problem})")
    if not text.startswith(f"{url.scheme}://") or not host:
        _refuse(text, "it names no host", meant=f"{url.scheme}://{url.path.lstrip('/')}")
    _check_url_is_safe(text, url, host)
    parts = [part for part in url.path.split("/") if part]
    if len(parts) >= 5 and parts[2] == "blob":
        # What the address bar shows for a file of the hub is a web page about that file.
        org, repo, _, revision, *path = parts
        meant = f"hf:{org}/{repo}@{revision}:{unquote('/'.join(path))}"
        _refuse(text, "this address is a web page about the file, not the file", meant=meant)
    if len(parts) == 4 and parts[2] == "tree":
        meant = f"hf:{parts[0]}/{parts[1]}@{parts[3]}"
        _refuse(text, "this address is a web page about the repository", meant=meant)
    if len(parts) == 2 and host in _HUB_HOSTS:
        meant = f"hf:{parts[0]}/{parts[1]}"
        _refuse(text, "this address is a web page about the repository", meant=meant)
    if not parts or url.path.endswith("/"):
        _refuse(text, "it names no file", meant=f"{text.split('?')[0].rstrip('/')}/FILE.gguf")
    if url.fragment:
        _refuse(text, "a file has no `#` part", meant=text.partition("#")[0])
    _check_parts(text, parts)
    return Source(kind="https", text=text, path=text)


def _check_url_is_safe(text: str, url: SplitResult, host: str) -> None:
    if url.username is not None or url.password is not None:
        meant = text.replace(url.netloc, url.netloc.rpartition("@")[2], 1)
        _refuse(
            # The message goes to terminals and logs: it must not repeat a password.
            meant,
            "a user name or password does not belong into it (put them into ~/.netrc)",
            meant=meant,
        )
    if url.scheme == "http" and not _is_loopback(host):
        _refuse(
            text,
            "without encryption anyone on the way could replace the model "
            "(http:// is accepted for this machine itself only)",
            meant=f"https{text.removeprefix('http')}",
        )


def _wheel(text: str, rest: str) -> Source:
    requirement, colon, path = rest.partition(":")
    package, equals, version = requirement.partition("==")
    if not equals:
        name, loose, number = re.match(r"([^=<>~!@ ]*)([=<>~!@ ]*)(.*)", requirement).groups()  # type: ignore[union-attr]  # matches any text
        guess = number if loose and number else "VERSION"
        meant = f"wheel:{name or 'PACKAGE'}=={guess}:{path or 'PATH/FILE.gguf'}"
        _refuse(text, "it does not pin the version with `==`", meant=meant)
    if not colon or not path:
        meant = f"wheel:{requirement}:PATH/FILE.gguf"
        _refuse(text, "it does not name a file inside the wheel", meant=meant)
    if not _PACKAGE.fullmatch(package):
        _refuse(text, f"`{package}` is not the name of a package")
    if not _VERSION.fullmatch(version):
        _refuse(text, f"`{version}` is not one exact version")
    _check_inner_path(text, path)
    return Source(kind="wheel", text=text, repo=package, revision=version, path=path)


def _converted(text: str, rest: str) -> Source:
    try:
        inner = parse_source(rest)
    except DeployctlError as error:
        raise DeployctlError.of(tuple(_behind_bf16(fault) for fault in error.faults)) from error
    if inner.inner is not None:
        _refuse(text, "it is in 16 bits already after the first `bf16:`", meant=rest)
    if not inner.filename.lower().endswith(".gguf") or inner.filename.lower() == ".gguf":
        what = "a whole repository" if inner.is_folder else f"`{inner.filename}`"
        # A folder is meant as it is; of any other file vLLM makes nothing either.
        meant = rest if inner.is_folder or "." not in inner.filename else None
        _refuse(text, f"`bf16:` is made of one GGUF file, and {what} is none", meant=meant)
    return Source(kind="bf16", text=text, inner=inner)


def _behind_bf16(fault: Fault) -> Fault:
    """What is wrong with the source behind ``bf16:``, said of the whole."""
    return replace(
        fault,
        message=fault.message.replace("source `", "source `bf16:", 1),
        hint=fault.hint.replace("mean `", "mean `bf16:", 1),
    )


def _check_inner_path(text: str, path: str) -> None:
    if not path or path.endswith("/"):
        _refuse(text, "it does not name a file", meant=f"{text}FILE.gguf")
    if path.startswith("/"):
        _refuse(text, "a path inside begins without a slash", meant=text.replace(":/", ":", 1))
    if ":" in path or "\\" in path:
        _refuse(text, f"the file name `{path}` contains a colon or a backslash")
    _check_parts(text, path.split("/"))


def _check_parts(text: str, parts: list[str]) -> None:
    for part in parts:
        if part in ("", ".", ".."):
            _refuse(text, "its path has an empty part, `.` or `..`")
        if len(part.encode("utf-8", "surrogatepass")) > _LONGEST_PART:
            _refuse(text, f"a part of its path is longer than {_LONGEST_PART} bytes")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _as_hf(rest: str) -> str:
    """The hub form nearest to ``ORG/REPO…``, with capitals where something is missing."""
    parts = [part for part in re.split(r"[/:]", rest) if part]
    if len(parts) == 2 and parts[1].lower().endswith(".gguf"):
        parts.insert(1, "REPO")
    org, repo, *path = parts + ["ORG", "REPO"][len(parts) :]
    return f"hf:{org}/{repo}:{'/'.join(path)}" if path else f"hf:{org}/{repo}"


def _refuse_bare(text: str) -> NoReturn:
    if not text:
        _refuse(text, "it is empty")
    if text.startswith(("/", "~/")):
        _refuse(text, "a path needs `file:` before it", meant=f"file:{text}")
    if text.startswith(("./", "../")) or (text.lower().endswith(".gguf") and "/" not in text):
        meant = f"file:$PWD/{text.removeprefix('./')}"
        _refuse(text, "a path needs `file:` before it and must be complete", meant=meant)
    if "==" in text:
        _refuse(text, "a package needs `wheel:` before it", meant=f"wheel:{text}:PATH/FILE.gguf")
    if "/" in text and re.fullmatch(r"[\w.@:/-]+", text):
        problem = "a repository of the model hub needs `hf:` before it"
        _refuse(text, problem, meant=_as_hf(text))
    _refuse(text, "it begins with none of " + ", ".join(f"`{kind}:`" for kind in _KINDS))


def _refuse_scheme(text: str, kind: str, rest: str) -> NoReturn:
    low = kind.lower()
    close = difflib.get_close_matches(low, _KINDS, n=1, cutoff=0.6)
    known = _ALIASES.get(low) or (close[0] if close else None)
    problem = f"`{kind}:` is not a known kind of source"
    _refuse(text, problem, meant=f"{known}:{rest}" if known else None)


def _refuse(text: str, problem: str, *, meant: str | None = None) -> NoReturn:
    shown = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    raise DeployctlError(
        f"The model source `{shown}` cannot be used: {problem}.",
        code="source-invalid",
        hint=f"Did you mean `{meant}`?"
        if meant
        else "Write one of: " + ", ".join(f"`{form}`" for form in _FORMS),
    )
