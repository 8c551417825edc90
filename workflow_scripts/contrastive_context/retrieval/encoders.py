"""Encoders: texts to the vectors by which the whole study measures similarity.

Embedding a corpus may take hours, so it goes on where it was interrupted: rows are written to a memory-mapped file
beside the artifact, which takes the artifact's name when it is complete; a journal notes what is on the disk, and its
hash.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from contrastive_context.config.sources import BM25Encoder, Encoder, SentenceTransformerEncoder
from contrastive_context.core import artifacts, cli
from contrastive_context.core.devices import require_gpu
from contrastive_context.core.errors import UserError
from contrastive_context.core.journal import Journal
from contrastive_context.core.model_limits import refuse_unknown, rope_limit, unknown_from
from contrastive_context.core.weights import PICKLES, refuse_adapters, refuse_wrong_weights
from contrastive_context.retrieval.word_vectors import positional_words, word_set

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from sentence_transformers import SentenceTransformer
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from contrastive_context.retrieval.similarity import Vectors

Encode = Callable[[Sequence[str]], "Vectors"]
"""Texts → their vectors: float32 [texts, dimensions] with rows of unit norm, or lexical ones."""

log = logging.getLogger(__name__)

_BATCHES_PER_CHUNK = 16
_SECTION = 1 << 17  # texts held and sorted by length at a time
_NO_LIMIT = 1 << 30  # tokens; sentence-transformers has larger numbers where there is no limit
# Of several tokens, as a text of one may not need a layer's queries and keys.
_TRIED = "please switch on that old lamp, then seven green boats left our port: 3.50 euros"
_SAMPLE = 500  # texts of which it is seen whether the encoder knows their words


def batch_size(settings: Encoder) -> int:
    """Return the number of texts per batch."""
    return getattr(settings, "batch_size", 256)


def load_encoder(settings: Encoder, folder: str | Path | None, statistics: str | Path | None = None) -> Encode:
    """Return the function that embeds texts.

    Args:
        settings: the encoder's entry under ``encoders``.
        folder: the prepared folder; ignored for kinds without files (of words, ``bm25``).
        statistics: for ``bm25``: what ``embed_corpus.py`` counted in the training split; else ignored.

    Returns:
        A function from texts to vectors. Its device is the entry's alone, whatever is visible: similarities must not
        depend on where a job happens to run.

    Raises:
        UserError: no GPU is visible for ``cuda``; the folder is missing, is not a sentence-transformers model, or holds
            a file that could run code.
    """
    return LOADERS[settings.kind](settings, folder, statistics)


def _load_bm25(settings: BM25Encoder, folder: str | Path | None, statistics: str | Path | None) -> Encode:
    from contrastive_context.retrieval.bm25 import BM25, Statistics

    if statistics is None:
        raise UserError("--statistics: the frequencies of words are missing")
    return BM25(settings, Statistics.read(statistics))


def _load_sentence_transformer(
    settings: SentenceTransformerEncoder, folder: str | Path | None, statistics: str | Path | None
) -> Encode:
    if folder is None:
        raise UserError("--encoder: the encoder's folder is missing")
    return SentenceEncoder(Path(folder), settings)


class Unread(NamedTuple):
    """What an encoder doesn't see of some texts.

    ``cut``: texts with more tokens than its ``limit``; ``foreign``: of ``tried`` texts those whose tokens are mostly
    unknown to it.
    """

    texts: int
    cut: int = 0
    limit: int | None = None
    tried: int = 0
    foreign: int = 0


class _Reader(NamedTuple):
    """How an encoder reads texts: all ids of each, at most ``limit`` of which it uses, ``added`` of them its own."""

    ids: Callable[[list[str]], list[list[int]]]
    limit: int | None
    added: int
    unknown: int | None


class SentenceEncoder:
    """Embeds texts with a model of sentence-transformers.

    Args:
        folder: the prepared folder.
        settings: the encoder's entry.

    Raises:
        UserError: see :func:`load_encoder`.
    """

    def __init__(self, folder: Path, settings: SentenceTransformerEncoder) -> None:
        """Load the model."""
        require_gpu(settings.device, f"encoders.{folder.name}")

        import torch
        from sentence_transformers import SentenceTransformer
        from transformers import PreTrainedTokenizerBase
        from transformers.utils import logging as transformers_logging

        _check_safe(folder)
        transformers_logging.disable_progress_bar()
        self.name = folder.name
        self._settings = settings
        try:
            model = SentenceTransformer(
                str(folder),
                device=settings.device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
                # What the class supports, whatever the file of its configuration names: it may be missing here.
                config_kwargs={"_attn_implementation": None},
            )
        except Exception as error:  # it raises whatever damaged files lead it to
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(f"{folder}: can't be loaded with sentence-transformers ({reason})") from error
        _check_weights(model, folder)
        # Weights stored with half the bits would be used so, and vectors then depend on the batch that they are in.
        self._model = model.to(getattr(torch, settings.dtype))
        configs = [network.config for network in map(_network, model) if network is not None]
        self._alone_above = min((limit for one in configs if (limit := rope_limit(one)) is not None), default=None)
        self._unknown_from = None
        if configs and isinstance(model.tokenizer, PreTrainedTokenizerBase):
            self._unknown_from = _embedded_padding(model.tokenizer, configs[0])

    def __call__(self, texts: Sequence[str]) -> "np.ndarray":
        """Return float32 [texts, dimensions] with rows of unit norm."""
        import numpy as np

        texts, size = self._seen(texts), self._settings.batch_size
        lengths = np.array(self._token_counts(texts))
        # encode() would sort by characters, which leaves half as much padding again as there are tokens.
        order = np.argsort(lengths, kind="stable")
        alone = len(order) if self._alone_above is None else int((lengths <= self._alone_above).sum())
        starts = [*range(0, alone, size), *range(alone, len(order))]
        parts = [
            self._encode([texts[index] for index in order[start:end]])
            for start, end in zip(starts, [*starts[1:], len(order)], strict=True)
        ]
        vectors = np.empty((len(texts), parts[0].shape[1]), dtype=np.float32)
        vectors[order] = np.concatenate(parts)
        return vectors

    def _encode(self, texts: Sequence[str]) -> "np.ndarray":
        encode = partial(self._model.encode, batch_size=len(texts), normalize_embeddings=True, show_progress_bar=False)
        if self._alone_above is not None:
            encode(["a"])  # under dynamic scaling positions are rotated as for the longest text since a short one
        return encode(texts, convert_to_numpy=True)

    def _token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return how long texts are: in characters if the tokenizer is an own one."""
        from transformers import PreTrainedTokenizerBase

        if not isinstance(tokenizer := self._model.tokenizer, PreTrainedTokenizerBase):
            return [len(text) for text in texts]
        rows = tokenizer(texts, truncation=True)["input_ids"]
        refuse_unknown(tokenizer, self._unknown_from, texts, rows)
        return [len(ids) for ids in rows]

    def unread(self, texts: "Sequence[str] | pa.ChunkedArray") -> Unread:
        """Say how much of texts the model doesn't see."""
        import pyarrow as pa
        from pyarrow import compute

        if (reader := _reader(self._model)) is None:
            return Unread(len(texts))
        held = texts if isinstance(texts, pa.ChunkedArray) else pa.chunked_array([pa.array(texts, pa.large_string())])

        def ids(some: pa.ChunkedArray) -> Iterator[list[int]]:
            for start in range(0, len(some), 1000):
                yield from reader.ids(self._seen(some.slice(start, 1000).to_pylist()))

        cut, unknown = 0, -1 if reader.unknown is None else reader.unknown
        if reader.limit is not None and reader.limit < _NO_LIMIT:
            # A token has a byte at least, but for those that come by themselves: short texts need not be read.
            room = reader.limit - reader.added - 1 - len(self._settings.prefix.encode())
            for start in range(0, len(held), _SECTION):
                section = held.slice(start, _SECTION)
                long = section.filter(compute.greater(compute.binary_length(section), room))
                cut += sum(len(row) > reader.limit for row in ids(long))
        sample = held.take(list(range(0, len(held), max(1, len(held) // _SAMPLE))))
        foreign = sum(2 * row.count(unknown) > len(row) - reader.added for row in ids(sample))
        return Unread(len(held), cut, reader.limit, len(sample), foreign)

    def _seen(self, texts: Sequence[str]) -> list[str]:
        until = self._settings.until
        return [self._settings.prefix + (text if until is None else text.partition(until)[0]) for text in texts]


def _reader(model: "SentenceTransformer") -> _Reader | None:
    """Return how a model of sentence-transformers reads texts, None if its tokenizer is an own one, without a limit."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

    tokenizer = model.tokenizer
    if isinstance(tokenizer, PreTrainedTokenizerBase):

        def ids(texts: list[str]) -> list[list[int]]:
            return tokenizer(texts, truncation=False, verbose=False)["input_ids"]

        return _Reader(ids, model.max_seq_length, tokenizer.num_special_tokens_to_add(), tokenizer.unk_token_id)
    if not isinstance(tokenizer, Tokenizer):
        return None
    # Static embeddings say that they have no limit, but their tokenizer's file may.
    whole = Tokenizer.from_str(tokenizer.to_str())
    whole.no_truncation()
    unknown = getattr(whole.model, "unk_token", None)
    return _Reader(
        lambda texts: [one.ids for one in whole.encode_batch(texts, add_special_tokens=False)],
        (tokenizer.truncation or {}).get("max_length"),
        0,
        None if unknown is None else whole.token_to_id(unknown),
    )


def check_read(encode: Encode, texts: "Sequence[str] | pa.ChunkedArray", most: float, what: str) -> dict[str, int]:
    """Count the texts that an encoder doesn't see whole.

    Args:
        encode: from :func:`load_encoder`.
        texts: what it is to embed.
        most: share of them that may be so.
        what: the texts' name, for messages.

    Returns:
        Remark → number of texts, of which there is one at least; for the report.

    Raises:
        UserError: they are more.
    """
    if not isinstance(encode, SentenceEncoder) or not len(texts):
        return {}
    found, where = encode.unread(texts), f"encoders.{encode.name}"
    remarks = [
        (
            found.cut,
            found.texts,
            f"longer than the {found.limit} tokens that the encoder reads",
            "sources that differ only beyond them have similarity 1 and count as duplicates. Take an encoder that "
            "reads more, or shorter sources (cleaning.max_characters, or until of the encoder)",
        ),
        (
            found.foreign,
            found.tried,
            "written in words or letters most of which the encoder doesn't know",
            "it can't tell such sources apart. Take an encoder of their language",
        ),
    ]
    for count, of, remark, hint in remarks:
        if count:
            told = f"{where}: {count} of {of} sources of {what} are {remark} ({count / of:.1%})"
            if count > most * of:
                raise UserError(f"{told}; {hint}, or raise safeguards.max_unread, which is {most:g}")
            log.warning("%s", told)
    return {remark: count for count, of, remark, _ in remarks if count and of == found.texts}


#: Kind → the function that embeds texts, given the entry, the prepared folder and the statistics.
LOADERS: dict[str, Callable[[Any, str | Path | None, str | Path | None], Encode]] = {
    "positional_words": lambda *_: positional_words,
    "word_set": lambda *_: word_set,
    "sentence_transformer": _load_sentence_transformer,
    "bm25": _load_bm25,
}


def _check_weights(model: "SentenceTransformer", folder: Path) -> None:
    """Refuse a model of sentence-transformers part of whose weights transformers has drawn at random.

    Weights that no embedding depends on may be missing (BERT's pooler often is), and those of an output layer, which
    encoders do without, may be there.
    """
    import torch

    for entry, module in zip(artifacts.read_json(folder / "modules.json"), model, strict=True):
        network = _network(module)
        if network is None:  # sentence-transformers itself is strict with its own modules
            continue
        kind: Any = type(network)  # whose stubs don't know output_loading_info
        _, found = kind.from_pretrained(
            str(folder / entry["path"]), config=network.config, device_map="meta", output_loading_info=True,
            local_files_only=True, trust_remote_code=False, use_safetensors=True,
        )  # fmt: skip
        weights = network.state_dict()
        for name in found["missing_keys"]:
            weights[name].fill_(torch.nan)
        if not found["missing_keys"] or bool(torch.isfinite(model.encode([_TRIED], convert_to_tensor=True)).all()):
            found["missing_keys"] = set()
            parts = {name.partition(".")[0] for name in weights}
            inside = {name: name.removeprefix(f"{network.base_model_prefix}.") for name in found["unexpected_keys"]}
            found["unexpected_keys"] = {name for name, own in inside.items() if own.partition(".")[0] in parts}
        refuse_wrong_weights(str(folder), found)


def _network(module: "nn.Module") -> "PreTrainedModel | None":
    """Return the model of transformers inside a module of sentence-transformers."""
    from transformers import PreTrainedModel

    return next((part for part in module.modules() if isinstance(part, PreTrainedModel)), None)


def _embedded_padding(tokenizer: "PreTrainedTokenizerBase", config: "PreTrainedConfig") -> int | None:
    """Let texts be padded with a token that a model has an embedding for; return the first that it has none for."""
    first = unknown_from(tokenizer, config)
    if first is not None and tokenizer.pad_token_id is not None and tokenizer.pad_token_id >= first:
        own = config.get_text_config().pad_token_id
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(own if own is not None and own < first else 0)
    return first


def _check_safe(folder: Path) -> None:
    if not (folder / "modules.json").is_file():
        raise UserError(f"{folder}: not a sentence-transformers folder (no modules.json)")
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in (*PICKLES, ".py"):
            raise UserError(f"{file}: refused, such a file can run code when loaded; only safetensors are read")
    refuse_adapters(str(folder), (str(file.relative_to(folder)) for file in folder.rglob("*")))
    # sentence-transformers imports whatever class modules.json names.
    for module in artifacts.read_json(folder / "modules.json"):
        if not str(module.get("type")).startswith("sentence_transformers."):
            raise UserError(f"{folder}/modules.json: refused, {module.get('type')!r} is not one of its modules")


def embed(texts: Sequence[str], encode: Encode, batch_size: int, label: str = "embedding") -> "Vectors":
    """Embed many texts with a progress bar.

    Texts are taken in order of their characters' number, some batches at a time; the result is in the order given.

    Args:
        texts: what to embed, at least one.
        encode: from :func:`load_encoder`.
        batch_size: texts per batch.
        label: the bar's label.

    Returns:
        Their vectors: float32 [texts, dimensions] with rows of unit norm, or lexical ones.

    Raises:
        UserError: a text has no direction (a zero or non-finite vector).
    """
    import numpy as np
    import pyarrow as pa

    if not texts:
        raise UserError("nothing to embed: the corpus has no rows")
    chunks = _chunks(pa.array(texts, pa.large_string()), batch_size)
    first = encode([texts[index] for index in chunks[0]])
    if not isinstance(first, np.ndarray):  # lexical vectors need no batches
        return encode(texts)
    result = np.empty((len(texts), first.shape[1]), dtype=np.float32)
    with cli.progress(label=label, total=len(texts), unit="rows") as bar:
        for chunk in chunks:
            chosen = [texts[index] for index in chunk]
            result[chunk] = _unit(first if chunk is chunks[0] else encode(chosen), chosen)
            bar.update(len(chunk))
    return result


def embed_to_file(
    path: str | Path, texts: "pa.ChunkedArray", encode: Encode, batch_size: int, key: str, label: str = "embedding"
) -> tuple[int, int]:
    """Embed many texts into a ``.npy`` file, going on where an interrupted job with the same key was.

    Memory is bounded: texts are taken ``_SECTION`` at a time, and some batches at a time in order of their characters'
    number within a section. The numbers are the same after any interruption.

    Args:
        path: the file, float32 [texts, dimensions]; there once it is complete.
        texts: what to embed, at least one.
        encode: from :func:`load_encoder`, of an encoder with dense vectors.
        batch_size: texts per batch.
        key: what the vectors depend on (``journal.fingerprint``). What a job with another key left is removed.
        label: the bar's label.

    Returns:
        Rows and dimensions.

    Raises:
        UserError: a text has no direction (a zero or non-finite vector), or the disk is full.
    """
    path = Path(path)
    if not len(texts):
        raise UserError("nothing to embed: the corpus has no rows")
    partial, journal = path.with_name(f".{path.stem}-{key}.partial.npy"), path.with_name(f".{path.stem}-{key}.jsonl")
    with artifacts.disk_errors(path), cli.progress(label=label, total=len(texts), unit="rows") as bar:
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in (*path.parent.glob(f".{path.stem}-*.partial.npy"), *path.parent.glob(f".{path.stem}-*.jsonl")):
            if stale not in (partial, journal):
                stale.unlink(missing_ok=True)
        if not partial.is_file():
            journal.unlink(missing_ok=True)
        done = Journal(journal)
        rows, digests = _resume(partial, len(texts)) if done else None, dict(done)
        computed = True
        while computed:  # the last pass only looks: a second job on the same corpus may have begun the file anew
            computed = False
            bar.reset()
            for section in range(0, len(texts), _SECTION):
                held = texts.slice(section, _SECTION).combine_chunks()
                for rows_of_section in _chunks(held, batch_size):
                    chunk = rows_of_section + section
                    step = str(chunk[0])
                    if rows is None or digests.get(step) != _digest(rows[chunk]):
                        chosen = held.take(rows_of_section).to_pylist()
                        vectors = _unit(encode(chosen), chosen)
                        if rows is None:
                            rows = _begin(path, partial, (len(texts), vectors.shape[1]))
                        rows[chunk] = vectors
                        rows.flush()
                        digests[step] = _digest(vectors)
                        done.add({step: digests[step]})
                        computed = True
                    bar.update(len(chunk))
        assert rows is not None
        shape = rows.shape
        del rows
        try:
            partial.replace(path)
        except FileNotFoundError:
            if not path.exists():  # else a second job on the same corpus was first
                raise
        done.remove()
    return shape


def _resume(partial: Path, count: int) -> "np.memmap | None":
    """Map what an interrupted job left; None if that is not an array of so many rows."""
    import numpy as np

    try:
        # Reads nothing but .npy; np.load would open archives too.
        rows = np.lib.format.open_memmap(partial, mode="r+")
    except (OSError, ValueError, SyntaxError, OverflowError):
        return None
    return rows if rows.dtype == np.float32 and rows.ndim == 2 and len(rows) == count else None


def _begin(path: Path, partial: Path, shape: tuple[int, int]) -> "np.memmap":
    """Map a new file that is to become ``path``, or the one that a second job on the same corpus has begun meanwhile.

    It gets its name when it has its size: cutting a file to make it anew would kill who has it mapped (SIGBUS).
    """
    import numpy as np

    with artifacts.temporary_folder(path) as folder:
        new = folder / partial.name
        np.lib.format.open_memmap(new, mode="w+", dtype=np.float32, shape=shape)
        _reserve(new)
        while True:
            try:
                os.link(new, partial)  # unlike a renaming it never replaces another file
            except FileExistsError:
                if (rows := _resume(partial, shape[0])) is not None and rows.shape == shape:
                    return rows
                partial.unlink(missing_ok=True)  # damaged
                continue
            except PermissionError:  # a file system without links
                new.replace(partial)
            return np.load(partial, mmap_mode="r+")


def _reserve(file: Path) -> None:
    """Take a file's space on the disk: a mapped page that finds none kills the process without a word."""
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


def _digest(vectors: "np.ndarray") -> str:
    return hashlib.sha256(vectors.tobytes()).hexdigest()[:16]


def _chunks(texts: "pa.Array", batch_size: int) -> "list[np.ndarray]":
    """Return the rows of texts in order of their characters' number, then of the text, some batches at a time."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute

    # By Arrow: a list of Python's strings would hold many times the memory.
    table = pa.table({"characters": compute.utf8_length(texts), "text": texts})
    keys = [("characters", "ascending"), ("text", "ascending")]
    order = compute.sort_indices(table, sort_keys=keys).to_numpy().astype(np.int64)
    size = batch_size * _BATCHES_PER_CHUNK
    return [order[start : start + size] for start in range(0, len(order), size)]


def _unit(vectors: "Vectors", texts: Sequence[str]) -> "np.ndarray":
    import numpy as np

    assert isinstance(vectors, np.ndarray)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(norms[:, 0]) | (norms[:, 0] == 0))
    if len(bad):
        raise UserError(f"the encoder gives no direction to the text {texts[bad[0]]!r} (and {len(bad) - 1} more)")
    return np.asarray(vectors / norms, dtype=np.float32)
