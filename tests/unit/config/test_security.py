"""Guards against files, names and servers that mean harm; each test fails when its guard is taken away."""

import ast
import io
import json
import os
import pickle
import re
import stat
import struct
import subprocess
import sys
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import save_file

from catalogue_files import make_deb, record_of
from contrastive_context.config.paraphrasers import EndpointParaphraser
from contrastive_context.config.parses import MtopCorpus
from contrastive_context.config.sources import Package
from contrastive_context.config.study import Study, load_study
from contrastive_context.config.text import CataloguesCorpus
from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.downloads import debian, hub
from contrastive_context.downloads.fetching import fetch
from contrastive_context.downloads.packages import extract, read_member
from contrastive_context.models.adapters import load_adapter
from contrastive_context.models.language_models import load_model, load_tokenizer
from contrastive_context.retrieval.embedding_files import read_embeddings
from small_models import model

TRICKS = [
    "../x", "..", "/etc/passwd", "a/b", "a\\b", "a\0b", "a\nb", "a\n", "a\x1b[31m", ".hidden", "-rf", "a b", "a;b",
    "$(x)", "`x`", "", "a--b", "x-seed0",
]  # fmt: skip
REGISTRIES = [
    "packages", "datasets", "encoders", "paraphrasers", "metric_encoders", "tasks", "models", "strategies", "finetuning"
]  # fmt: skip


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path):
    """A file that must not appear."""
    path = tmp_path / "code-was-run"
    yield path
    assert not path.exists()


@pytest.mark.parametrize("name", TRICKS)
@pytest.mark.parametrize("registry", REGISTRIES)
def test_names_that_are_no_plain_file_names_are_refused(study_config, registry, name):
    entries = study_config.setdefault(registry, {})
    entries[name] = next(iter(entries.values()), {})
    with pytest.raises(UserError, match=r"the configuration has \d+ problem"):
        load_study(study_config)


@pytest.mark.parametrize("name", TRICKS)
def test_the_runs_name_is_a_plain_one(study_config, name):
    with pytest.raises(UserError, match="can't be used as a name"):
        load_study(study_config | {"run": name})


@pytest.mark.parametrize("name", TRICKS)
def test_names_of_test_sets_are_plain_ones(study_config, name):
    files = {"train": "a.tsv", "arrivals": "b.tsv", "test": {name: "c.tsv"}}
    study_config["tasks"]["mine"] = study_config["tasks"]["en-de"] | {
        "corpus": {"kind": "files", **files}, "test_sets": [name],
    }  # fmt: skip
    with pytest.raises(UserError, match=r"tasks\.mine\.test_sets: .* can't be used as a name"):
        load_study(study_config)


PATHS = ["", "..", "../x", "/etc/passwd", "a/b", "a\\b", "a\0b", "a\nb", "de\n", "\x1b[31m"]
#: What else of a configuration goes into a path, an address or a look into the environment: key → entry with a value.
PARTS = {
    "filename": lambda value: Package(version="1", filename=f"{value}.whl", sha256="0" * 64, licence="", contents=""),
    "sha256": lambda value: Package(version="1", filename="a.whl", sha256=value, licence="", contents=""),
    "snapshot": lambda value: Package(
        version="1", filename="a.deb", sha256="0" * 64, licence="", contents="", pool="main/a", snapshot=value
    ),
    "language": lambda value: MtopCorpus(kind="mtop", path="mtop.zip", language=value),
    "language of catalogues": lambda value: CataloguesCorpus(
        kind="catalogues", language=value, in_domain={"format": "chromium", "package": "p"}
    ),
    "api_key_env": lambda value: EndpointParaphraser(
        kind="endpoint", base_url="https://example.org", model="m", api_key_env=value
    ),
}


@pytest.mark.parametrize("value", PATHS)
@pytest.mark.parametrize("key", PARTS)
def test_parts_of_paths_are_plain(key, value):
    with pytest.raises(ValidationError, match=key.partition(" ")[0]):
        PARTS[key](value)


