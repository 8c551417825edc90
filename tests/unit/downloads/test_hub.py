"""Downloads from the hub, through the real client against a hub on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import small_models
from contrastive_context.config.hub_entries import HubEntry
from contrastive_context.core.artifacts import check_folder, read_json, sha256_file
from contrastive_context.core.errors import UserError
from contrastive_context.downloads.hub import data_files, lock_text
from hub_server import serve

NAME = "someone/tiny"
TOKEN = "hf_a_secret_of_the_test"


@pytest.fixture(scope="module")
def model_files(tmp_path_factory) -> dict[str, bytes]:
    """A tiny model as a repository holds it, with what is not to be downloaded."""
    folder = tmp_path_factory.mktemp("model")
    small_models.model("llama").save_pretrained(folder)
    small_models.tokenizer("llama").save_pretrained(folder)
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert len(files["model.safetensors"]) > 10_000
    unwanted = (
        "pytorch_model.bin",
        "modeling.py",
        "README.md",
        "consolidated.safetensors",
        "original/consolidated.pth",
    )
    return files | dict.fromkeys(unwanted, b"not wanted")


@pytest.fixture
def hub():
    with serve() as running:
        yield running


class Client:
    """Runs the project's steps as Snakemake does, with a cache of their own."""

    def __init__(self, repository: Path, folder: Path, url: str) -> None:
        self.scripts, self.folder = repository / "workflow_scripts", folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
            "HF_HOME": str(folder / "cache"), "HF_ENDPOINT": url, "HF_HUB_DISABLE_TELEMETRY": "1",
        }  # fmt: skip

    def run(self, step: str, settings: dict, *options: str) -> subprocess.CompletedProcess:
        command = [sys.executable, str(self.scripts / f"{step}.py"), f"--settings={json.dumps(settings)}", *options]
        return subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=120
        )

    def fetch(self, registry: str = "models", name: str = "tiny", **entry) -> dict:
        result = self.attempt(registry, name, **entry)
        assert result.returncode == 0, result.stderr
        return read_json(self.record(registry, name))

    def refused(self, **entry) -> str:
        """Fetch what can't be had; return the one line that says so, after checking that nothing else is left."""
        result = self.attempt(**entry)
        assert result.returncode == 2, result.stderr
        assert "Traceback" not in result.stderr
        assert not self.record().exists()
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        return line

    def attempt(self, registry: str = "models", name: str = "tiny", **entry) -> subprocess.CompletedProcess:
        entry = {"repository": NAME, "use": "language_model", **entry}
        out = self.record(registry, name)
        log = self.folder / "log.txt"
        return self.run(
            "fetch_hub", {"registry": registry, "name": name, "entry": entry}, f"--out={out}", f"--log={log}"
        )

    def record(self, registry: str = "models", name: str = "tiny") -> Path:
        return self.folder / f"hub/{registry}/{name}.json"

    def without_network(self) -> "Client":
        # Port 9 of this machine refuses; a call to it would fail, and loudly.
        self.environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
        return self


@pytest.fixture
def client(repository, tmp_path, hub):
    return Client(repository, tmp_path, hub.url)


def written(folder: Path) -> bytes:
    """Everything that the steps left, but for the downloaded files."""
    files = [file for file in folder.rglob("*") if file.is_file() and "cache" not in file.parts]
    return b"".join(file.read_bytes() for file in files)


def test_only_what_is_needed_is_downloaded_and_recorded(hub, client, model_files):
    repository = hub.add(NAME, model_files, card={"license": "apache-2.0"})
    record = client.fetch()
    assert set(hub.downloads()) == set(record["files"])
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(record["files"])
    assert not {"pytorch_model.bin", "modeling.py", "consolidated.safetensors"} & set(record["files"])
    assert record["revision"] == repository.resolve("main")
    assert record["licence"] == "apache-2.0"
    assert str(client.folder).encode() not in client.record().read_bytes()
    client.fetch()  # again, nothing is sent
    assert len(hub.downloads()) == len(record["files"])


