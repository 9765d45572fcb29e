"""A real Slurm on this machine alone: controller, node daemon and munge of its own, without accounting. Needs root.

Tasks of a job can be held before they do anything: bash reads `gate.sh` before a job's script, see `Cluster.holding`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from helpers.waiting import PATIENCE, wait_until

_PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
_CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
KillWait=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
# A task says that it has started, and waits at its gate until the test opens that.
_GATE = """\
task="$GATES/${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}.${SLURM_RESTART_COUNT:-0}"
mkfifo "$task.open" && echo $$ > "$task.partial" && mv "$task.partial" "$task.started" && read -r _ < "$task.open"
"""


def why_there_is_none() -> str:
    """Why no Slurm can be started here; empty if one can."""
    missing = [name for name in _PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        return f"Slurm is not installed ({', '.join(missing)}): apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "only root can start a Slurm"


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


class Cluster:
    """A running Slurm. `environment` is what its commands need."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._host = folder, socket.gethostname().partition(".")[0]
        self.gates = folder / "gates"
        for name in ("state", "spool", "gates"):
            (folder / name).mkdir()
        self._write()
        environment = {**os.environ, "PATH": _path(), "SLURM_CONF": str(folder / "slurm.conf")}
        self.environment = {name: value for name, value in environment.items() if not name.startswith("SLURM_JOB")}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Cluster:
        try:
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if "slurmctld" in self._daemons:
            self.run("scancel", "--user=root", check=False)
            for gate in self.gates.glob("*.started"):
                self._kill(int(gate.read_text()), signal.SIGKILL)
            wait_until(lambda: not self.run("squeue", "--noheader", check=False), "the end of all jobs")
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
            daemon.wait(PATIENCE)

    def run(self, *command: str, check: bool = True) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def kill_node(self, *tasks: int) -> None:
        """Kills the node's daemon, and processes of tasks with what Slurm has beside each, as when the machine goes down."""
        node = self._daemons.pop("slurmd")
        node.kill()
        node.wait(PATIENCE)
        for task in tasks:
            parent = Path(f"/proc/{task}/stat").read_text().rpartition(")")[2].split()[1]
            assert Path(f"/proc/{parent}/comm").read_text() == "slurmstepd\n"
            self._kill(int(parent), signal.SIGKILL)
            self._kill(task, signal.SIGKILL)

    def start_node(self) -> None:
        """Starts the node's daemon, and waits until the controller has heard of it."""
        self._start("slurmd", "-D", "-L", str(self.folder / "slurmd.log"))
        wait_until(self._is_up, "the node")

    def _is_up(self) -> bool:
        ended = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
        assert not ended, [(self.folder / f"{name}.out").read_text() for name in ended]
        return self.run("sinfo", "-h", "-o", "%t", check=False) in ("idle", "mix", "alloc")

    def holding(self) -> dict[str, str]:
        """The environment of a command whose tasks are to be held."""
        gate = self.folder / "gate.sh"
        gate.write_text(_GATE)
        return {**self.environment, "BASH_ENV": str(gate), "GATES": str(self.gates)}

    def started(self, task: str, restarts: int = 0) -> int:
        """Waits until a task is held; returns the number of its process."""
        path = self.gates / f"{task}.{restarts}.started"
        wait_until(path.exists, f"the start of task {task}")
        return int(path.read_text())

    def open(self, task: str, restarts: int = 0) -> None:
        """Lets a task go on."""
        (self.gates / f"{task}.{restarts}.open").write_text("\n")

    def _start_all(self) -> None:
        folder = self.folder
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o600)
        self._start(
            "munged", "--foreground", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed",
            "--force",
        )  # fmt: skip
        wait_until((folder / "munge.socket").exists, "munge")
        self._start("slurmctld", "-D", "-L", str(folder / "slurmctld.log"))
        self.start_node()

    def _start(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.out").open("ab") as output:
            found = shutil.which(program, path=_path())
            assert found is not None
            self._daemons[program] = subprocess.Popen(
                [found, *arguments], env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def _write(self) -> None:
        with socket.socket() as one, socket.socket() as other:
            ports = []
            for each in (one, other):
                each.bind(("127.0.0.1", 0))
                ports.append(each.getsockname()[1])
        text = _CONFIGURATION.format(host=self._host, folder=self.folder, ports=ports)
        (self.folder / "slurm.conf").write_text(text)

    @staticmethod
    def _kill(number: int, how: int) -> None:
        if Path(f"/proc/{number}").exists():
            os.kill(number, how)
