"""Build a tiny COMET checkpoint with random weights, by COMET's own classes; runs in COMET's environment.

Usage: tiny_checkpoint.py FOLDER CLASS, with CLASS regression_metric or referenceless_regression_metric.
"""

import sys
from pathlib import Path

import pytorch_lightning
import torch
import yaml
from comet.models import str2model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

SPECIAL = {
    "bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>",
    "unk_token": "<unk>", "mask_token": "<mask>",
}  # fmt: skip


def make_encoder(folder: Path) -> None:
    """Save an XLM-RoBERTa of two layers whose tokens are characters."""
    characters = ["\u2581", *map(chr, range(33, 127)), *"äöüßąčęėįšųūž"]
    vocabulary = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocabulary += [*((character, -3.0) for character in characters), ("<mask>", 0.0)]
    raw = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=126, **SPECIAL).save_pretrained(folder)
    config = XLMRobertaConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=130, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
        initializer_range=0.3,
    )  # fmt: skip
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)


def main(folder: Path, kind: str) -> None:
    torch.manual_seed(0)
    encoder = folder / "encoder"
    make_encoder(encoder)
    hparams = {
        "nr_frozen_epochs": 0.3, "keep_embeddings_frozen": True, "optimizer": "AdamW", "warmup_steps": 0,
        "encoder_learning_rate": 1e-6, "learning_rate": 1.5e-5, "layerwise_decay": 0.95,
        "encoder_model": "XLM-RoBERTa", "pretrained_model": str(encoder), "pool": "avg", "layer": "mix",
        "layer_transformation": "softmax", "layer_norm": False, "loss": "mse", "dropout": 0.1, "batch_size": 4,
        "train_data": [], "validation_data": [], "hidden_sizes": [32, 16], "activations": "Tanh",
        "final_activation": None,
    }  # fmt: skip
    model = str2model[kind](**hparams, load_pretrained_weights=True, local_files_only=True).eval()
    # A published checkpoint names its encoder as the hub does, not a folder.
    model.save_hyperparameters({"pretrained_model": "xlm-roberta-tiny"})
    trainer = pytorch_lightning.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.strategy.connect(model)
    (folder / "checkpoints").mkdir()
    trainer.save_checkpoint(folder / "checkpoints/model.ckpt", weights_only=True)
    public = {**hparams, "pretrained_model": "xlm-roberta-tiny", "class_identifier": kind}
    (folder / "hparams.yaml").write_text(yaml.safe_dump(public))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