def test_every_registry_is_tried():
    """Names under buckets go into no path, and those under metrics are a fixed set."""
    named = {name for name, field in Study.model_fields.items() if "dict[str" in str(field.annotation).lower()}
    assert named - {"buckets"} == set(REGISTRIES)


def test_no_code_loads_pickles_runs_strings_or_trusts_remote_code(repository):
    """What the COMET checkpoint needs lies in one module, which checks its hash first."""
    banned_calls = {"eval", "exec", "loads_pickle", "compile"}
    for path in (repository / "workflow_scripts").rglob("*.py"):
        if path.name == "comet.py" and path.parent.name == "evaluation":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"} & set(names), (
                    where
                )
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", "")
                assert name not in banned_calls, where
                owner = getattr(getattr(node.func, "value", None), "id", "")
                assert (owner, getattr(node.func, "attr", "")) not in {
                    ("torch", "load"), ("yaml", "load"), ("os", "system"), ("os", "popen")
                }, where  # fmt: skip
                for keyword in node.keywords:
                    value = getattr(keyword.value, "value", None)
                    assert (keyword.arg, value) not in {
                        ("trust_remote_code", True), ("allow_pickle", True), ("shell", True), ("verify", False)
                    }, where  # fmt: skip


def test_every_model_is_loaded_without_remote_code_from_safetensors(repository):
    for path in (repository / "workflow_scripts").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = getattr(node, "func", None)
            name = getattr(called, "attr", "") or getattr(called, "id", "")
            if name in ("from_pretrained", "SentenceTransformer"):
                given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
                # `**source` of models/preparation.py is looked at where it is run: see the tests of packages in GGUF.
                assert given.get("trust_remote_code") is False or None in given, f"{path}:{node.lineno}"
                if name == "SentenceTransformer" or "Model" in getattr(getattr(called, "value", None), "attr", ""):
                    said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                    options = f"{said.get('use_safetensors')} {said.get('model_kwargs')}"
                    assert "True" in options or None in given, f"{path}:{node.lineno}"


def test_an_array_with_objects_is_not_unpickled(tmp_path, marker):
    path = tmp_path / "train.npy"
    np.save(path, np.array([Bomb(marker)], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"train\.npy: can't be read as embeddings"):
        read_embeddings(path)
    path.write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(UserError, match=r"train\.npy: can't be read as embeddings"):
        read_embeddings(path)


def test_an_archive_of_arrays_is_no_embedding(tmp_path):
    path = tmp_path / "train.npy"
    with path.open("wb") as file:
        np.savez(file, a=np.zeros((2, 2), np.float32))
    with pytest.raises(UserError, match=r"train\.npy"):
        read_embeddings(path)


def test_an_adapter_that_is_a_pickle_is_refused(tmp_path, marker):
    for name in ("adapter_model.bin", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb(marker)))
    artifacts.write_json(tmp_path / "adapter_config.json", {})
    with pytest.raises(UserError, match=r"adapter_model\.safetensors: can't be read as safetensors"):
        load_adapter(model("llama"), tmp_path)


@pytest.mark.parametrize("code", ["evil.Model", "someone/elsewhere--evil.Model"])
def test_a_configuration_that_names_code_runs_none(tmp_path, marker, code):
    folder = tmp_path / "model"
    folder.mkdir()
    automatic = {"AutoConfig": code, "AutoModelForCausalLM": code, "AutoTokenizer": [code, code]}
    artifacts.write_json(folder / "config.json", {"model_type": "evil", "auto_map": automatic})
    artifacts.write_json(folder / "tokenizer_config.json", {"tokenizer_class": "Evil", "auto_map": automatic})
    save_file({"a": np.zeros(1, np.float32)}, folder / "model.safetensors")
    for load in (load_model, load_tokenizer):
        with pytest.raises(UserError, match=str(folder)):
            load(folder)
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Model: pass\n")
    with pytest.raises(UserError, match=r"evil\.py: refused"):
        load_model(folder)
    with pytest.raises(UserError):
        load_tokenizer(folder)


