"""LoRA fine-tuning.

A step is ``optimization.Optimization.forward_backward`` (loss and gradients) and ``.update`` (the optimizer's). The
loop around it, with checkpoints and resuming, is ``finetuning``.
"""
