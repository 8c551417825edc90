"""Parquet by columns, for tables too large for Python lists."""

import os
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contrastive_context.core.artifacts import atomic_path
from contrastive_context.core.errors import UserError


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


def list_column(values: pa.Array, rows: int) -> pa.ListArray:
    """Fold a flat array into ``rows`` lists of equal length."""
    width = len(values) // max(rows, 1)
    return pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * width, values)
