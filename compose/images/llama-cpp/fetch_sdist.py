"""Fetch one source package from the Python index pip is set up for, and unpack one folder of it.

    fetch_sdist.py NAME==VERSION SHA256 FOLDER TARGET

pip itself cannot do this: it runs a source package's build code before it will hand it over.
Reads the index from pip's configuration (PIP_CONFIG_FILE, PIP_INDEX_URL), else pip's own default;
proxies and certificates come from the environment. Writes nothing but TARGET.
"""

from __future__ import annotations

import base64
import glob
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser

TRIES = 4
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
PIP_WHEEL = glob.glob("/usr/share/python-wheels/pip-*.whl")  # Debian's python3-venv
PIP_ENV = {**os.environ, "PYTHONPATH": os.pathsep.join(PIP_WHEEL)}
DEFAULT_INDEX = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"


def ask_python(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], env=PIP_ENV, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


def indexes() -> Iterator[str]:
    """The index addresses in pip's order, those of files left out."""
    settings = {}
    for line in ask_python("-m", "pip", "config", "list").splitlines():
        key, _, value = line.partition("=")
        settings[key] = value.strip("'\"")
    for option in ("index-url", "extra-index-url"):
        places = (":env:", "download", "global")
        value = next((v for p in places if (v := settings.get(f"{p}.{option}"))), "")
        if option == "index-url" and not value:
            value = ask_python("-c", DEFAULT_INDEX)
        yield from (url for url in value.replace("\\n", " ").split() if url.startswith("http"))


def get(url: str, accept: str = "*/*") -> tuple[bytes, str]:
    """One GET: the body and its content type. Credentials in the address become a header."""
    parts = urllib.parse.urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host, fragment="").geturl())
    request.add_header("Accept", accept)
    if user:
        token = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    for attempt in range(1, TRIES + 1):
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return reply.read(), reply.headers.get_content_type()
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == TRIES:
                raise
        except OSError:
            if attempt == TRIES:
                raise
        time.sleep(2 * attempt)
    raise AssertionError("unreachable")


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hrefs += [value for name, value in attrs if tag == "a" and name == "href" and value]


def sdist_links(index: str, name: str, version: str) -> Iterator[str]:
    project = re.sub(r"[-_.]+", "-", name).lower()
    page = f"{index.rstrip('/')}/{project}/"
    body, kind = get(page, ACCEPT)
    if kind.endswith("json"):
        hrefs = [file["url"] for file in json.loads(body)["files"]]
    else:
        links = Links()
        links.feed(body.decode())
        hrefs = links.hrefs
    wanted = re.compile(
        rf"{re.sub('[-_.]+', '[-_.]', project)}-{re.escape(version)}\.tar\.gz$", re.I
    )
    for href in hrefs:
        url = urllib.parse.urljoin(page, href)
        if wanted.search(urllib.parse.urlsplit(url).path):
            user = urllib.parse.urlsplit(index).netloc.rpartition("@")[0]
            parts = urllib.parse.urlsplit(url)
            same_host = parts.hostname == urllib.parse.urlsplit(index).hostname
            if user and same_host and "@" not in parts.netloc:
                url = parts._replace(netloc=f"{user}@{parts.netloc}").geturl()
            yield url


def fetch(name: str, version: str, sha256: str) -> bytes:
    problems = []
    for index in indexes():
        shown = urllib.parse.urlsplit(index).hostname
        try:
            for url in sdist_links(index, name, version):
                body, _ = get(url)
                if hashlib.sha256(body).hexdigest() == sha256:
                    return body
                problems.append(f"{shown}: {name} {version} does not have the pinned sha256")
        except OSError as error:
            problems.append(f"{shown}: {error}")
        else:
            problems.append(f"{shown}: no usable source package of {name} {version}")
    sys.exit("fetch_sdist: " + ("; ".join(problems) or "pip has no index configured"))


def unpack(archive: bytes, folder: str, target: str) -> None:
    """Write FOLDER of the archive (its single top folder left out) as TARGET, plain files only."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            _, _, path = member.name.partition("/")
            if member.isfile() and path.startswith(folder + "/"):
                place = os.path.join(target, path.removeprefix(folder + "/"))
                os.makedirs(os.path.dirname(place), exist_ok=True)
                with tar.extractfile(member) as source, open(place, "wb") as copy:  # type: ignore[union-attr]
                    shutil.copyfileobj(source, copy)


if __name__ == "__main__":
    requirement, digest, source_folder, target_folder = sys.argv[1:]
    package, _, wanted_version = requirement.partition("==")
    unpack(fetch(package, wanted_version, digest), source_folder, target_folder)
