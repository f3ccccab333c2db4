"""A Slurm of one node, this machine: munge, controller and node as processes of the test, everything in a folder."""

import os
import platform
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch")
CONFIG = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/control.pid
SlurmdPidFile={folder}/node.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def lacking() -> str:
    """Why there can be no Slurm here; "" where there can."""
    missing = [name for name in NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing:
        return f"Slurm is not installed (no {missing[0]}); on Debian: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "only root can start a Slurm"


class OneNode:
    """As a context: Slurm is up, and `environment` leads its commands to it."""

    def __enter__(self) -> "OneNode":
        # Not pytest's own folder: the path of munge's socket must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        control, node = free_ports(2)
        values = {"host": platform.node().split(".")[0], "control": control, "node": node}
        config = self.folder / "slurm.conf"
        config.write_text(CONFIG.format(folder=self.folder, cores=os.cpu_count(), **values))
        key = self.folder / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self.environment = os.environ | {"SLURM_CONF": str(config), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        files = {name: f"--{name}-file={self.folder}/munge.{name}" for name in ("pid", "log", "seed")}
        self.processes: list[subprocess.Popen] = []
        self._start("munged", "-F", "--force", f"--key-file={key}", f"--socket={self.folder}/munge", *files.values())
        self._wait(lambda: (self.folder / "munge").exists())
        self._start("slurmctld", "-D", "-c")
        self._start("slurmd", "-D")
        self._wait(lambda: "idle" in self.call("sinfo", "-h", "-o", "%T"))
        return self

    def __exit__(self, *_: object) -> None:
        self.call("scancel", "--user=root")
        self._wait(lambda: not self.call("squeue", "-h"))
        for process in reversed(self.processes):
            process.terminate()
            process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, *words: str) -> str:
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def _start(self, *words: str) -> None:
        with (self.folder / f"{words[0]}.out").open("wb") as log:
            options = {"env": self.environment, "stdout": log, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
            self.processes.append(subprocess.Popen(words, **options))

    def _wait(self, condition, limit: float = 60.0) -> None:
        end = time.monotonic() + limit
        while not condition():
            said = [path.read_text(errors="replace")[-500:] for path in self.folder.glob("*.out")]
            assert time.monotonic() < end, said
            time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment."""
    listeners = [socket.socket() for _ in range(count)]
    for listener in listeners:
        listener.bind(("127.0.0.1", 0))
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
