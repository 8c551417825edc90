"""A real SLURM on loopback, without systemd: its daemons are children of the test process and end with it."""

import contextlib
import getpass
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

DEBIAN_PACKAGES = "munge slurm-client slurmctld slurmd"
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"

# Two partitions over the same nodes: jobs of `main` requeue those of `scavenger`. There is no accounting database.
_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# How long a credential lives is also how long a requeued job is held back; two minutes by default.
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SwitchType=switch/none
MpiDefault=none
PlugStackConfig={folder}/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
# The nodes share one machine, whose cores are counted once for each.
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=10
KillWait=3
MinJobAge=3600
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=60 PriorityTier=10 PreemptMode=OFF
PartitionName=scavenger Nodes=ALL MaxTime=60 PriorityTier=1 PreemptMode=REQUEUE
"""
_NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} Boards=1 SocketsPerBoard=1"
    " CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory_mb} Gres=gpu:1"
)
# A GPU's file must be a device; which one is of no importance here. The job sees CUDA_VISIBLE_DEVICES=0.
_GPU = "NodeName={name} Name=gpu File=/dev/null"
# Jobs must find this cluster, not one of the machine's own, also where Snakemake removes SLURM's variables from the
# environment: its job-step plugin does before it calls srun.
_FIELD = re.compile(r"(\S+?)=(\S*)")
_SRUN = '#!/bin/sh\nSLURM_CONF={configuration} exec {srun} "$@"\n'


def missing() -> list[str]:
    """Return the programs of SLURM and munge that this machine lacks."""
    return [name for name in _PROGRAMS if _which(name) is None]


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:{_SYSTEM_PATH}")


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60, every: float = 0.1) -> None:
    """Return as soon as ``condition`` holds.

    Raises:
        TimeoutError: it doesn't after ``seconds``; the message says ``what`` was waited for.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(every)


class Cluster:
    """A cluster of ``nodes`` nodes named n1, n2, …

    Args:
        folder: for configuration, state and logs; its path must be short, since a socket lies there.
        nodes: how many; more than the machine's cores are fine.
        cpus: of each node.
        memory_mb: of each node.
    """

    def __init__(self, folder: Path, nodes: int, cpus: int = 1, memory_mb: int = 4000) -> None:
        self.folder = folder
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))},
            "SLURM_CONF": str(folder / "slurm.conf"),
            # The steps call `python`: the one that runs the tests.
            "PATH": f"{folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}:{_SYSTEM_PATH}",
        }
        self._daemons: dict[str, subprocess.Popen] = {}
        self._configure(cpus, memory_mb)

    def _configure(self, cpus: int, memory_mb: int) -> None:
        host, ports = socket.gethostname().split(".")[0], _free_ports(len(self.nodes) + 1)
        common = {"host": host, "cpus": cpus, "memory_mb": memory_mb}
        nodes = [_NODE.format(name=name, port=port, **common) for name, port in zip(self.nodes, ports[1:], strict=True)]
        values = {"folder": self.folder, "host": host, "user": getpass.getuser(), "port": ports[0]}
        files = {
            "slurm.conf": _CONFIGURATION.format(nodes="\n".join(nodes), **values),
            "gres.conf": "\n".join(_GPU.format(name=name) for name in self.nodes) + "\n",
            "plugstack.conf": "",
            "bin/srun": _SRUN.format(
                configuration=shlex.quote(self.environment["SLURM_CONF"]), srun=_which("srun") or "srun"
            ),
        }
        for name in ("bin", "state", "munge", *(f"spool-{name}" for name in self.nodes)):
            (self.folder / name).mkdir(parents=True)
        for name, text in files.items():
            (self.folder / name).write_text(text)
        (self.folder / "bin/srun").chmod(0o755)
        # munged insists that nobody else can read its key or write beside it, and that all can reach its socket.
        self.folder.chmod(0o755)
        (self.folder / "munge").chmod(0o700)
        key = os.open(self.folder / "munge/key", os.O_CREAT | os.O_WRONLY, 0o600)
        with os.fdopen(key, "wb") as file:
            file.write(os.urandom(128))

    def __enter__(self) -> "Cluster":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the daemons; return when every node takes jobs."""
        munge, socket_file = self.folder / "munge", self.folder / "munge.sock"
        self._start("munged", "--foreground", f"--key-file={munge}/key", f"--socket={socket_file}",
                    f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed")  # fmt: skip
        wait_until(socket_file.exists, "munged's socket")
        self._start("slurmctld", "-D")
        wait_until(lambda: "UP" in self.run("scontrol", "ping", check=False), "slurmctld's answer")
        for node in self.nodes:
            self.start_node(node)

    def start_node(self, node: str) -> None:
        """Start a node's slurmd; return when the node takes jobs."""
        self._start("slurmd", "-D", "-N", node, key=node)
        state = ("sinfo", "--noheader", "--partition=main", f"--nodes={node}", "--format=%T")
        wait_until(lambda: self.run(*state).strip() in ("idle", "mixed", "allocated"), f"node {node}")

    def kill_node(self, node: str) -> None:
        """Kill a node's slurmd with SIGKILL. What its jobs run goes on: SLURM is made so."""
        daemon = self._daemons.pop(node)
        daemon.kill()
        daemon.wait()

    def _start(self, program: str, *options: str, key: str | None = None) -> None:
        with (self.folder / f"{key or program}.log").open("ab") as log:
            self._daemons[key or program] = subprocess.Popen(
                [_which(program), *options], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,  # Ctrl-C reaches pytest alone, which then stops them in order
            )  # fmt: skip

    def stop(self) -> None:
        """End all jobs and daemons, and whatever processes they leave."""
        if "slurmctld" in self._daemons:
            with contextlib.suppress(TimeoutError, subprocess.TimeoutExpired):  # what is left is killed at the end
                self.run("scancel", "--user", getpass.getuser(), check=False)
                wait_until(lambda: not self.run("squeue", "--noheader", check=False), "end of all jobs", seconds=30)
        for name, daemon in reversed(list(self._daemons.items())):
            daemon.terminate()
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
            del self._daemons[name]
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                process.kill()

    def _processes(self) -> list[psutil.Process]:
        """Return the processes that were started with this cluster's environment."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SLURM_CONF") == self.environment["SLURM_CONF"]:
                    found.append(process)
        return [process for process in found if process.pid != os.getpid()]

    def jobs(self) -> list[dict[str, str]]:
        """Return the fields that ``scontrol show job`` has for every job, finished ones too, by number."""
        shown = self.run("scontrol", "--oneliner", "show", "job").splitlines()
        jobs = [dict(_FIELD.findall(line)) for line in shown if "JobId=" in line]
        return sorted(jobs, key=lambda job: int(job["JobId"]))

    def run(self, *command: str, check: bool = True) -> str:
        """Run one of SLURM's commands and return its output.

        Raises:
            RuntimeError: it failed; with its error message.
        """
        result = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        if check and result.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)}: {result.stderr.strip()}")
        return result.stdout


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports
