"""What the trials found: altered files that were read as whole, and refusals that were tracebacks."""

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from disks import can_mount, nearly_full, small_disk

from contrastive_context.core import artifacts, provenance
from contrastive_context.core.errors import UserError
from contrastive_context.models.adapters import read_checkpoints
from contrastive_context.retrieval.encoders import embed_to_file
from contrastive_context.workflow.adoption import adopt
from contrastive_context.workflow.snakemake_internals import Records

STEP = """
from contrastive_context.core import cli

def main(args):
    cli.log.info("read %s", open(args.corpus).read())

if __name__ == "__main__":
    parser = cli.parser("A step.")
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", required=True)
    cli.run(main, parser)
"""


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A file with the sidecar of a step ``build``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["build.py"])
    path = tmp_path / "results/run/corpus.txt"
    path.parent.mkdir(parents=True)
    path.write_text("right")
    provenance.write_provenance(path.relative_to(tmp_path), inputs={}, settings={}, started=0)
    monkeypatch.setattr(sys, "argv", ["next.py"])
    return path


def flip(path):
    """Change one bit; size and time stay."""
    state, content = path.stat(), bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_wrong_bit_in_an_input_was_read_as_if_it_were_right(corpus):
    provenance.check_inputs([corpus])
    flip(corpus)
    provenance._digest_of.cache_clear()
    with pytest.raises(UserError, match=r"corpus\.txt: not as build left it; delete it and run the same command again"):
        provenance.check_inputs([corpus])


def test_a_folder_in_place_of_an_input(corpus):
    corpus.unlink()
    corpus.mkdir()
    with pytest.raises(UserError, match=r"corpus\.txt: not as build left it"):
        provenance.check_inputs([corpus])


def test_own_files_and_a_steps_former_output_are_taken_as_they_are(corpus, monkeypatch):
    own = corpus.with_name("own.txt")
    own.write_text("anything")
    corpus.write_text("altered")
    monkeypatch.setattr(sys, "argv", ["build.py"])
    provenance.check_inputs([own, corpus])


def test_a_step_refuses_before_it_reads(corpus, tmp_path):
    (tmp_path / "next.py").write_text(STEP)
    command = [sys.executable, "next.py", "--settings={}", "--corpus", corpus, "--out", "x"]
    assert "read right" in subprocess.run(command, capture_output=True, text=True, check=True).stderr
    corpus.write_text("wrong")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "read" not in result.stderr
    assert "corpus.txt: not as build left it" in result.stderr and "Traceback" not in result.stderr


