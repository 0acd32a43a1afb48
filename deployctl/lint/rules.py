"""All rules, in the order of the guide. Pure."""

from __future__ import annotations

from deployctl.lint import (
    claims,
    connecting,
    frontend,
    general,
    gpu,
    health,
    images,
    keeping,
    llama_cpp,
    modelnames,
    models,
    ports,
    rights,
    secrets,
    urls,
    vllm,
    vllm_around,
    waiting,
)
from deployctl.lint.nouns import Rule

RULES: tuple[Rule, ...] = (
    *general.RULES,
    *images.RULES,
    *models.RULES,
    *modelnames.RULES,
    *vllm.RULES,
    *vllm_around.RULES,
    *llama_cpp.RULES,
    *gpu.RULES,
    *frontend.RULES,
    *connecting.RULES,
    *urls.RULES,
    *ports.RULES,
    *rights.RULES,
    *health.RULES,
    *waiting.RULES,
    *keeping.RULES,
    *secrets.RULES,
    *claims.RULES,
)
