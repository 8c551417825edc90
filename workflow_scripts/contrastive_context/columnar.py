"""Parquet by columns, for tables too large for Python lists."""

import os
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contrastive_context.artifacts import atomic_path
from contrastive_context.corpora.rows import normalise
from contrastive_context.errors import UserError
from contrastive_context.retrieval.similarity import LEXICAL, LexicalVectors, Vectors


def read_columns(path: str | os.PathLike, columns: Sequence[str]) -> pa.Table:
    """Read some columns of a Parquet file.

    Raises:
        UserError: the file is missing, torn or lacks a column.
    """
    try:
        return pq.read_table(path, columns=list(columns))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UserError(f"{path}: can't be read as Parquet ({error}); delete it and run again") from error


def write_tables(path: str | os.PathLike, tables: Iterable[pa.Table]) -> int:
    """Write tables of one schema as the row groups of one Parquet file (zstd), atomically; return the rows written.

    Only one table is held at a time, so that a generator keeps memory bounded.
    """
    writer, rows = None, 0
    with atomic_path(path) as temporary:
        try:
            for table in tables:
                writer = writer or pq.ParquetWriter(temporary, table.schema, compression="zstd")
                writer.write_table(table, row_group_size=max(1, table.num_rows))
                rows += table.num_rows
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise ValueError(f"{path}: nothing to write")
    return rows


def read_embeddings(
    path: str | os.PathLike, rows: int | None = None, corpus: str | os.PathLike | None = None
) -> Vectors:
    """Map an embedding file: float32 [rows, dim], or the weights of lexical vectors.

    Raises:
        UserError: the file is missing or something else, or its rows are not those of ``corpus``.
    """
    try:
        # Reads nothing but .npy; np.load would open archives too.
        array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, SyntaxError, OverflowError) as error:
        raise UserError(f"{path}: can't be read as embeddings ({error}); delete it and run again") from error
    lexical = array.dtype == LEXICAL and array.ndim == 1
    if not lexical and (array.dtype != np.float32 or array.ndim != 2):
        raise UserError(f"{path}: no embeddings but {array.ndim}-dimensional {array.dtype}; delete it and run again")
    vectors = LexicalVectors(array) if lexical else array
    if rows not in (None, len(vectors)):
        raise UserError(f"{path}: {len(vectors)} rows for {rows} in {corpus}; delete it and run again")
    return vectors


def list_column(values: pa.Array, rows: int) -> pa.ListArray:
    """Fold a flat array into ``rows`` lists of equal length."""
    width = len(values) // max(rows, 1)
    return pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * width, values)


def normalised_codes(*texts: Iterable[str]) -> list[np.ndarray]:
    """Return int32 codes of texts, one array per argument: equal codes mean equal text under ``rows.normalise``."""
    known: dict[str, int] = {}

    def codes(column: Iterable[str]) -> np.ndarray:
        plain = column.to_pylist() if isinstance(column, (pa.Array, pa.ChunkedArray)) else column
        return np.array([known.setdefault(normalise(text), len(known)) for text in plain], dtype=np.int32)

    return [codes(column) for column in texts]
