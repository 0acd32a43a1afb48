"""A frontend as its administrator meets it: settings, model rows, functions. Stateful, small."""

from __future__ import annotations

import json
from typing import Any

from deployctl.loopback import Reply
from deployctl.secret import Secret
from tests.fakes import FakeHttp

METRICS = "llamacpp:requests_processing 0\nllamacpp:requests_deferred 0\nllamacpp:n_decode_total {}"


class FakePanel(FakeHttp):
    """Answers the paths that ``status`` and ``reconcile`` ask besides those of readiness."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {"openai.enable": True, "openai.api_configs": {}}
        self.settings |= settings
        self.models: list[dict[str, Any]] = []
        self.functions: list[dict[str, Any]] = []
        self.posted: list[tuple[str, Any]] = []
        self.decodes = 0
        self.stubborn = False  # takes settings and forgets them
        self.refuses = False  # nobody signs in
        self.limits = False  # too many did
        self.engine_silent = self.frontend_silent = False  # it listens and answers nothing
        self.token = "t0ken"

    def call(
        self, url: str, *, token: Secret | None = None, body: Any = None, timeout_s: float
    ) -> Reply:
        path = "/" + url.split("/", 3)[3]
        silent = self.engine_silent if ":8000/" in url else self.frontend_silent
        if silent:
            return Reply(status=0, text="timed out")
        if path == "/metrics":
            self.decodes += 10
            return Reply(status=200, text=METRICS.format(self.decodes))
        if path == "/api/v1/auths/signin":
            self.calls.append(url)
            if self.limits:
                return Reply(status=429, text='{"detail":"Rate limit"}')
            answer = {"detail": "no"} if self.refuses else {"token": self.token}
            return Reply(status=400 if self.refuses else 200, text=json.dumps(answer))
        chats = path.startswith("/api/v1/chats/")  # which the proof saves and deletes one of
        if chats or not path.startswith(("/api/v1/", "/openai/", "/api/models")):
            return super().call(url, token=token, body=body, timeout_s=timeout_s)
        self.calls.append(url)
        if token != Secret(self.token):
            return Reply(status=401, text='{"detail":"Not authenticated"}')
        if body is not None:
            self.posted.append((path, body))
            return Reply(status=200, text=json.dumps(self._posted(path, body)))
        return Reply(status=200, text=json.dumps(self._read(path)))

    def _read(self, path: str) -> Any:
        if path == "/api/models":
            right = self.settings.get("openai.api_keys") != ["wrong"]
            return {"data": [{"id": self.served_name}] if right else []}
        found = {
            "/api/v1/configs/export": self.settings,
            "/api/v1/models/base": self.models,
            "/api/v1/functions/": self.functions,
        }
        return found[path]

    def _posted(self, path: str, body: Any) -> Any:
        if path == "/api/v1/configs/import" and not self.stubborn:
            self.settings |= body["config"]
        elif path == "/openai/config/update":
            self.settings |= {
                "openai.enable": body["ENABLE_OPENAI_API"],
                "openai.api_base_urls": body["OPENAI_API_BASE_URLS"],
                "openai.api_keys": body["OPENAI_API_KEYS"],
                "openai.api_configs": body["OPENAI_API_CONFIGS"],
            }
        elif path == "/api/v1/models/model/delete":
            self.models = [row for row in self.models if row["id"] != body["id"]]
        elif path.endswith("/toggle/global"):
            for row in self.functions:
                if path == f"/api/v1/functions/id/{row['id']}/toggle/global":
                    row["is_global"] = not row["is_global"]
        return {}
