"""The one list of what a study takes from the Hugging Face hub."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from contrastive_context.config.base import Model

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


class HubEntry(Model):
    """A repository of the hub and which of its files are wanted.

    Attributes:
        repository: ``owner/name``.
        type: kind of repository.
        revision: branch, tag or commit hash; resolved to a commit hash when it is downloaded.
        use: what the files are for, which decides the choice of files; ``files`` takes those that match ``files``.
        configuration: of a data set, as its card names it.
        files: patterns of file names: split → pattern for a data set whose card names no files, else a list.
    """

    repository: str
    type: Literal["model", "dataset"] = "model"
    revision: str = "main"
    use: Literal["language_model", "encoder", "data_set", "files"]
    configuration: str | None = None
    files: dict[str, str] | list[str] = []


def hub_entries(study: "Study") -> Iterator[tuple[str, str, HubEntry]]:
    """Yield (registry, name, entry) of every entry of the configuration that refers to the hub.

    Each becomes one download with a record of its own, so that adding one downloads that one.
    """
    for name, model in study.models.items():
        if model.kind == "hub":
            yield "models", name, HubEntry(repository=model.name, revision=model.revision, use="language_model")
    for name, encoder in study.encoders.items():
        if encoder.kind == "sentence_transformer" and encoder.hub is not None:
            yield "encoders", name, HubEntry(repository=encoder.hub, revision=encoder.revision, use="encoder")
    for name, metric in study.metrics.items():
        if metric.hub is not None:
            files = ["checkpoints/model.ckpt", "hparams.yaml"]
            yield "metrics", name, HubEntry(repository=metric.hub, revision=metric.revision, use="files", files=files)
    for name, metric_encoder in study.metric_encoders.items():
        if metric_encoder.hub is not None:
            # No weights: a metric's checkpoint has its own.
            files = ["config.json", "tokenizer*.json", "special_tokens_map.json", "sentencepiece.bpe.model"]
            yield (
                "metric_encoders",
                name,
                HubEntry(repository=metric_encoder.hub, revision=metric_encoder.revision, use="files", files=files),
            )
    for name, data in study.datasets.items():
        yield (
            "datasets",
            name,
            HubEntry(
                repository=data.hub,
                type="dataset",
                revision=data.revision,
                use="data_set",
                configuration=data.configuration,
                files=data.files,
            ),
        )
