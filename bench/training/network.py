"""The model that is trained: loaded from its base, with low-rank adapters where the recipe says so,
and saved as a standard model folder.

Low-rank adapters: Hu et al. 2021, arXiv:2106.09685, by peft.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import rerankers
from bench.catalogue import entries
from bench.contract.identity import Checkpoint
from bench.contract.requirement import Package, Requirement
from bench.contract.stage import Reranker
from bench.core.errors import RerankerError, SuiteError, Unavailable, nearest_of_many
from bench.datasets.leaks import Seen
from bench.models import checkpoint, headers, seen_queries, sentence_transformer
from bench.models.quiet import quiet
from bench.models.saving import saving
from bench.models.weights import Adapter, Weights, adapter_folder, folder_hash
from bench.rerankers.local.cross_encoder import complete
from bench.training.kinds import KINDS, Kind
from bench.training.options import Lora
from bench.training.recipe import Recipe

EXTRA = "train"
PACKAGES = ("sentence_transformers", "datasets", "accelerate")
LIBRARIES = (
    "sentence-transformers",
    "transformers",
    "torch",
    "accelerate",
    "datasets",
    "tokenizers",
)
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
"""The settings of BERT's kind that say which share of its values a network drops in training."""


class Base:
    """The weights that a recipe begins with, looked up and not loaded."""

    def __init__(self, recipe: Recipe, device: str) -> None:
        self.recipe = recipe
        self.device = device
        self.kind: Kind = KINDS[recipe.kind]
        self.reranker: Reranker = self._reranker()
        self.options: Any = self.reranker.options
        self.weights = Weights(self.options.model, self.options.revision)

    def _reranker(self) -> Reranker:
        """Return the base as a reranker. Raises SuiteError for one without weights to train."""
        recipe = self.recipe
        base = str(recipe.base)
        options: dict[str, str] = {}
        if recipe.head is not None:
            options["head"] = recipe.head
        entry = entries.load().get(base)
        trainable = {kind.backend for kind in KINDS.values()}
        if entry is None:
            self._refuse_slip(base, trainable)
            options["model"] = base
            return rerankers.build(self.kind.backend, options, self.device, recipe.base_dir)
        if entry.backend not in trainable:
            raise recipe.problem(
                ("base",), f"'{base}' is of kind {entry.backend}, which is not trained here"
            )
        return rerankers.build(base, options, self.device, recipe.base_dir)

    def _refuse_slip(self, base: str, trainable: Collection[str]) -> None:
        """Raise SuiteError for a name that is no folder and can be no hub id: a slip of one of the
        catalogue.
        """
        if "/" in base or ":" in base or (self.recipe.base_dir / base).exists():
            return
        names = [name for name, entry in entries.load().items() if entry.backend in trainable]
        raise self.recipe.problem(
            ("base",),
            f"'{base}' is no model of the catalogue, no folder and no hub id such as owner/name: "
            + nearest_of_many(base, names, "rerank-bench list rerankers"),
        )

    @property
    def adapter(self) -> str | None:
        """The adapter that belongs to the weights."""
        return dict(self.options).get("adapter")

    @property
    def head(self) -> str | None:
        """How a cross-encoder comes to its scores; None of weights of another kind."""
        return dict(self.options).get("head")

    @property
    def seen(self) -> list[Seen]:
        """What the base has seen, where it was trained by a recipe."""
        with self._named():
            return seen_queries.seen_by(self.weights, self.adapter)

    @property
    def _has_adapters(self) -> bool:
        return self.recipe.lora is not None or bool(self.adapter)

    def libraries(self) -> list[str]:
        """Return the packages whose versions decide the weights."""
        if self._has_adapters:
            return [*LIBRARIES, "peft"]
        return list(LIBRARIES)

    def requirements(self) -> list[Requirement]:
        """Return what training needs: packages, a device, weights."""
        return [*self._tools(), *self._files()]

    def _tools(self) -> list[Requirement]:
        requirements: list[Requirement] = [Package(name, EXTRA) for name in PACKAGES]
        if self._has_adapters:
            requirements.append(Package("peft", EXTRA))
        return [*requirements, sentence_transformer.Device(self.device)]

    def _files(self) -> list[Requirement]:
        if self.adapter:
            return [self.weights, Adapter(self.adapter)]
        return [self.weights]

    def require(self) -> None:
        """Raise Unavailable for a package or a device that is not here, SuiteError for weights that
        are not here or cannot be used, and for an adapter that would have no weights to go with.
        """
        lora = self.recipe.lora
        if lora is not None and not lora.merge and self.adapter:
            raise self.recipe.problem(
                ("lora",),
                f"{self.recipe.base} has an adapter already, and a second one alone has no weights "
                "to go with: leave out merge: false, which saves a whole model",
            )
        for requirement in self._tools():
            requirement.require()
        with self._named():
            for requirement in self._files():
                requirement.require()
            folder = self.weights.unnamed_folder()
            if folder is not None:
                self._refuse_files(folder)

    def _refuse_files(self, folder: Path) -> None:
        """Raise RerankerError for what a folder's files show before they are loaded."""
        label = self.weights.label
        values = headers.config(label, folder)
        headers.tensors(label, folder)
        if values is None or self.kind.model != "CrossEncoder":
            return
        headers.refuse_unknown_kind(label, values)
        if values.get("is_encoder_decoder"):
            checkpoint.refuse_configuration(self.weights, self.options)
        names = headers.label_names(values)
        if names is not None and len(names) > 1:
            raise RerankerError(
                f"{label}: a head of {len(names)} labels ({', '.join(names)}), and what is trained "
                "here gives one score: begin with a model of one label, or with an encoder"
            )

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Name the line of the recipe that has the base, whatever is wrong with that."""
        try:
            yield
        except (Unavailable, RerankerError) as error:
            raise self.recipe.problem(("base",), error) from error

    def checkpoint(self) -> Checkpoint:
        """Return which weights these are."""
        if not self.adapter:
            return self.weights.checkpoint()
        return self.weights.checkpoint(f"sha256:{folder_hash(adapter_folder(self.adapter))}")

    def load(self) -> Any:
        """Return the model, in float32, every weight of it trainable; a cross-encoder has one
        label. Draws what the weights lack from torch's generator. Raises SuiteError for weights
        that cannot be trained.
        """
        with self._named():
            return self._loaded()

    def _loaded(self) -> Any:
        recipe = self.recipe
        more: dict[str, Any] = {}
        if recipe.dropout is not None:
            more["config_kwargs"] = dict.fromkeys(DROPOUTS, recipe.dropout)
        if self.kind.model == "CrossEncoder":
            import torch

            checkpoint.refuse_configuration(self.weights, self.options)
            more |= {"num_labels": 1, "activation_fn": torch.nn.Identity()}
        options = self.options.model_copy(update={"attention": self._attention()})
        model = sentence_transformer.load(
            self.kind.model, options, self.weights, self.device, dtype="float32", **more
        )
        self._refuse(model)
        if self.kind.model == "CrossEncoder" and self._is_to_be_completed():
            complete(model, options, self.weights)
            # an adapter freezes the weights that it is added to
            model.requires_grad_(True)
        self._limit(model)
        return model

    def _is_to_be_completed(self) -> bool:
        """Return whether the base has an adapter, or a head that its weights do not come with."""
        return bool(self.adapter) or self.head == "cosine"

    def _attention(self) -> str | None:
        """Return the attention kernel: written out it trains fastest on a CPU, as measured."""
        return "eager" if self.device == "cpu" else None

    def _refuse(self, model: Any) -> None:
        """Raise RerankerError for a model that this trainer would train into nonsense."""
        network = model.transformers_model
        if model[0].transformer_task == "text-generation":
            raise RerankerError(
                f"{self.recipe.base}: a language model that answers yes or no; what is trained "
                "here has a classification head or embeddings"
            )
        checkpoint.refuse_other_tokenizer(network, model.tokenizer, str(self.recipe.base))

    def _limit(self, model: Any) -> None:
        """Set the length that texts are cut to in training; saved with the model."""
        from bench.models import lengths

        lengths.limit_length(model, None, str(self.recipe.base))
        model.max_seq_length = min(self.recipe.length, lengths.length_limit(model) or 1 << 30)


def adapt(model: Any, lora: Lora) -> None:
    """Freeze a loaded model but for its head, and give its linear layers low-rank updates."""
    from peft import LoraConfig, TaskType, get_peft_model

    network = model.transformers_model
    heads = _heads(network)
    names = lora.modules or _linear_layers(network, heads)
    settings: dict[str, Any] = {"modules_to_save": heads or None}
    task = TaskType.SEQ_CLS if heads else TaskType.FEATURE_EXTRACTION
    excluded = [name for name in _linear_names(network) if _is_below(name, heads)]
    config = LoraConfig(
        task_type=task,
        r=lora.rank,
        lora_alpha=lora.alpha or 2 * lora.rank,
        target_modules=list(names),
        exclude_modules=excluded or None,
        **settings,
    )
    try:
        with quiet():
            model[0].model = get_peft_model(network, config)
    except ValueError as error:
        known = ", ".join(_linear_layers(network, heads))
        raise SuiteError(f"lora: modules: the base has the linear layers {known}") from error


def _heads(network: Any) -> list[str]:
    """Return the parts of a network after its encoder that have weights."""
    if network.base_model is network:
        return []
    return [
        name
        for name, part in network.named_children()
        if part is not network.base_model and any(True for _ in part.parameters())
    ]


def _linear_layers(network: Any, heads: list[str]) -> list[str]:
    """Return the last names of the encoder's linear layers."""
    names = [name for name in _linear_names(network) if not _is_below(name, heads)]
    return sorted({name.rpartition(".")[2] for name in names})