@pytest.mark.slow
def test_what_was_stored_is_prepared_and_generates_without_network(hub, client, model_files):
    hub.add(NAME, model_files)
    record = client.fetch()
    seen = len(hub.requests)
    result = client.without_network().run(
        "prepare_model",
        {"name": "tiny", "model": {"kind": "hub", "name": NAME}},
        f"--hub={client.record()}",
        "--out=models/tiny.json",
    )
    assert result.returncode == 0, result.stderr
    assert len(hub.requests) == seen
    folder = client.folder / "models/tiny"
    prepared = check_folder(folder, folder.with_suffix(".json"))
    assert prepared["files"] == record["files"]
    assert prepared["revision"] == record["revision"]
    assert prepared["files"]["model.safetensors"]["sha256"] == sha256_file(folder / "model.safetensors")
    assert (folder / "model.safetensors").is_symlink()  # not copied: real ones have gigabytes

    import torch

    from contrastive_context.models.language_models import load_model, load_tokenizer

    ids = load_tokenizer(folder)("turn on the lamp", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        assert torch.equal(load_model(folder)(ids).logits, small_models.model("llama")(ids).logits)


def test_a_broken_connection_is_resumed_where_it_broke(hub, client):
    content = bytes(range(256)) * 50_000  # the client counts in pieces of 10 MiB
    hub.add(NAME, {"model.ckpt": content})
    hub.cut["model.ckpt"] = [11 << 20]
    record = client.fetch(use="files", files=["*.ckpt"])
    assert record["files"]["model.ckpt"]["bytes"] == len(content)
    assert [request.range for request in hub.requests if request.range] == [f"bytes={10 << 20}-"]


def test_a_second_call_downloads_only_what_is_missing(hub, client, model_files):
    hub.add(NAME, model_files)
    hub.served["model.safetensors"] = model_files["model.safetensors"][:-500]  # a truncated file at the hub
    assert "a file of someone/tiny arrived incomplete" in client.refused()
    hub.served.clear()
    before = len(hub.downloads())
    record = client.fetch()
    assert "model.safetensors" in hub.downloads()[before:]
    assert before > 1
    assert set(hub.downloads()) == set(record["files"])
    assert len(hub.downloads()) < 2 * len(record["files"])


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])  # known by SHA-256 and by git's hash
def test_a_damaged_file_is_noticed_and_removed(hub, client, model_files, name):
    hub.add(NAME, model_files)
    hub.served[name] = model_files[name][:-4] + b"oops"
    assert f"models.tiny: {name} was damaged on the way" in client.refused()
    hub.served.clear()
    client.fetch()
    assert hub.downloads().count(name) == 2


def test_gated_without_a_token(hub, client, model_files):
    hub.add(NAME, model_files, gated=True, members=(TOKEN,))
    message = client.refused()
    assert "models.tiny: someone/tiny is gated; accept its conditions on" in message
    assert f"{hub.url}/someone/tiny" in message
    assert "HF_TOKEN" in message
    assert hub.downloads() == []


def test_gated_with_the_token_of_an_account_without_access(hub, client, model_files):
    hub.add(NAME, model_files, gated=True)
    hub.tokens = (TOKEN,)
    client.environment["HF_TOKEN"] = TOKEN
    message = client.refused()
    assert "the account of your token has no access to the gated model someone/tiny; ask for it on" in message
    assert TOKEN not in message
    assert TOKEN.encode() not in written(client.folder)


def test_gated_with_access_and_the_token_is_written_nowhere(hub, client, model_files):
    hub.add(NAME, model_files, gated=True, members=(TOKEN,))
    hub.tokens = (TOKEN,)
    client.environment["HF_TOKEN"] = TOKEN
    result = client.attempt()
    assert result.returncode == 0, result.stderr
    assert any(request.token == TOKEN for request in hub.requests)
    assert TOKEN not in result.stdout + result.stderr
    assert TOKEN.encode() not in written(client.folder)


@pytest.mark.parametrize(
    ("entry", "token", "message"),
    [
        ({"repository": "someone/else"}, None, "the hub has no model someone/else, or it is private"),
        ({"repository": "someone/else"}, TOKEN, "the hub has no model someone/else, or it is private"),
        ({"repository": "some one"}, None, "'some one' is not a name on the hub; it reads owner/name"),
        ({"revision": "v9"}, None, "someone/tiny has no revision 'v9'"),
        ({}, "hf_expired", "the hub rejects the token in HF_TOKEN"),
    ],
)
def test_what_the_hub_does_not_have(hub, client, model_files, entry, token, message):
    hub.add(NAME, model_files)
    hub.tokens = (TOKEN,)
    if token:
        client.environment["HF_TOKEN"] = token
    assert f"models.tiny: {message}" in client.refused(**entry)


def test_revisions_that_have_safetensors_are_named_and_can_be_taken(hub, client, model_files):
    pickled = {name: content for name, content in model_files.items() if not name.endswith(".safetensors")}
    repository = hub.add(NAME, pickled)
    repository.commit(pickled | {"README.md": b"better"}, pull="refs/pr/1")
    converted = repository.commit(pickled | {"model.safetensors": model_files["model.safetensors"]}, pull="refs/pr/2")
    message = client.refused(repository=NAME, use="language_model")
    assert "has no .safetensors" in message and "revision: refs/pr/2" in message and "refs/pr/1" not in message
    record = client.fetch(repository=NAME, use="language_model", revision="refs/pr/2")
    assert record["revision"] == converted and "model.safetensors" in record["files"]


def test_no_safetensors(hub, client, model_files):
    hub.add(NAME, {name: content for name, content in model_files.items() if not name.endswith(".safetensors")})
    message = client.refused()
    assert "someone/tiny at revision main has no .safetensors (it has consolidated.pth, pytorch_model.bin" in message


def test_a_cache_that_cannot_be_used(hub, client, model_files):
    hub.add(NAME, model_files)
    client.environment["HF_HOME"] = str(file := client.folder / "a file")
    file.write_text("")
    assert f"the hub's cache, {file}/hub, can't be used (" in (line := client.refused())
    assert "HF_HOME names another folder" in line


