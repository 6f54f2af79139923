"""A SLURM of one node on this machine, from Debian's packages (``apt-get install slurm-wlm munge``), for tests."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NEEDED = ("slurmctld", "slurmd", "munged", "mungekey", "sbatch", "squeue", "sinfo")
MUNGE = Path("/run/munge")


def missing() -> str:
    """Why there can be no cluster here; empty if there can."""
    absent = [name for name in NEEDED if not (shutil.which(name) or Path("/usr/sbin", name).exists())]
    if absent:
        return f"not installed: {', '.join(absent)} (apt-get install slurm-wlm munge)"
    return "" if os.geteuid() == 0 else "SLURM's daemons are started by root"


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start it; yields the environment that its commands need."""
    host = socket.gethostname().split(".")[0]
    conf = folder / "slurm.conf"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 * 9 // 10
    conf.write_text(
        f"""ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} RealMemory={memory}
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP PreemptMode=REQUEUE
"""
    )
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    environment = {"SLURM_CONF": str(conf)}
    started: list[subprocess.Popen[bytes]] = []
    try:
        munge(folder)
        for name in ("slurmctld", "slurmd"):
            log = (folder / f"{name}.out").open("wb")
            started.append(subprocess.Popen([daemon(name), "-D"], env=os.environ | environment, stdout=log, stderr=log))
        wait_for_node(environment, folder)
        yield environment
    finally:
        with suppress(Exception):
            subprocess.run(["scancel", "--user=root"], env=os.environ | environment, timeout=20, check=False)
            time.sleep(1)
        for process in reversed(started):
            process.terminate()
        for process in started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def daemon(name: str) -> str:
    """Where a daemon is: not on every user's path."""
    return shutil.which(name) or f"/usr/sbin/{name}"


def munge(folder: Path) -> None:
    """The authentication daemon, unless it runs already; it is left running."""
    if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0:
        return
    key = Path("/etc/munge/munge.key")
    if not key.exists():
        subprocess.run([daemon("mungekey")], check=True)
    MUNGE.mkdir(exist_ok=True)
    for path in (key, MUNGE, *(Path(place) for place in ("/var/log/munge", "/var/lib/munge", "/etc/munge"))):
        if path.exists():
            shutil.chown(path, "munge", "munge")
    MUNGE.chmod(0o755)
    subprocess.run([daemon("munged")], check=True, user="munge", group="munge", extra_groups=[])


def wait_for_node(environment: dict[str, str], folder: Path) -> None:
    """Wait until the node is idle."""
    for _ in range(60):
        done = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(file.read_text(errors="replace")[-2000:] for file in folder.glob("*.log"))
    raise RuntimeError(f"the node did not become idle: {done.stdout} {done.stderr}\n{logs}")
