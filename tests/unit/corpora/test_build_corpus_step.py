"""The step that builds a corpus, called as the workflow calls it: sources that are folders, and refusals."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from contrastive_context.core.artifacts import read_json

NUMBERS = range(20)


def step(repository, folder, corpus, *more):
    """Run the entry point in a folder; return its exit status and what it said."""
    settings = {"task": "t", "corpus": corpus, "test_sets": ["in_domain"], "stop": "\n"}
    command = [sys.executable, str(repository / "workflow_scripts/build_corpus.py"), "--settings", json.dumps(settings)]
    result = subprocess.run(
        [*command, "--out-dir", "out", *more], cwd=folder, capture_output=True, text=True, timeout=120
    )
    return result.returncode, result.stderr


def write_mtop(folder: Path) -> None:
    (folder / "mtop/de").mkdir(parents=True)
    for name in ("train", "eval", "test"):
        lines = [f"{name}{n}\tIN:GET\t\tHol {name} {n}\td\tde_XX\t[IN:GET [SL:X {name} {n} ] ]\t{{}}" for n in NUMBERS]
        (folder / f"mtop/de/{name}.txt").write_text("\n".join(lines) + "\n")


def write_questions(folder: Path, broken: int = 0) -> None:
    """Two databases, and questions of which the last ones name a column that isn't there."""
    for name in ("shop", "school"):
        (folder / "databases" / name).mkdir(parents=True)
        with closing(sqlite3.connect(folder / f"databases/{name}/{name}.sqlite")) as connection, connection:
            connection.execute("CREATE TABLE item (id INTEGER)")
    for name in ("shop", "school"):
        columns = ["id"] * (len(NUMBERS) - broken) + ["price"] * broken
        records = [
            {
                "question": f"Which one is {n} of {name}?",
                "db_id": name,
                "SQL": f"SELECT {column} FROM item WHERE id={n}",
            }
            for n, column in zip(NUMBERS, columns, strict=True)
        ]
        (folder / f"{name}.json").write_text(json.dumps(records, indent=1))


SQL = {
    "kind": "text_to_sql",
    "train": {"files": "school.json", "databases": "databases"},
    "test": {"files": "shop.json", "databases": "databases"},
    "query_limits": {"seconds": 5, "memory_mb": 64},
}


def test_mtop_may_be_a_folder(repository, tmp_path):
    write_mtop(tmp_path)
    corpus = {"kind": "mtop", "path": "mtop", "language": "de", "dev": 0}
    status, said = step(repository, tmp_path, corpus)
    assert status == 0, said
    inputs = read_json(tmp_path / "out/counts.json.provenance.json")["inputs"]
    assert [entry["path"] for entry in inputs["files"]] == [f"mtop/de/{name}.txt" for name in ("train", "eval", "test")]


def test_databases_are_a_folder(repository, tmp_path):
    write_questions(tmp_path)
    status, said = step(repository, tmp_path, SQL | {"shares": {"dev": 0, "arrivals": 0.4, "test": 0.4}})
    assert status == 0, said


@pytest.mark.parametrize(
    "corpus",
    [
        {"kind": "files", "files": "folder", "format": "tsv"},
        {"kind": "files", "files": "folder", "format": "parquet"},
        {"kind": "mtop", "path": "folder", "language": "de"},
        SQL | {"train": {"files": "folder", "databases": "folder"}},
    ],
    ids=["tsv", "parquet", "mtop", "text_to_sql"],
)
def test_a_folder_where_a_file_is_wanted_is_told_in_a_sentence(repository, tmp_path, corpus):
    (tmp_path / "folder").mkdir()
    write_questions(tmp_path)
    status, said = step(repository, tmp_path, corpus)
    assert status == 2 and "error: folder" in said and "Traceback" not in said


def test_a_refused_corpus_leaves_the_whole_list_with_the_databases_messages(repository, tmp_path):
    write_questions(tmp_path, broken=4)
    status, said = step(repository, tmp_path, SQL, "--refused", "logs/refused.csv")
    assert status == 2 and "Traceback" not in said
    assert "8 of 40 rows are malformed" in said and "logs/refused.csv" in said
    assert "school.json, 82: gold query fails: error (school: OperationalError: no such column: price)" in said
    listed = pd.read_csv(tmp_path / "logs/refused.csv")
    assert len(listed) == 8 and set(listed["split"]) == {"train", "test"}
    assert set(listed["detail"]) == {f"{name}: OperationalError: no such column: price" for name in ("school", "shop")}
    lines = (tmp_path / "shop.json").read_text().splitlines()
    for row in listed.loc[listed["file"] == "shop.json"].itertuples():
        assert row.text in "".join(lines[row.line - 1 : row.line + 4])


def test_a_list_of_an_earlier_refusal_goes_with_it(repository, tmp_path):
    write_mtop(tmp_path)
    path, refused = tmp_path / "mtop/de/test.txt", tmp_path / "refused.csv"
    corpus = {"kind": "mtop", "path": "mtop", "language": "de", "dev": 0}
    text = path.read_text()
    path.write_text("torn\n" * 30 + text)
    status, said = step(repository, tmp_path, corpus, "--refused", str(refused))
    assert status == 2 and len(pd.read_csv(refused)) == 30
    path.write_text(text)
    status, said = step(repository, tmp_path, corpus, "--refused", str(refused))
    assert status == 0, said
    assert not refused.exists()


def test_where_cleaning_leaves_nothing_the_list_says_why(repository, tmp_path):
    (tmp_path / "x.tsv").write_text("source\ttarget\n" + "".join(f"the {n}\tdas {n}\n" for n in range(50)))
    corpus = {"kind": "files", "files": "x.tsv", "cleaning": {"target_script": "Tamil"}}
    status, said = step(repository, tmp_path, corpus)
    assert status == 2 and "is empty" in said and "out/rejected.csv" in said
    assert set(pd.read_csv(tmp_path / "out/rejected.csv")["reason"]) == {"script of the target"}
