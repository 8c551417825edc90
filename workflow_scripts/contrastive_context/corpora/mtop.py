"""MTOP: utterances to assistants in six languages and their parses.

Origin: Li et al. 2021, https://aclanthology.org/2021.eacl-main.257; licence CC BY-SA 4.0; published as ``mtop.zip`` at
https://fb.me/mtop_dataset, which is not downloaded here. Files are ``<language>/{train,eval,test}.txt``, tab-separated
without names: id, intent, slots, utterance, domain, locale, decoupled form, tokens (JSON). A target is the parse in
decoupled form, ``[IN:GET_WEATHER [SL:LOCATION Berlin ] ]``.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from contrastive_context.config.parses import MTOP_FILES, MtopCorpus
from contrastive_context.core.errors import UserError
from contrastive_context.corpora.dividing import uniform
from contrastive_context.corpora.files import Row, text_rows
from contrastive_context.corpora.reading import Location, Reading
from contrastive_context.corpora.rows import RAW_COLUMNS
from contrastive_context.downloads.packages import read_member, zip_errors
from contrastive_context.text.parses import Node, ParseError, parse

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ["id", "intent", "slots", "utterance", "domain", "locale", "form", "tokens"]
_USED = ["id", "intent", "utterance", "domain", "form"]
_SPLITS = dict(zip(MTOP_FILES, ("train", "arrivals", "test.in_domain"), strict=True))


def build(settings: MtopCorpus) -> "tuple[dict[str, pd.DataFrame], list[Reading]]":
    """Read the three files of a language.

    Returns:
        Frames ``train``, ``dev``, ``arrivals`` and ``test.in_domain`` with the raw columns; and the reading.

    Raises:
        UserError: a file is missing or can't be read.
    """
    import pandas as pd

    reading = Reading(settings.max_line_bytes)
    for name, split in _SPLITS.items():
        with _opened(settings, name) as (path, file):
            for row in text_rows(file, path, "tsv", _USED, _COLUMNS, settings.max_line_bytes, quoted=False):
                _add(reading, Location(path, str(row.line)), row, split)
    frames = reading.frames()
    frames = {split: frames.get(split, pd.DataFrame(columns=list(RAW_COLUMNS))) for split in _SPLITS.values()}
    train = frames["train"]
    is_dev = train["cluster"].map(lambda name: uniform(f"{settings.seed}/dev/{name}") < settings.dev).astype(bool)
    return {**frames, "train": train[~is_dev], "dev": train[is_dev]}, [reading]


@contextmanager
def _opened(settings: MtopCorpus, name: str) -> Iterator[tuple[str, BinaryIO]]:
    path, member = Path(settings.path), f"{settings.language}/{name}.txt"
    try:
        if path.is_dir():
            with (path / member).open("rb") as file:
                yield str(path / member), file
            return
        with zip_errors(path), zipfile.ZipFile(path) as archive:
            inside = [entry for entry in archive.namelist() if f"/{entry}".endswith(f"/{member}")]
            if len(inside) != 1:
                raise UserError(f"{path}: no file {member} in it, or several; is it MTOP's archive?")
            content = read_member(archive, inside[0])
        yield f"{path}:{inside[0]}", io.BytesIO(content)
    except OSError as error:
        raise UserError(f"{path}: {member} can't be read ({error})") from error


def _add(reading: Reading, location: Location, row: Row, split: str) -> None:
    if row.values is None:
        reading.reject(location, row.fault, row.text, split=split, detail=row.detail)
        return
    id_, intent, utterance, domain, form = (row.values[name] for name in _USED)
    try:
        tree = parse(form)
        if not form.lstrip().startswith("["):
            raise ParseError("not in decoupled form")
    except ParseError as error:
        reading.reject(location, f"malformed tree: {error}", form, split=split)
        return
    if tree.label != intent:
        reading.reject(location, "intent is not the tree's", f"{intent}: {form}", split=split)
        return
    meta = {"id": id_, "intent": intent}
    reading.add(location, utterance, form, split=split, cluster=_skeleton(tree), domain=domain or "in", meta=meta)


def _skeleton(node: Node) -> str:
    children = " ".join(map(_skeleton, node.children))
    return re.sub(" +", " ", f"[{node.label} {children}]")
