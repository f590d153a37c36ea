"""A PEFT adapter with its classification head, merged into base weights, so that it costs no time
when scoring.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core.errors import RerankerError, first_line
from bench.models.quiet import quiet

_PREFIX = "base_model.model."


def merge(model: Any, folder: Path, untrained: set[str]) -> None:
    """Apply the adapter to a loaded CrossEncoder and merge it. `untrained` names the parameters
    that the base weights lack.

    Raises RerankerError when the adapter does not bring every one of those, or does not fit the
    base.
    """
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
        names = set(file.keys())
    missing = sorted(name for name in untrained if f"{_PREFIX}{name}" not in names)
    if missing:
        raise RerankerError(
            f"{folder.name}: the adapter has no classification head ({', '.join(missing)}); save "
            "it with modules_to_save"
        )
    model[0].model = _merged(model[0].model, folder, names)


def _merged(network: Any, folder: Path, names: set[str]) -> Any:
    """Return the network with the adapter merged, which holds tensors of these names."""
    from peft import PeftModel, get_peft_model_state_dict

    try:
        with quiet():
            adapted = PeftModel.from_pretrained(network, str(folder))
            expected = set(get_peft_model_state_dict(adapted))
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise RerankerError(
            f"{folder.name}: the adapter does not fit the base model: {first_line(error)}"
        ) from error
    if names != expected:
        odd = sorted(names ^ expected)[0].removeprefix(_PREFIX)
        raise RerankerError(
            f"{folder.name}: the adapter does not fit the base model: {odd} is in only one of them"
        )
    return adapted.merge_and_unload()
