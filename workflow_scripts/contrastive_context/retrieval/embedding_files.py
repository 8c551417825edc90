"""Embedding files, mapped into memory."""

import os

import numpy as np

from contrastive_context.core.errors import UserError
from contrastive_context.retrieval.similarity import LEXICAL, LexicalVectors, Vectors


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
