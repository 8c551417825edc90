"""What a paraphrasing step is told."""

from contrastive_context.config.base import Model
from contrastive_context.config.models import Device, Dtype
from contrastive_context.config.paraphrasers import Paraphraser
from contrastive_context.config.sources import Corpus, Encoder


class ModelUse(Model):
    """How a model that a paraphraser runs is loaded."""

    dtype: Dtype = "float32"
    device: Device = "cpu"


class Settings(Model):
    """Settings of ``paraphrase.py``."""

    task: str
    split: str = "train"
    paraphraser_name: str
    paraphraser: Paraphraser
    models: dict[str, ModelUse] = {}
    corpus: Corpus
    encoder: Encoder
