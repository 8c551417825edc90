"""The minimal model: a three-parameter mixture of in-context and in-weights learning, trained by simulation."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from contrastive_context.config.base import Distinct, Model, Seed

Variant = Literal["gate", "softmax"]
Theta = tuple[float, float, float]
Grades = tuple[Annotated[float, Field(ge=-1, le=1)], Annotated[float, Field(ge=-1, le=1)]]


class Condition(Model):
    """How the contexts of one simulated training look.

    zero: none. random: k random examples. similar: k neighbours with similarities drawn from ``grades``. contrastive:
    with probability ``p`` one neighbour (half of them from ``grades``, half from ``paraphrase_grades``) among k − 1
    random examples, otherwise k random ones. mixed: with probability ``p`` k neighbours of one such similarity,
    otherwise k random examples.
    """

    kind: Literal["zero", "random", "similar", "contrastive", "mixed"]
    title: str | None = Field(None, description="name in figures; the entry's key if absent")
    k: int | None = Field(None, ge=1, description="examples per context; the model's k if absent")
    p: float = Field(0.5, ge=0, le=1, description="contrastive and mixed: probability of a neighbour, or of k")
    grades: Grades | None = Field(None, description="similarity range; absent: [.7, 1] for similar, else [.3, .9]")
    paraphrase_grades: Grades = Field((0.9, 1.0), description="contrastive: similarity range of paraphrases")
    starts: dict[Variant, Theta] = Field({}, description="variant → θ at step 0, where it is not the model's")

    def grade_range(self) -> tuple[float, float]:
        """Return the range that similarities of real neighbours are drawn from."""
        return self.grades or ((0.7, 1.0) if self.kind == "similar" else (0.3, 0.9))


_CONDITIONS = {
    "zero": Condition(kind="zero", title="Zero"),
    "random": Condition(kind="random", title="Random"),
    "similar": Condition(kind="similar", title="Similar"),
    "contrastive": Condition(kind="contrastive", title="Contrastive"),
    "mixed": Condition(kind="mixed", title="Contrast across contexts only"),
    "one-grade": Condition(
        kind="contrastive", p=1, grades=(0.9, 1), title="Contrast within contexts only (always one at [.9, 1])"
    ),
    # Negative controls: what must not collapse if the outcomes above are not built in.
    "contrastive-p0": Condition(kind="contrastive", p=0, title="Contrastive without its neighbour (p = 0)"),
    "similar-k1": Condition(kind="similar", k=1, title="Similar, one example"),
    "similar-all-grades": Condition(kind="similar", grades=(0, 1), title="Similar, grades from [0, 1]"),
    # The softmax start is the counterpart of the gate's: an example above similarity 1/2 beats the weights.
    "random-strong-start": Condition(
        kind="random", starts={"gate": (8, 8, -4), "softmax": (16, 8, 0)}, title="Random, from a strong mixture"
    ),
}


class MinimalModel(Model):
    """The task, the model and its training [ours]; the paper's equations are not known to us."""

    seeds: Annotated[list[Seed], Distinct] = Field([0, 1, 2, 3, 4], min_length=1, description="tasks and training runs")
    variants: Annotated[list[Variant], Distinct] = Field(
        ["gate", "softmax"], min_length=1, description="how context and weights are mixed"
    )
    dimensions: int = Field(16, ge=3, description="x lies on the unit sphere in this many dimensions")
    features: int = Field(64, ge=1, description="random Fourier features of the part that weights can't learn")
    length_scale_squared: float = Field(0.5, gt=0, description="of the Fourier features")
    learnable_variance: float = Field(1.0, gt=0, description="variance of g, the part that weights can learn")
    unlearnable_variance: float = Field(1.0, gt=0, description="variance of h, the part only a neighbour supplies")
    noise_variance: float = Field(0.05, ge=0, description="variance of the noise on y")
    k: int = Field(5, ge=1, description="examples per context")
    steps: int = Field(2000, ge=1, description="optimizer steps")
    batch: int = Field(32, ge=1, description="fresh examples per step")
    learning_rate_weights: float = Field(0.01, gt=0, description="of the weights")
    learning_rate_theta: float = Field(0.2, gt=0, description="of θ")
    theta_gradient_limit: float = Field(2.0, gt=0, description="each part of θ's gradient is clipped to ± this")
    starts: dict[Variant, Theta] = Field({"gate": (4, 3, -1.5), "softmax": (4, 2.5, 0)}, description="θ of the base")
    probe_every: int = Field(100, ge=1, description="steps between two probes")
    probe_targets: int = Field(2000, ge=2, description="test points per seed")
    conditions: dict[str, Condition] = Field(_CONDITIONS, min_length=1, description="what is given replaces all")

    @model_validator(mode="after")
    def _every_variant_has_a_start(self) -> "MinimalModel":
        if missing := [name for name in self.variants if name not in self.starts]:
            raise ValueError(f"starts: no θ for {', '.join(missing)}")
        return self
