"""The sheet that the operator signs in with: where a stack is reached, and with which secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.deploy import stack
from deployctl.deploy.credentials import secrets_of
from deployctl.workspace import ADMIN_EMAIL

if TYPE_CHECKING:
    from deployctl.addons.nouns import Page
    from deployctl.model import Plan
    from deployctl.stacksecrets import StackSecrets
    from deployctl.workspace import Workspace


def sheet(space: Workspace, plan: Plan) -> str:
    """What stands in ``credentials``."""
    webui_url, engine_url = stack.addresses(*stack.host_ports(plan))
    secrets = secrets_of(space)
    return (
        f"# How to reach stack {space.stack}. Readable by you alone; keep it so.\n"
        f"chat window:    {webui_url}\n"
        f"{_for_the_neighbours(plan)}"
        f"email:          {ADMIN_EMAIL}\n"
        f"password:       {secrets.admin_password.reveal()}\n\n"
        f"OpenAI API:     {engine_url}\n"
        f"API key:        {secrets.engine_key.reveal()}\n"
        f"model:          {plan.served_name}\n"
    ) + "".join(_of_page(page, secrets) for page in plan.pages)


def _for_the_neighbours(plan: Plan) -> str:
    shared = stack.lan_url(plan)
    return f"in the network: {shared}  (plain HTTP)\n" if shared else ""


def _of_page(page: Page, secrets: StackSecrets) -> str:
    lines = [("", ""), (page.label, page.url)]
    if page.user is not None:
        lines.append(("user", page.user))
    if page.secret is not None:
        word = "token" if page.user is None else "password"
        lines.append((word, secrets.addons[page.secret].reveal()))
    return "".join(f"{f'{name}:':<16}{value}\n" if name else "\n" for name, value in lines)
