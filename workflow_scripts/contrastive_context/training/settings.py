"""Settings of ``finetune.py``."""

from typing import TYPE_CHECKING, Self

from contrastive_context.config.finetuning import FineTuning
from contrastive_context.config.grid import Grid
from contrastive_context.models.settings import ModelSettings, model_leaves

if TYPE_CHECKING:
    from contrastive_context.config.study import Study


class FinetuneSettings(ModelSettings):
    """What a fine-tuning job depends on, its input files apart."""

    recipe: FineTuning
    strategy_name: str
    seed: int
    gradient_checkpointing: bool = False

    @classmethod
    def of(cls, study: "Study", task: str, model: str, strategy: str, seed: int | str) -> Self:
        """Take the leaves that the step reads from the study."""
        recipe = Grid(study).recipe(task, model, strategy)
        if study.strategies[strategy].token_matched:
            # k examples and the target, each about as long as one zero-shot prompt.
            examples = recipe.examples_per_step * (study.tasks[task].k + 1)
            recipe = recipe.model_copy(update={"examples_per_step": examples})
        return cls(
            **model_leaves(study, task, model),
            recipe=recipe,
            strategy_name=strategy,
            seed=int(seed),
            gradient_checkpointing=study.models[model].gradient_checkpointing,
        )
