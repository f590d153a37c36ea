"""Families of language models: what was trained from the same weights, or by the same makers, and
likes the same texts. A judge of the family of a ranked model favours it (Balog, Metzler and Qin
2025, arXiv:2503.19092).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MEMBERS: Mapping[str, tuple[str, ...]] = {
    "gpt": ("gpt", "chatgpt", "o1", "o3", "o4"),
    "claude": ("claude",),
    "gemini": ("gemini", "gemma", "bge-reranker-v2-gemma"),
    "qwen": ("qwen", "qwq", "mxbai-rerank-base-v2", "mxbai-rerank-large-v2", "gte-qwen"),
    "llama": ("llama", "codellama", "vicuna", "rank-vicuna", "tulu"),
    "mistral": ("mistral", "mixtral", "ministral", "zephyr", "rank-zephyr"),
    "deepseek": ("deepseek",),
    "command": ("command", "c4ai", "aya", "rerank-v3.5", "rerank-v4.0", "rerank-v5.0"),
    "phi": ("phi",),
    "grok": ("grok",),
    "glm": ("glm", "chatglm"),
    "kimi": ("kimi", "moonshot"),
}
"""Family -> how the names of its models begin, without the name of who publishes them. `mxbai v2`
was trained from Qwen2.5, `bge-reranker-v2-gemma` from Gemma, RankZephyr from Mistral, RankVicuna
from Llama, as their cards say; Cohere's rerankers and chat models have the same makers.
"""


def family_of(model: str) -> str | None:
    """Return the family of a model by its name, such as `Qwen/Qwen3-Reranker-0.6B` or
    `gpt-4.1-mini`; None where the name says nothing.
    """
    name = plain_name(model)
    for family, beginnings in MEMBERS.items():
        pattern = "|".join(map(re.escape, beginnings))
        if re.match(rf"(?:{pattern})(?![a-z])", name):
            return family
    return None


def plain_name(model: str) -> str:
    """Return the last part of a model's name, in lower case, with hyphens between its words."""
    name = model.rstrip("/").replace("\\", "/").split("/")[-1]
    return name.casefold().replace("_", "-").removeprefix("meta-")