def test_a_log_that_cant_be_written_was_a_traceback(corpus, tmp_path):
    (tmp_path / "next.py").write_text(STEP)
    command = [sys.executable, "next.py", "--settings={}", "--corpus", corpus, "--out", "x", "--log", corpus / "a.log"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "a.log: can't be written" in result.stderr and "Traceback" not in result.stderr


def test_a_damaged_final_table_was_called_done(corpus):
    """Snakemake looks at times alone, and nothing reads a final table."""
    Records().add("results/run/corpus.txt", settings="{}", inputs={}, started=0)
    assert adopt("results/run") == 0
    flip(corpus)
    with pytest.raises(UserError, match=r"delete them to make them again: results/run/corpus\.txt"):
        adopt("results/run")


def test_a_malformed_sidecar_was_a_traceback(corpus):
    sidecar = corpus.with_name("corpus.txt.provenance.json")
    for record in ([], {"step": "build", "outputs": [{"path": 3}], "inputs": {}, "settings": {}}, {"outputs": 1}):
        sidecar.write_text(json.dumps(record))
        with pytest.raises(UserError, match=r"corpus\.txt\.provenance\.json: not a sidecar of this version"):
            provenance.check_inputs([corpus])


def test_a_folder_in_place_of_an_output_was_a_traceback(tmp_path):
    path = tmp_path / "table.csv"
    path.mkdir()
    with pytest.raises(UserError, match=r"table\.csv: can't be written, .*is in the way"):
        artifacts.write_json(path, {})
    file = tmp_path / "model"
    file.write_text("a file")
    with pytest.raises(UserError, match=r"model: can't be written, .*is in the way"), artifacts.atomic_folder(file):
        pass
    assert file.read_text() == "a file"


def test_a_full_disk_that_shows_only_in_the_first_of_two_errors(tmp_path):
    """matplotlib's PDF writer fails a second time as it closes the file."""
    with pytest.raises(UserError, match="no space left on the disk"), artifacts.atomic_path(tmp_path / "fig.pdf"):
        try:
            raise OSError(28, "No space left on device")
        finally:
            raise ValueError("inconsistent stream state")


def test_a_wrong_bit_in_weights_of_the_same_size_was_not_noticed(tmp_path):
    folder, hashes = tmp_path / "model", tmp_path / "model.json"
    folder.mkdir()
    (folder / "weights").write_text("abc")
    artifacts.write_folder_hashes(folder, hashes)
    artifacts.check_folder(folder, hashes)
    flip(folder / "weights")
    with pytest.raises(UserError, match="weights: missing or altered"):
        artifacts.check_folder(folder, hashes)


def test_an_altered_factor_of_an_adapter_was_not_noticed(tmp_path):
    folder = tmp_path / "step-000004"
    folder.mkdir()
    entry = {"folder": folder.name}
    for key, name in (("sha256", "adapter_model.safetensors"), ("config_sha256", "adapter_config.json")):
        (folder / name).write_text('{"lora_alpha": 16}')
        entry[key] = artifacts.sha256_file(folder / name)
    artifacts.write_json(tmp_path / "adapters.json", {"base_sha256": "b", "steps": {"4": entry}})
    assert read_checkpoints(tmp_path / "adapters.json", "b") == {4: folder}
    (folder / "adapter_config.json").write_text('{"lora_alpha": 17}')
    with pytest.raises(UserError, match=r"adapter_config\.json: missing or altered"):
        read_checkpoints(tmp_path / "adapters.json", "b")


class TestEmbedding:
    """An array that is written row by row, and gone on with."""

    texts = pa.chunked_array([[f"text {number}" for number in range(64)]])

    def encode(self, texts):
        return np.stack([np.random.default_rng(int(text[5:])).normal(size=1024) for text in texts]).astype(np.float32)

    def embed(self, path, encode=None):
        embed_to_file(path, self.texts, encode or self.encode, 1, key="k")
        return path.read_bytes()

    def interrupted(self, path):
        calls = []

        def encode(texts):
            calls.append(texts)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return self.encode(texts)

        with pytest.raises(KeyboardInterrupt):
            self.embed(path, encode)
        (partial,) = path.parent.glob(".*.partial.npy")
        return partial

    @pytest.mark.parametrize("place", [-1, 200, 5000])
    def test_a_wrong_bit_in_what_was_kept_was_taken_over(self, tmp_path, place):
        expected = self.embed(tmp_path / "undisturbed.npy")
        partial = self.interrupted(tmp_path / "a.npy")
        content = bytearray(partial.read_bytes())
        content[place] ^= 1
        partial.write_bytes(content)
        assert self.embed(tmp_path / "a.npy") == expected

    def test_what_was_kept_and_cut_was_a_traceback(self, tmp_path):
        expected = self.embed(tmp_path / "undisturbed.npy")
        partial = self.interrupted(tmp_path / "a.npy")
        partial.write_bytes(partial.read_bytes()[:1000])
        assert self.embed(tmp_path / "a.npy") == expected

    def test_rows_that_a_second_job_wiped_out_were_zero(self, tmp_path):
        expected = self.embed(tmp_path / "undisturbed.npy")
        wiped = []

        def encode(texts):
            if len(texts) < 64 and "text 40" in texts and not wiped:
                (partial,) = tmp_path.glob(".a-*.partial.npy")
                rows = np.load(partial, mmap_mode="r+")
                wiped.append(rows[:16].any())
                rows[:] = 0
            return self.encode(texts)

        assert self.embed(tmp_path / "a.npy", encode) == expected
        assert wiped == [True]

    @pytest.mark.skipif(not can_mount(), reason="root is needed to mount a small disk")
    def test_a_full_disk_killed_the_process_without_a_word(self, tmp_path):
        with small_disk(tmp_path / "disk", 1) as disk:
            with nearly_full(disk, 100_000), pytest.raises(UserError, match=r"a\.npy: no space left on the disk"):
                self.embed(disk / "a.npy")
            assert self.embed(disk / "a.npy") == self.embed(tmp_path / "undisturbed.npy")
