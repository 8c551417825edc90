"""Where highly similar synthetic pairs come from."""

import ipaddress
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from contrastive_context.config.base import Model, Seed
from contrastive_context.config.templates import Template


class _Paraphraser(Model):
    if TYPE_CHECKING:
        kind: str  # each has one
    seed: Seed = 0
    min_similarity: float = Field(0.67, ge=0, le=1, description="kept only if similarity to the source is in [this, 1)")

    @property
    def origin(self) -> tuple[str, ...]:
        """What two entries that are the same paraphraser have in common, whatever their names and seeds."""
        return (self.kind,)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the entries under ``models`` that it runs."""
        return ()


class SyntheticParaphraser(_Paraphraser):
    """For the synthetic task of the same kind: one word replaced, the label as the cluster has it."""

    kind: Literal["lexicon", "idiom"]


class RulesParaphraser(_Paraphraser):
    """Rewordings of English by rules; the target stays. Needs nothing."""

    kind: Literal["rules"]


class EndpointParaphraser(_Paraphraser):
    """A language model behind an OpenAI-compatible HTTP endpoint, asked for both sides of the pair as JSON.

    Corpus text is sent to ``base_url``, and nowhere else, once a strategy or an evaluation of the grid names the entry.
    """

    kind: Literal["endpoint"]
    base_url: str = Field(description="https, or http on this machine; /chat/completions is added")
    model: str = Field(description="as the endpoint calls it")
    api_key_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="environment variable that holds the key, if one is needed",
    )
    # [ours]: the paper's prompt is not public.
    prompt: str = Field(
        "Rewrite the following pair so that it says the same in other words. Reword the source lightly; keep names and "
        "numbers and the language and format of both sides, and let the new target be right for the new source.\n"
        "Source: {source}\nTarget: {target}\n"
        'Answer with nothing but a JSON object that has the keys "source" and "target".',
        description="{source} and {target} stand for the pair",
    )
    temperature: float = Field(0.7, ge=0, le=2, description="0: the likeliest answer")
    max_output_tokens: int = Field(512, ge=1, description="longest answer, tokens")
    json_mode: bool = Field(True, description="ask for response_format json_object; not every server knows it")
    concurrency: int = Field(4, ge=1, le=64, description="requests at a time")
    requests_per_minute: int | None = Field(None, ge=1, description="at most; as many as get through if absent")
    timeout: float = Field(60, gt=0, description="seconds for one request, from first to last byte")
    attempts: int = Field(6, ge=1, description="requests per pair until one gives a usable answer")
    max_wait: float = Field(60, ge=0, description="longest wait between two attempts, seconds")
    max_requests: int = Field(
        10_000, ge=1, description="budget per task and split, over all runs; above it the step stops and says so"
    )
    max_tokens: int | None = Field(None, ge=1, description="the same in tokens, as the endpoint counts them")

    @field_validator("base_url")
    @classmethod
    def _is_encrypted_or_local(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError("not a URL") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError("give a URL that starts with https://")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("give the key through api_key_env; a URL with a user, ? or # ends up in logs")
        if parts.scheme == "http" and not is_loopback(host):
            raise ValueError(
                "without TLS anybody on the way could read key and text; use https (http: this machine only)"
            )
        return url.rstrip("/")

    @field_validator("prompt")
    @classmethod
    def _shows_the_pair(cls, prompt: str) -> str:
        if "{source}" not in prompt or "{target}" not in prompt:
            raise ValueError("{source} and {target} must occur in it")
        return prompt

    @property
    def origin(self) -> tuple[str, ...]:
        """Endpoint and model."""
        return (self.kind, self.base_url, self.model)


class LanguageModelParaphraser(_Paraphraser):
    """A causal model of ``models``, shown a few examples and asked for another wording of the source; the target stays.

    The default prompt is English and for base models [ours].
    """

    kind: Literal["language_model"]
    model: str = Field(description="key under models")
    template: Template = Template(
        instruction="The same in other words.\n\n",
        source_prefix="Sentence:",
        source_start=" ",
        source_end="\n",
        target_prefix="In other words:",
        target_start=" ",
        stop="\n",
        max_new_tokens=96,
        max_prompt_tokens=1024,
    )
    examples: list[tuple[str, str]] = Field(
        [
            ("Could you open the window in the bedroom?", "Please open the bedroom window."),
            ("He had never seen such a large dog before.", "Never before had he seen a dog this big."),
            ("The file 'notes.txt' could not be saved.", "Saving the file 'notes.txt' failed."),
        ],
        description="pairs of sentence and other wording that the model is shown",
    )
    temperature: float = Field(0.7, ge=0, le=5, description="0: greedy")
    batch_tokens: int = Field(8192, ge=1, description="padded tokens, prompt and output, of one batch")

    @property
    def origin(self) -> tuple[str, ...]:
        """The model."""
        return (self.kind, self.model)

    @property
    def models(self) -> tuple[str, ...]:
        """The model."""
        return (self.model,)


class Translator(Model):
    """One direction of a back-translation."""

    model: str = Field(description="key under models, of a sequence-to-sequence model")
    prefix: str = Field("", description='put before every text, for instance "<2de> "')


class BackTranslationParaphraser(_Paraphraser):
    """The source translated into another language and back by sequence-to-sequence models; the target stays."""

    kind: Literal["back_translation"]
    forward: Translator
    backward: Translator
    temperature: float = Field(0.0, ge=0, le=5, description="0: beam search")
    beams: int = Field(4, ge=1, description="where temperature is 0")
    max_new_tokens: int = Field(256, ge=1, description="longest translation, tokens")
    batch_tokens: int = Field(4096, ge=1, description="padded input tokens of one batch")

    @property
    def origin(self) -> tuple[str, ...]:
        """Both models."""
        return (self.kind, self.forward.model, self.backward.model)

    @property
    def models(self) -> tuple[str, ...]:
        """Both models, once if they are one."""
        return tuple(dict.fromkeys((self.forward.model, self.backward.model)))


Paraphraser = Annotated[
    SyntheticParaphraser
    | RulesParaphraser
    | EndpointParaphraser
    | LanguageModelParaphraser
    | BackTranslationParaphraser,
    Field(discriminator="kind"),
]


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