def test_a_translator_with_a_pickle_is_refused(tmp_path, marker):
    """Whatever suffix transformers would find it by."""
    from transformers import AutoModelForSeq2SeqLM

    from contrastive_context.models.language_models import load_weights

    artifacts.write_json(tmp_path / "config.json", {"model_type": "marian"})
    save_file({"a": np.zeros(1, np.float32)}, tmp_path / "model.safetensors")
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(UserError, match=r"pytorch_model\.bin: refused"):
        load_weights(AutoModelForSeq2SeqLM, tmp_path)


def test_the_reports_page_runs_its_own_script_only_and_takes_texts_as_texts(repository):
    """Escaping is looked at where a report is made; this is what stands behind it."""
    folder = repository / "workflow_scripts/contrastive_context/report"
    page = (folder / "template.html").read_text(encoding="utf-8")
    policy = re.search('Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'" and rules["script-src"] == "'{{ browser.script_hash }}'"
    assert set(rules.values()) <= {"'none'", "data:", "'unsafe-inline'", rules["script-src"]}
    script = (folder / "browser.js").read_text(encoding="utf-8")
    assert not re.search("innerHTML|outerHTML|insertAdjacentHTML|document.write|eval|Function", script)
    assert re.findall(r"(\S+) *\| *safe", page) == ["browser.data", "browser.script"]


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    wheel = zipped(tmp_path / "bomb.whl", {"p/a": bytes(1 << 20), "p/b": bytes(1 << 20)})
    assert wheel.stat().st_size < 10_000
    with zipfile.ZipFile(wheel) as opened:
        with pytest.raises(UserError, match="unpacks to 2097152 bytes, more than"):
            extract(opened, "p", out, max_bytes=1 << 20)
        with pytest.raises(UserError, match="more than the 1000 allowed"):
            read_member(opened, "p/a", max_bytes=1000)
    assert not list(out.iterdir())


@pytest.mark.parametrize("kind", ["drive", "encrypted", "twice"])
def test_what_is_no_plain_file_of_a_plain_name_is_not_unpacked(tmp_path, kind):
    (tmp_path / "out").mkdir()
    wheel = tmp_path / "odd.whl"
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(wheel, "w") as archive:
        for name in {"drive": ["p/C:evil"], "encrypted": ["p/a"], "twice": ["p/a", "p/a"]}[kind]:
            archive.writestr(name, "x")
    with zipfile.ZipFile(wheel) as opened:
        opened.getinfo(opened.namelist()[0]).flag_bits |= kind == "encrypted"
        with pytest.raises(UserError, match="odd\\.whl: refused"):
            extract(opened, "p", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_bomb_in_an_archive_of_mtop_is_not_unpacked(tmp_path):
    from contrastive_context.corpora.mtop import build

    path = zipped(tmp_path / "mtop.zip", {"mtop/de/train.txt": bytes(65 << 20)})
    with pytest.raises(UserError, match=r"train\.txt in mtop\.zip has \d+ bytes, more than the \d+ allowed"):
        build(MtopCorpus(kind="mtop", path=str(path), language="de"))


def test_files_of_a_debian_package_are_bounded_together(tmp_path, monkeypatch):
    record = record_of(tmp_path, make_deb({"a": b"12", "b": b"34"}), "x.deb")
    monkeypatch.setattr(debian, "MAX_TOTAL_BYTES", 3)
    with pytest.raises(UserError, match="'b' exceeds"):
        debian.read_files(record, {"a", "b"})


def test_a_zip_that_lies_about_its_sizes_writes_no_more_than_it_says(tmp_path):
    wheel = zipped(tmp_path / "liar.whl", {"p/a": bytes(1 << 20)})
    content = wheel.read_bytes().replace(struct.pack("<I", 1 << 20), struct.pack("<I", 10))
    wheel.write_bytes(content)
    out = tmp_path / "out"
    out.mkdir()
    with zipfile.ZipFile(wheel) as opened, pytest.raises(UserError, match=r"liar\.whl: can't be read"):
        extract(opened, "p", out)
    assert sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) <= 10


@pytest.mark.parametrize("where", ["before", "last", "header"])
def test_a_debian_package_that_unpacks_without_end_is_refused(tmp_path, monkeypatch, where):
    """The last entry's size used not to count."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        for name in ("a", "b", "wanted") if where == "before" else ("wanted",):
            entry = tarfile.TarInfo(name)
            entry.size = 1 << 20 if name == "wanted" or where != "header" else 0
            entry.pax_headers = {"comment": "x" * (1 << 20)} if where == "header" else {}
            archive.addfile(entry, io.BytesIO(bytes(1 << 20)))
    members = b"".join(
        f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode() + body + b"\n" * (len(body) % 2)
        for name, body in (("debian-binary", b"2.0\n"), ("data.tar.xz", data.getvalue()))
    )
    path = tmp_path / "bomb.deb"
    path.write_bytes(b"!<arch>\n" + members)
    record = {"package": "bomb", "path": str(path), "sha256": artifacts.sha256_file(path)}
    artifacts.write_json(tmp_path / "bomb.json", record)
    assert len(debian.read_files(tmp_path / "bomb.json", {"wanted"})["wanted"]) == 1 << 20
    monkeypatch.setattr(debian, "MAX_ARCHIVE_BYTES", 1 << 20)
    with pytest.raises(UserError, match="it unpacks to more than"):
        debian.read_files(tmp_path / "bomb.json", {"wanted"})


@pytest.mark.parametrize("name", ["../evil.json", "/etc/evil.json", "a/../../evil.json", "..\\evil.json"])
def test_names_of_the_hub_lead_nowhere(tmp_path, name):
    """A server under another name (HF_ENDPOINT) may say anything."""
    record = tmp_path / "record.json"
    artifacts.write_json(
        record, {"repository": "a/b", "type": "model", "revision": "0" * 40, "files": {name: {"bytes": 1}}}
    )
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"record\.json: refused, .* is not a plain relative path"):
        hub.link(record, tmp_path / "folder")
    assert not list(tmp_path.rglob("*evil*"))


def test_credentials_in_the_indexs_address_are_not_repeated(tmp_path, monkeypatch):
    said = "ERROR: Could not install from https://me:hunter2@index.example.org/simple: 401"
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", said))
    package = Package(version="1", filename="a-1-py3-none-any.whl", sha256="0" * 64, licence="MIT", contents="")
    with pytest.raises(UserError, match="index") as caught:
        fetch("a", package, tmp_path)
    assert "hunter2" not in str(caught.value)


def test_no_step_says_keeps_or_passes_on_what_is_secret(tmp_path, repository):
    """In messages, log, sidecar and arguments; in a failed step too."""
    secrets = {"HF_TOKEN": "hf_" + "a1B2" * 9, "GEMINI_API_KEY": "AIza" + "x" * 36, "LLM_KEY": "sk-" + "y" * 40}
    good = {"name": "positions", "encoder": {"kind": "positional_words"}}
    for place, settings in enumerate((good, {"name": "m", "encoder": {"kind": "no such"}})):
        folder = tmp_path / str(place)
        command = [sys.executable, str(repository / "workflow_scripts/prepare_encoder.py")]
        command += ["--settings", json.dumps(settings), "--out", str(folder / "m.json"), "--log", str(folder / "log")]
        result = subprocess.run(command, env={**os.environ, **secrets}, capture_output=True, text=True, check=False)
        assert (result.returncode == 0) == (place == 0), result.stderr
        said = [result.stdout, result.stderr, *command]
        said += [file.read_text() for file in folder.rglob("*") if file.is_file()]
        assert len(said) > len(command) + 2
        for name, secret in secrets.items():
            assert not any(secret in text or name in text for text in said)


def test_links_in_an_archive_are_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    entry = zipfile.ZipInfo("p/folder")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    wheel = tmp_path / "link.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(entry, str(tmp_path / "outside"))
        archive.writestr("p/folder/evil", "x")
    with zipfile.ZipFile(wheel) as opened, pytest.raises(UserError, match="not a plain file"):
        extract(opened, "p", tmp_path)
    assert not list((tmp_path / "outside").iterdir())