def _linear_names(network: Any) -> list[str]:
    import torch

    return [name for name, part in network.named_modules() if isinstance(part, torch.nn.Linear)]


def _is_below(name: str, heads: list[str]) -> bool:
    return any(name == head or name.startswith(f"{head}.") for head in heads)


def trainable(model: Any) -> dict[str, Any]:
    """Return the parameters that are trained, by name."""
    return {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }


def write_trainable(model: Any, path: Path) -> None:
    """Write the trained parameters as safetensors, whole or not at all."""
    from safetensors.torch import save

    from bench.core.atomic import write_atomically

    tensors = {name: value.detach().cpu().contiguous() for name, value in trainable(model).items()}
    write_atomically(path, save(tensors))


def read_trainable(model: Any, path: Path) -> None:
    """Set the trained parameters to those of a file. Raises RerankerError for another model's."""
    import torch
    from safetensors.torch import load_file

    tensors = load_file(path)
    parameters = trainable(model)
    if set(tensors) != set(parameters):
        raise RerankerError(f"{path.name}: the weights of another model")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])


def save(model: Any, folder: Path, lora: Lora | None, base: Base) -> None:
    """Write the model as sentence-transformers and peft do, in safetensors, without their card.
    Low-rank updates are merged into the weights, or written alone with the head.
    """
    model.eval()
    with quiet(), saving(folder):
        if lora is not None and not lora.merge:
            _save_adapter(model, folder, lora, base)
        else:
            if lora is not None:
                model[0].model = model[0].model.merge_and_unload()
            model.save_pretrained(str(folder), create_model_card=False)
    mode = (folder / "modules.json").stat().st_mode
    for path in folder.rglob("*.safetensors"):
        # safetensors makes files that their owner alone can read
        path.chmod(mode)


def _save_adapter(model: Any, folder: Path, lora: Lora, base: Base) -> None:
    """Write adapter and head with the tokenizer, so that `CrossEncoder(folder)` adds them to the
    base, which it looks for by its name.
    """
    network = model[0].model
    if lora.half:
        network.half()
    model.save_pretrained(str(folder), create_model_card=False)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = published_name(base.weights)
    config["target_modules"] = sorted(config["target_modules"])
    config["modules_to_save"] = _heads(network.get_base_model())
    config["revision"] = base.options.revision
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


PUBLISHED: Mapping[str, str] = {
    "packaged:all-MiniLM-L6-v2": "sentence-transformers/all-MiniLM-L6-v2"
}
"""Packaged weights by the name of the same files on the hub."""


def published_name(weights: Weights) -> str:
    """Return the name by which other programs find a base: that of the hub where it has one."""
    return PUBLISHED.get(weights.spec, weights.spec)
