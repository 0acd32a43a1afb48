"""The gateways that were looked at, as processes of this machine: LiteLLM with Redis, and nginx.

nginx reads what the add-on ``cache`` is rendered from, with other paths and another engine.
Everything listens on loopback.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jinja2

from benchmarks.processes import (
    LIBRARIES,
    disk,
    free_port,
    from_debian,
    from_python,
    libraries,
    process,
    wait_until_answers,
)

LITELLM = "1.106.2"
TEMPLATES = Path(__file__).parents[1] / "templates/cache"
_REDIS = ("redis-server", "redis-tools", "liblzf1", "libjemalloc2")
_NGINX = (
    *("nginx", "nginx-common", "libnginx-mod-http-lua", "libnginx-mod-http-ndk", "lua-cjson"),
    *("lua-resty-core", "lua-resty-lrucache", "libluajit2-5.1-2", "libpcre3"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """The engine that is asked; ``url`` without /v1."""

    url: str
    key: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A gateway that answers."""

    url: str
    pids: Mapping[str, int]  # of its first processes, by name
    starting_s: float
    disk: int  # bytes of what it needs, without Python and libraries that Debian has anyway
    kept: Path  # the folder with its answers, where it keeps them in one
    redis_port: int = 0


# ── LiteLLM with Redis ────────────────────────────────────────────────────────────────────────


@contextmanager
def redis(folder: Path) -> Iterator[tuple[int, int]]:
    """Its pid and port."""
    root, port = from_debian("redis", _REDIS), free_port()
    argv = (str(root / "usr/bin/redis-server"), "--port", str(port), "--bind", "127.0.0.1")
    with process(
        (*argv, "--dir", str(folder), "--save", "", "--maxmemory", "256mb"),
        folder,
        libraries(root),
    ) as pid:
        yield pid, port


def redis_says(port: int, *words: str) -> bytes:
    root = from_debian("redis", _REDIS)
    return subprocess.run(
        (str(root / "usr/bin/redis-cli"), "-p", str(port), *words),
        env={**os.environ, **libraries(root)},
        capture_output=True,
        check=True,
        timeout=30,
    ).stdout


#: Lets some keys in, as a gateway with users would; its own keys need a Postgres beside it. The
#: second part is what keeps answers apart by key, and only those at temperature 0.
_HOOKS = """\
from hashlib import sha256
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import UserAPIKeyAuth

async def known(request, api_key):
    if api_key not in {keys}:
        raise Exception("unknown key")
    return UserAPIKeyAuth(api_key=api_key)

class Careful(CustomLogger):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        own = data.setdefault("cache", {{}})
        own["namespace"] = sha256(user_api_key_dict.api_key.encode()).hexdigest()
        if data.get("temperature") != 0:
            own.update({{"no-cache": True, "no-store": True}})
        return data

careful = Careful()
"""


def _litellm_config(upstream: Upstream, redis_port: int, *, careful: bool) -> dict[str, object]:
    engine = {"api_base": f"{upstream.url}/v1", "api_key": upstream.key}
    more = {"callbacks": ["hooks.careful"]} if careful else {}
    return {
        "model_list": [
            {"model_name": each, "litellm_params": {"model": f"openai/{each}", **engine}}
            for each in upstream.models
        ],
        "litellm_settings": {
            "cache": True,
            "cache_params": {
                "type": "redis",
                "host": "127.0.0.1",
                "port": redis_port,
                "ttl": 3600,
                "supported_call_types": ["acompletion", "atext_completion"],
            },
            "enable_caching_on_provider_specific_optional_params": careful,
            **more,
        },
        "general_settings": {"custom_auth": "hooks.known"},
    }


