"""Jobs that run in children of a process with the libraries loaded behave as those that start by themselves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contrastive_context.core import preloading

JOB = """
import atexit, json, os, sys
sys.path.insert(0, {scripts!r})
from contrastive_context.core import preloading
if (status := preloading.run_in_child(["colorsys"])) is not None:
    sys.exit(status)
atexit.register(lambda: print("the end", flush=True))
told = {{"arguments": sys.argv, "folder": os.getcwd(), "variable": os.environ.get("TOLD"), "umask": os.umask(0),
        "loaded": "colorsys" in sys.modules, "forked": preloading.FOLDER not in os.environ, "name": __name__}}
print(json.dumps(told), flush=True)
"""


@pytest.fixture
def job(tmp_path, repository, monkeypatch):
    """Write a job's code; return a function that starts it as the workflow does."""
    monkeypatch.setenv(preloading.FOLDER, "")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    folder = preloading.open_folder()
    script = tmp_path / "job.py"
    started = []

    def start(code="", *arguments, cwd=tmp_path, **variables):
        script.write_text(JOB.format(scripts=str(repository / "workflow_scripts")) + code)
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, str(script), *arguments]
        environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        started.append(subprocess.Popen(command, cwd=cwd, env=environment | variables, text=True, **pipes))
        return started[-1]

    start.folder = folder
    yield start
    for one in started:
        one.kill()
        one.communicate()


def wait_for(condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def warm(job):
    """The same, when the process that waits is there."""
    told(job())
    wait_for(lambda: list(job.folder.glob("*.socket")))
    return job


def told(started) -> dict:
    """Return what a job told, after its end."""
    import json

    output, errors = started.communicate(timeout=60)
    assert started.returncode == 0, errors
    first, *rest = output.splitlines()
    assert rest[-1] == "the end"
    return json.loads(first)


def test_the_first_job_starts_by_itself_and_the_next_ones_are_children(warm):
    second = told(warm())
    assert second["loaded"] and second["forked"] and second["name"] == "__main__"
    assert (warm.folder.stat().st_mode & 0o777) == 0o700


def test_a_child_has_what_the_job_has(warm, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    previous = os.umask(0o027)
    try:
        found = told(warm("", "--out", "a b", cwd=other))
    finally:
        os.umask(previous)
    assert found["forked"] and found["arguments"] == [str(tmp_path / "job.py"), "--out", "a b"]
    assert (found["folder"], found["umask"]) == (str(other), 0o027)


def test_standard_streams_are_the_jobs(warm):
    started = warm("print('error', file=sys.stderr)\nprint(sys.stdin.read())\n")
    output, errors = started.communicate("typed", timeout=60)
    assert output.splitlines()[1:] == ["typed", "the end"] and errors == "error\n"


def test_limits_are_the_jobs(warm):
    import resource

    code = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE)[0], os.nice(0))"
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] != 7
    script = warm(code).args[1]
    shell = f"ulimit -S -c 7; unset PYTEST_CURRENT_TEST; exec nice -n 3 {sys.executable} {script}"
    output = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True, cwd=Path(script).parent)
    assert '"forked": true' in output.stdout
    assert output.stdout.splitlines()[1] == f"{7 * 1024} {os.nice(0) + 3}"


@pytest.mark.parametrize(
    ("code", "status", "errors"),
    [
        ("sys.exit(3)", 3, ""),
        ("sys.exit('why')", 1, "why\n"),
        ("raise ValueError('a fault')", 1, "ValueError: a fault\n"),
        ("import signal; os.kill(os.getpid(), signal.SIGKILL)", 137, ""),
        ("os._exit(5)", 137, ""),  # nothing can be told then
    ],
)
def test_the_exit_status_is_the_childs(warm, code, status, errors):
    started = warm(code)
    _, found = started.communicate(timeout=60)
    assert started.returncode == status and found.endswith(errors)


WAITS = """
import signal, time
def stop(number, _):
    print("cleaned up after", signal.Signals(number).name, flush=True)
    sys.exit(128 + number)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, stop)
print(os.getpid(), flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_child_which_cleans_up(warm, number):
    started = warm(WAITS)
    started.stdout.readline()
    child = int(started.stdout.readline())
    assert child != started.pid
    started.send_signal(number)
    output, _ = started.communicate(timeout=60)
    assert output.splitlines() == [f"cleaned up after {number.name}", "the end"]
    assert started.returncode == 128 + number


def gone(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_a_child_dies_with_its_job(warm):
    started = warm(WAITS)
    started.stdout.readline()
    child = int(started.stdout.readline())
    assert not gone(child)
    started.kill()
    assert started.wait() == -signal.SIGKILL
    wait_for(lambda: gone(child))
    assert gone(child)


def test_a_job_starts_by_itself_where_the_process_is_gone_or_the_environment_another(warm):
    waiting = process_of(warm.folder)
    assert not told(warm(OMP_NUM_THREADS="7"))["forked"]
    os.kill(waiting, signal.SIGKILL)
    wait_for(lambda: gone(waiting))
    assert not told(warm())["forked"]
    assert not told(warm(SLURM_JOB_ID="1"))["forked"]


def process_of(folder: Path) -> int:
    """Return the process that waits in a folder."""
    (found,) = (
        int(path.name)
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and not gone(int(path.name)) and f"{folder}/".encode() in (path / "cmdline").read_bytes()
    )
    return found


def test_the_process_ends_with_the_workflow(warm, repository):
    call = (
        f"import sys; sys.path.insert(0, {str(repository / 'workflow_scripts')!r}); "
        "from contrastive_context.core import preloading; print(preloading.open_folder(), flush=True); sys.stdin.read()"
    )
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    workflow = subprocess.Popen([sys.executable, "-c", call], text=True, **pipes)
    folder = Path(workflow.stdout.readline().strip())
    told(warm(**{preloading.FOLDER: str(folder)}))
    wait_for(lambda: list(folder.glob("*.socket")))
    waiting = process_of(folder)
    workflow.kill()
    workflow.communicate()
    wait_for(lambda: gone(waiting) and not folder.exists())
    assert not told(warm(**{preloading.FOLDER: str(folder)}))["forked"]
