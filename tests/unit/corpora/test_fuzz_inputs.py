"""What steps keep for themselves, get from servers and show in the report: read, or refused in words."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_context.config.files import check_files
from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.core.journal import Journal
from contrastive_context.paraphrasing import chat_client, endpoint
from contrastive_context.report import records
from contrastive_context.retrieval import encoders
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.workflow.code_versions import CodeVersions
from fuzzing import EXAMPLES

pytestmark = pytest.mark.slow
texts = st.text(max_size=6) | st.sampled_from(
    ["", "\0", "\ud800", "<script>", "0" * 64, "results/mine/tables/scores.csv"]
)
scalars = st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | texts
KEYS = [
    "step", "outputs", "inputs", "settings", "path", "sha256", "bytes", "versions", "host", "started", "seconds",
    "tokens", "system", "cpus", "files", "revision", "licence", "choices", "message", "content", "usage",
    "total_tokens", "finish_reason", "source", "target", "imports", "missing", "steps", "folder",
]  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.sampled_from(KEYS), inner, max_size=8),
    max_leaves=16,
)


# --- what servers answer


@EXAMPLES
@given(content=st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
def test_any_answer_of_an_endpoint(content):
    check_answer(content)


def check_answer(content: bytes) -> None:
    """An answer can be used, or it is refused in words."""
    try:
        endpoint._pair_in(chat_client._read(content))
    except chat_client.UnusableError as error:
        assert str(error).strip()


@EXAMPLES
@given(said=texts.filter(str.strip) | values.map(json.dumps), rest=st.dictionaries(st.sampled_from(KEYS), values))
def test_any_text_of_a_model(said, rest):
    reply = rest | {"choices": [{"message": {"content": said}}]}
    check_answer(json.dumps(reply).encode())


@pytest.mark.parametrize(
    "value",
    ["", "-1", "nan", "inf", "1e999", "Wed, 21 Oct 2015 07:28:00 -0000", "Wed, 21 Oct 2015 07:28:00 +9999999999",
     "Mon, 01 Jan 0000 00:00:00 GMT", "Mon, 01 Jan 99999 00:00:00 GMT", "\ud800", "١"],
)  # fmt: skip
def test_any_time_to_wait(value):
    """A date without a time zone, which ``-0000`` says, ended in a traceback; nan and infinity were no times."""
    wait = chat_client._retry_after(value)
    assert wait is None or 0 <= wait < float("inf")


# --- what steps keep


@EXAMPLES
@given(content=st.binary(max_size=200), shape=st.sampled_from([(2, 3), (2,), (3, 3), ()]), cut=st.integers(0, 200))
def test_any_unfinished_embeddings(tmp_path, content, shape, cut):
    """An empty file ended every later job in a traceback."""
    whole = io.BytesIO()
    np.save(whole, np.zeros(shape, np.float32))
    for number, left in enumerate((content, whole.getvalue()[:cut], b"")):
        path = tmp_path / f"{number}.npy"
        path.write_bytes(left)
        rows = encoders._resume(path, 2)
        assert rows is None or rows.shape == (2, 3)


@EXAMPLES
@given(lines=st.lists(st.binary(max_size=40)))
def test_any_journal(tmp_path, lines):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(lines))
    assert not dict(Journal(path))


@EXAMPLES
@given(data=st.data())
def test_any_cache_of_code_versions(tmp_path, data):
    """An entry of another form ended every call of Snakemake in a traceback."""
    scripts, cache = tmp_path / "scripts", tmp_path / "cache.json"
    (scripts / "contrastive_context").mkdir(parents=True, exist_ok=True)
    (scripts / "step.py").write_text("from contrastive_context import module\n")
    (scripts / "contrastive_context/__init__.py").write_text("")
    (scripts / "contrastive_context/module.py").write_text("a = 1\n")
    (tmp_path / "nothing.json").unlink(missing_ok=True)
    right = CodeVersions(scripts, tmp_path / "nothing.json").of("step")
    known = artifacts.read_json(tmp_path / "nothing.json")
    for key in data.draw(st.lists(st.sampled_from(sorted(known)), max_size=3)):
        known[key] = data.draw(values.filter(lambda value: not isinstance(value, dict)) | st.just({}))
    cache.write_text(
        data.draw(st.just(json.dumps(known)) | values.map(json.dumps) | st.text(max_size=9)), "utf-8", "replace"
    )
    assert CodeVersions(scripts, cache).of("step") == right


@EXAMPLES
@given(
    content=st.binary(max_size=60)
    | st.lists(st.sampled_from(list("[{*&:- \n\t'#!|a"))).map(lambda t: "".join(t).encode())
)
def test_any_configuration_file(tmp_path, content):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    try:
        check_files([path])
    except UserError as error:
        assert str(path) in str(error)


# --- what the report shows


SHOWN = {
    "model": records.model_facts,
    "hub": records.download,
    "sidecar": lambda path: records.step(path, "mine"),
    "coverage": lambda path: records.flat(artifacts.read_json(path)),
}


@pytest.mark.parametrize("name", SHOWN)
@EXAMPLES
@given(value=values)
def test_a_report_takes_any_record(tmp_path, name, value):
    """Records of another form ended in a traceback that named no file."""
    path = tmp_path / "record.json"
    path.write_text(json.dumps(value))
    try:
        SHOWN[name](path)
    except UserError as error:
        assert "record.json" in str(error)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"a,b\n1,2\n", b"metric\nx\n", b"value,n\n1,2\n", b"a\n1,2,3\n4\n"]
)
def test_a_report_refuses_other_tables_by_name(tmp_path, content):
    """Tables of another form ended in a traceback that named no file."""
    path = tmp_path / "fig1_summary.csv"
    path.write_bytes(content)
    path.with_suffix(".png").write_bytes(b"")
    for read in (
        lambda: records.signatures(path, PresentationSettings()),
        lambda: records.figure(tmp_path, "fig1_summary", "title", 0.95),
    ):
        with pytest.raises(UserError, match=r"fig1_summary\.csv"):
            read()