def test_no_hub(client):
    assert "can't be reached" in client.without_network().refused()
    client.environment["HF_HUB_OFFLINE"] = "1"
    assert "HF_HUB_OFFLINE is set; unset it" in client.refused()


def test_a_recorded_revision_stays_when_the_hub_moves_on(hub, client, model_files):
    repository = hub.add(NAME, model_files)
    first = client.fetch()
    repository.commit(model_files | {"config.json": model_files["config.json"] + b"\n"})
    pinned = client.fetch(name="pinned", revision=first["revision"])
    assert pinned == first
    moved = client.fetch(name="moved")
    assert moved["revision"] != first["revision"]
    assert moved["files"]["config.json"] != first["files"]["config.json"]
    assert moved["files"]["model.safetensors"] == first["files"]["model.safetensors"]
    assert hub.downloads().count("model.safetensors") == 1  # the same blob


def test_an_emptied_cache_is_noticed_without_network(hub, client, model_files):
    hub.add(NAME, model_files)
    client.fetch()
    client.without_network().environment["HF_HOME"] = str(client.folder / "elsewhere")
    settings = {"name": "tiny", "model": {"kind": "hub", "name": NAME}}
    result = client.run("prepare_model", settings, f"--hub={client.record()}", "--out=models/tiny.json")
    assert result.returncode == 2
    assert "is not in the hub's cache" in result.stderr
    assert "HF_HOME" in result.stderr
    assert not (client.folder / "models").exists() or not list((client.folder / "models").iterdir())


def test_files_by_pattern(hub, client):
    hub.add(NAME, {"hparams.yaml": b"a", "checkpoints/model.ckpt": b"b" * 5000, "README.md": b"c"})
    record = client.fetch(registry="metrics", use="files", files=["hparams.yaml", "checkpoints/*.ckpt"])
    assert set(record["files"]) == {"hparams.yaml", "checkpoints/model.ckpt"}


# --- data sets

CARD = {
    "configs": [
        {"config_name": "de-en", "data_files": [{"split": "train", "path": "de-en/train-*"},
                                                {"split": "test", "path": ["de-en/test-0.parquet"]}]},
        {"config_name": "en-de_DE", "data_files": [{"split": "train", "path": "en-de_DE.jsonl"}]},
    ]
}  # fmt: skip
FILES = ["README.md", "de-en/test-0.parquet", "de-en/train-0.parquet", "de-en/train-1.parquet", "en-de_DE.jsonl"]


def files_of(card=CARD, names=FILES, **entry):
    return data_files("datasets.d", HubEntry(repository="o/d", type="dataset", use="data_set", **entry), card, names)


def test_files_of_a_configuration():
    assert files_of(configuration="de-en") == {
        "train": ["de-en/train-0.parquet", "de-en/train-1.parquet"], "test": ["de-en/test-0.parquet"]
    }  # fmt: skip
    assert files_of(configuration="en-de_DE") == {"train": ["en-de_DE.jsonl"]}
    assert files_of({}, files={"train": "*.jsonl"}) == {"train": ["en-de_DE.jsonl"]}
    one = {"configs": [{"config_name": "default", "data_files": "*.jsonl"}]}
    assert files_of(one) == {"train": ["en-de_DE.jsonl"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"configuration": "fr"},
            "datasets.d.configuration: the card of o/d has no configuration 'fr'; it has de-en",
        ),
        ({}, "has several configurations; name one of de-en, en-de_DE"),
        ({"card": {}}, "names no files; list them under files"),
        ({"files": {"train": "*.arrow"}}, "o/d has no file like *.arrow for split train"),
        ({"files": {"train": "*.zip"}, "names": ["a.zip"]}, "a.zip of o/d can't be read"),
    ],
)
def test_unusable_data_sets(arguments, message):
    with pytest.raises(UserError) as caught:
        files_of(**arguments)
    assert message in str(caught.value)


def test_a_data_set_is_downloaded_by_configuration(hub, client):
    hub.add("o/d", {name: name.encode() * 300 for name in FILES}, type="datasets", card=CARD)
    entry = {"repository": "o/d", "type": "dataset", "use": "data_set", "configuration": "de-en"}
    record = client.fetch("datasets", "d", **entry)
    assert record["splits"]["test"] == ["de-en/test-0.parquet"]
    assert sorted(set(hub.downloads())) == sorted(record["files"]) == FILES[1:4]


def test_the_lock_is_an_overlay(tmp_path):
    import yaml

    revisions = {("models", "a-1.5b"): "0" * 40, ("models", "b"): "1e10" + "0" * 36, ("datasets", "no"): "2" * 40}
    records: dict[str, dict[str, Path]] = {}
    for (registry, name), revision in revisions.items():
        path = records.setdefault(registry, {})[name] = tmp_path / f"{registry}-{name}.json"
        path.write_text(json.dumps({"revision": revision}))
    overlay = yaml.safe_load(lock_text(records))
    assert {(r, n): e["revision"] for r, entries in overlay.items() for n, e in entries.items()} == revisions
    assert yaml.safe_load(lock_text({})) is None