@contextmanager
def litellm(
    upstream: Upstream, keys: tuple[str, ...], folder: Path, *, careful: bool = False
) -> Iterator[Running]:
    """The proxy with its defaults, or as ``careful`` as settings and a hook make it."""
    home, port = from_python(f"litellm-{LITELLM}", f"litellm[proxy]=={LITELLM}"), free_port()
    with redis(folder) as (redis_pid, redis_port):
        config = _litellm_config(upstream, redis_port, careful=careful)
        (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
        (folder / "hooks.py").write_text(_HOOKS.format(keys=keys), encoding="utf-8")
        environment = {
            "LITELLM_MASTER_KEY": f"sk-{secrets.token_hex(32)}",  # without one it does not start
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it asks the internet for prices
            "NO_PROXY": "*",
        }
        argv = (str(home / "bin/litellm"), "--config", "config.yaml", "--host", "127.0.0.1")
        begun = time.monotonic()
        with process(
            (*argv, "--port", str(port), "--telemetry", "False"), folder, environment
        ) as pid:
            url = f"http://127.0.0.1:{port}"
            wait_until_answers(f"{url}/health/liveliness", pid, folder / "litellm.log")
            yield Running(
                url=url,
                pids={"LiteLLM": pid, "Redis": redis_pid},
                starting_s=time.monotonic() - begun,
                disk=disk(home) + disk(from_debian("redis", _REDIS)),
                kept=folder,
                redis_port=redis_port,
            )


# ── nginx ─────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def nginx(upstream: Upstream, keys: tuple[str, ...], folder: Path) -> Iterator[Running]:
    """Debian's nginx with Lua and the add-on's configuration."""
    root, port = from_debian("nginx", _NGINX), free_port()
    for name in ("etc", "tmp/store/answers", "tmp/store/coming"):
        (folder / name).mkdir(parents=True)
    write_configuration(upstream, root, folder, port)
    environment = {
        **libraries(root),
        "ENGINE_KEYS": ",".join(keys),
        "ENGINE_STARTED_AS": "benchmark",
        "ENGINE_WEIGHTS": "benchmark",
        "CACHE_SAMPLED": "false",
        "CACHE_SHARED": "false",
        "CACHE_LIMIT_BYTES": str(256 * 1024**2),
    }
    argv = (str(root / "usr/sbin/nginx"), "-e", "stderr", "-p", str(folder))
    begun = time.monotonic()
    with process((*argv, "-c", str(folder / "etc/nginx.conf")), folder, environment) as pid:
        url = f"http://127.0.0.1:{port}"
        wait_until_answers(f"{url}/health", pid, folder / "nginx.log")
        yield Running(
            url=url,
            pids={"nginx": pid},
            starting_s=time.monotonic() - begun,
            disk=disk(root),
            kept=folder / "tmp/store/answers",
        )


def write_configuration(upstream: Upstream, root: Path, folder: Path, port: int) -> None:
    """The add-on's files, for a place that is not its container."""
    values = {
        "port": f"127.0.0.1:{port}",
        "engine_port": 1,
        "ttl_s": 3600,
        "size_bytes": 256 * 2**20,
    }
    template = (TEMPLATES / "nginx.conf.j2").read_text(encoding="utf-8")
    conf = jinja2.Template(template, undefined=jinja2.StrictUndefined).render(values)
    modules = root / "usr/lib/nginx/modules"
    lua, more = root / "usr/share/lua/5.1", root / LIBRARIES / "lua/5.1"
    loaded = (f"load_module {modules}/{each}_module.so;" for each in ("ndk_http", "ngx_http_lua"))
    for theirs, ours in {
        "include /etc/nginx/modules-enabled/*.conf;": "\n".join(loaded),
        '"engine:1"': f'"{upstream.url.removeprefix("http://")}"',
        '/?.lua;;";': f'/?.lua;{lua}/?.lua;;";\n  lua_package_cpath "{more}/?.so;;";',
        "/tmp/": f"{folder}/tmp/",
        "/etc/gateway": str(folder / "etc"),
    }.items():
        if theirs not in conf:
            sys.exit(f"{TEMPLATES}/nginx.conf.j2 has no {theirs} any more; the benchmark needs it.")
        conf = conf.replace(theirs, ours)
    if os.getuid() == 0:
        conf = f"user root;\n{conf}"
    (folder / "etc/nginx.conf").write_text(conf, encoding="utf-8")
    for each in TEMPLATES.glob("*.lua"):
        text = each.read_text(encoding="utf-8").replace('"/tmp/', f'"{folder}/tmp/')
        (folder / "etc" / each.name).write_text(text, encoding="utf-8")
    shutil.copy(root / "etc/nginx/mime.types", folder / "etc")
