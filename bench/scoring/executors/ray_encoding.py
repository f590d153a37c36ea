"""What an actor does that encodes texts: build a first stage from its recipe, and give the
embeddings of what it is handed. Not for people to call.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench import retrieval
from bench.contract.encoding import EncodedTexts
from bench.contract.recipe import Recipe
from bench.core.errors import BenchError, RerankerError
from bench.core.outsiders import outsiders_code
from bench.retrieval.base import BaseFirstStage
from bench.scoring.executors import messages
from bench.scoring.executors.ray_actor import Actor


class EncodingReply(NamedTuple):
    """The embeddings of some texts, or the line of what was raised over them."""

    texts: EncodedTexts | None
    error: str = ""


class EncodingActor(Actor):
    """Encodes documents."""

    _stage: BaseFirstStage

    def work(self, texts: Sequence[str]) -> EncodingReply:
        """Return the embeddings of texts."""
        begin = time.perf_counter()
        try:
            with outsiders_code(), TemporaryDirectory() as folder:
                cut = self._stage.encode_into(texts, Path(folder))
                files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        except BenchError as error:
            return EncodingReply(None, messages.of_error(error))
        return EncodingReply(EncodedTexts(files, cut, time.perf_counter() - begin))

    def _loaded(self, recipe: Recipe) -> Mapping[str, Any]:
        base_dir = Path(recipe.base_dir)
        self._stage = retrieval.build(recipe.name, recipe.options, base_dir, recipe.device)
        return self._stage.load_encoder()


def encoded_texts(reply: EncodingReply) -> EncodedTexts:
    """Return the embeddings of a reply. Raises what was raised over the texts."""
    if reply.texts is None:
        messages.message_of(reply.error)
        raise RerankerError("an actor encoded nothing")
    return reply.texts
