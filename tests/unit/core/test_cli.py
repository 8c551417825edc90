"""What every entry point does with errors and signals."""

import signal
import subprocess
import sys
import time

import pytest

STEP = """
import time
from contrastive_context.core import artifacts, cli
from contrastive_context.core.errors import UserError

def main(args):
    with artifacts.atomic_folder(args.out) as folder, artifacts.atomic_path(args.out + ".json") as file:
        (folder / "weights").write_text("half")
        file.write_text("half")
        cli.log.info("at work")
        if args.end == "error":
            raise UserError("models.small: not so")
        if args.end == "bug":
            raise ZeroDivisionError
        time.sleep(60)

if __name__ == "__main__":
    parser = cli.parser("A step.")
    parser.add_argument("--out", required=True)
    parser.add_argument("--end")
    cli.run(main, parser)
"""


@pytest.fixture
def start(tmp_path):
    (tmp_path / "step.py").write_text(STEP)
    (tmp_path / "results").mkdir()
    processes = []

    def run(end):
        command = [sys.executable, tmp_path / "step.py", "--settings={}", "--out", tmp_path / "results" / "a"]
        command += ["--end", end, "--log", tmp_path / "step.log"]
        processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()


def wait_for(tmp_path, text):
    for _ in range(300):
        if (tmp_path / "step.log").exists() and text in (tmp_path / "step.log").read_text():
            return
        time.sleep(0.1)
    raise TimeoutError(text)


@pytest.mark.parametrize(
    ("number", "message"), [(signal.SIGTERM, "terminated (SIGTERM"), (signal.SIGINT, "interrupted; run the same")]
)
def test_a_signal_leaves_no_rest(start, tmp_path, number, message):
    process = start("never")
    wait_for(tmp_path, "at work")
    assert len(list((tmp_path / "results").iterdir())) == 2
    process.send_signal(number)
    assert process.wait(30) == 128 + number
    assert message in (tmp_path / "step.log").read_text()
    assert not list((tmp_path / "results").iterdir())


@pytest.mark.parametrize(("end", "status", "message"), [("error", 2, "error: models.small: not so"), ("bug", 1, "bug")])
def test_errors_are_in_the_log(start, tmp_path, end, status, message):
    assert start(end).wait(30) == status
    text = (tmp_path / "step.log").read_text()
    assert message in text
    assert ("Traceback" in text) == (end == "bug")
    assert not list((tmp_path / "results").iterdir())


def test_the_handler_is_put_back(monkeypatch, tmp_path):
    from contrastive_context.core import cli

    before = signal.getsignal(signal.SIGTERM)
    inside = []
    monkeypatch.setattr("sys.argv", ["step", "--settings={}"])
    cli.run(lambda args: inside.append(signal.getsignal(signal.SIGTERM)), cli.parser("A step."))
    assert inside[0] is not before
    assert signal.getsignal(signal.SIGTERM) is before
