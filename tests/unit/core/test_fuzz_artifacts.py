"""Whatever is in a file, a reader returns what it promises or refuses the file by its path."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from contrastive_context.config.sources import BM25Encoder
from contrastive_context.contexts.candidates import Examples
from contrastive_context.core import artifacts, columnar
from contrastive_context.core.errors import UserError
from contrastive_context.core.sidecars import read_sidecar
from contrastive_context.downloads.hub import stored
from contrastive_context.downloads.packages import open_verified
from contrastive_context.models import adapters, language_models
from contrastive_context.retrieval.bm25 import BM25, Statistics
from contrastive_context.retrieval.embedding_files import read_embeddings
from contrastive_context.retrieval.neighbours import read_neighbours
from contrastive_context.scoring import nearest_label, scoring, segments, signatures
from contrastive_context.tables import tidy
from contrastive_context.training.data import read_training_data
from fuzzing import EXAMPLES
from small_runs import RECIPE

IDS = [f"{number:016x}" for number in range(3)]
pytestmark = pytest.mark.slow


def drained(values):
    return list(values)


def read_bm25(path):
    return BM25(BM25Encoder(kind="bm25"), Statistics.read(path))(["a b", "c"])


def read_adapter(path):
    artifacts.write_json(
        path.parent / adapters.CONFIG, {"r": 1, "lora_alpha": 1, "lora_dropout": 0, "target_modules": []}
    )
    return adapters._read(path.parent)


def train_on(path):
    return read_training_data(path, path, None, RECIPE, 0)


def examples(path):
    np.save(path.with_name("embeddings.npy"), np.eye(3, dtype=np.float32))
    return Examples.read(path, path.with_name("embeddings.npy"))


#: Reader → name of the file it reads.
BY_NAME = {
    "json": (artifacts.read_json, "a.json"),
    "hash file": (lambda path: artifacts.check_folder(path.parent, path), "model.json"),
    "sidecar": (read_sidecar, "a.provenance.json"),
    "adapters": (lambda path: adapters.read_checkpoints(path, "b"), "adapters.json"),
    "package": (lambda path: open_verified(path).__enter__(), "package.json"),
    "hub record": (stored, "hub.json"),
    "revisions": (lambda path: signatures.read_revisions([path]), "records.json"),
    "word frequencies": (read_bm25, "statistics.json"),
    "predictions": (lambda path: drained(scoring.read_predictions(path)), "predictions.jsonl"),
    "segments": (lambda path: drained(segments.read_segments(path)), "segments.jsonl"),
    "segment scores": (segments.read_scores, "scores.jsonl"),
    "embeddings": (read_embeddings, "train.npy"),
    "weights": (read_adapter, adapters.WEIGHTS),
    "model": (lambda path: language_models.count_parameters(path.parent), "model.safetensors"),
    "parquet": (lambda path: artifacts.read_parquet(path, ("id", "source")), "a.parquet"),
    "columns": (lambda path: columnar.read_columns(path, ["id", "source"]), "a.parquet"),
    "scores": (lambda path: tidy.read_scores([path]), "scores.parquet"),
    "probes": (lambda path: tidy.read_probes([path]), "base.parquet"),
    "neighbours": (lambda path: read_neighbours(path, IDS, 2), "neighbours.parquet"),
    "training data": (train_on, "train.parquet"),
    "examples": (examples, "arrivals.parquet"),
    "contexts": (lambda path: nearest_label.predict_file(path, path, path.with_suffix(".out")), "eval.parquet"),
}


def reads_or_refuses(reader: str, folder: Path, content: bytes) -> None:
    read, name = BY_NAME[reader]
    path = folder / name
    path.write_bytes(content)
    try:
        read(path)
    except UserError as error:
        assert name.partition(".")[0] in str(error)


scalars = st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
#: Keys that readers know, with anything behind them.
KNOWN = [
    "files", "sha256", "bytes", "steps", "base_sha256", "folder", "4", "path", "package", "repository", "revision",
    "type", "kind", "documents", "mean_length", "frequencies", "step", "outputs", "inputs", "settings", "id", "score",
    "source", "output", "reference", "target_id", "prompt_id", "bucket",
]  # fmt: skip
records = st.recursive(
    scalars | st.sampled_from(["bm25", "a", "0" * 64]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KNOWN), inner, max_size=8),
    max_leaves=16,
)


@pytest.mark.parametrize("reader", BY_NAME)
@EXAMPLES
@given(content=st.binary(max_size=200))
def test_any_bytes(tmp_path, reader, content):
    reads_or_refuses(reader, tmp_path, content)


@pytest.mark.parametrize("reader", [name for name, (_, file) in BY_NAME.items() if "json" in file])
@EXAMPLES
@given(content=values | records)
def test_any_json(tmp_path, reader, content):
    reads_or_refuses(reader, tmp_path, json.dumps(content).encode() + b"\n")


def test_json_that_is_nested_without_end(tmp_path):
    for reader, (_, file) in BY_NAME.items():
        if "json" in file:
            reads_or_refuses(reader, tmp_path, b"[" * 100_000)


COLUMNS = sorted(
    {"id", "source", "target", "cluster", "test_set", "rank", "neighbour_id", "similarity", "draw", "example_ids",
     "similarities", "prompt_id", "target_id", "composition", "bucket", *tidy.SCORE_COLUMNS, *tidy.PROBE_COLUMNS}
)  # fmt: skip
cells = [
    st.lists(st.none() | st.text(max_size=4), min_size=2, max_size=2),
    st.lists(st.sampled_from(IDS), min_size=2, max_size=2),
    st.lists(st.none() | st.integers(-3, 3), min_size=2, max_size=2),
    st.lists(st.floats(), min_size=2, max_size=2),
    st.lists(st.binary(max_size=4), min_size=2, max_size=2),
    st.lists(st.lists(st.sampled_from(IDS), max_size=2), min_size=2, max_size=2),
    st.lists(st.booleans(), min_size=2, max_size=2),
]


@pytest.mark.parametrize("reader", [name for name, (_, file) in BY_NAME.items() if file.endswith("parquet")])
@EXAMPLES
@given(columns=st.fixed_dictionaries({name: st.one_of(cells) for name in COLUMNS}))
def test_columns_of_any_type(tmp_path, reader, columns):
    table, buffer = pa.table({name: pa.array(column) for name, column in columns.items()}), io.BytesIO()
    pq.write_table(table, buffer)
    reads_or_refuses(reader, tmp_path, buffer.getvalue())


@EXAMPLES
@given(data=st.data())
def test_cut_and_altered_files(tmp_path, data):
    """Of formats whose readers are foreign code."""
    frame, buffer = pd.DataFrame({"id": IDS, "source": ["a", "b", "c"]}), io.BytesIO()
    frame.to_parquet(buffer)
    array = io.BytesIO()
    np.save(array, np.eye(3, dtype=np.float32))
    reader, content = data.draw(
        st.sampled_from(
            [("parquet", buffer.getvalue()), ("columns", buffer.getvalue()), ("embeddings", array.getvalue()),
             ("weights", save({"a": np.zeros((2, 2), np.float32)}))]
        )
    )  # fmt: skip
    content = bytearray(content)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    reads_or_refuses(reader, tmp_path, bytes(content[: data.draw(st.integers(0, len(content)))]))


@pytest.mark.parametrize("shape", [(0,), (3,), (2, 2, 2), (0, 4)])
@pytest.mark.parametrize("kind", [np.float64, np.int32, np.float32, np.str_])
def test_arrays_of_another_shape(tmp_path, shape, kind):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(shape, kind))
    reads_or_refuses("embeddings", tmp_path, buffer.getvalue())
