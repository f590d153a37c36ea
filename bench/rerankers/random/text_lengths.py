"""How many tokens texts have, where a model's own tokenizer is not at hand: as another model's
counts them, or by their characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.core.errors import Unavailable
from bench.models.weights import MODELS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STAND_IN = "all-MiniLM-L6-v2"
CHARACTERS = 4.0
"""Characters per token where no tokenizer is at hand: the usual rule of thumb for English."""


class TextLengths:
    """Counts tokens with the tokenizer that comes with a package, where that is installed. `rule`
    says how.
    """

    def __init__(self) -> None:
        self._core: Any = _stand_in()
        self.rule = f"as {STAND_IN}'s tokenizer counts them"
        if self._core is None:
            self.rule = f"{CHARACTERS:g} characters a token, a rule of thumb for English"

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens of each text, without special ones. Shape: (len(texts),)."""
        import numpy as np

        if self._core is None:
            characters = np.array([len(text) for text in texts], dtype=np.float64)
            return np.ceil(characters / CHARACTERS).astype(np.int64)
        encodings = self._core.encode_batch_fast(list(texts), add_special_tokens=False)
        return np.array([len(encoding.ids) for encoding in encodings], dtype=np.int64)


def _stand_in() -> Any:
    try:
        from tokenizers import Tokenizer

        folder = MODELS[STAND_IN].folder()
    except (ImportError, Unavailable):
        return None
    core = Tokenizer.from_file(str(folder / "tokenizer.json"))
    core.no_padding()
    core.no_truncation()
    return core
