"""Runs as jobs of a real Slurm, which the test starts where it is installed."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import one_node
import pytest
import toy
from cluster import ran, wait_until

from stylerepro.errors import RunError
from stylerepro.runs import engines

# Not importorskip: to import dask_jobqueue changes what Ctrl-C does.
if find_spec("dask_jobqueue") is None:
    pytest.skip("the package dask-jobqueue is not installed", allow_module_level=True)

ON_SLURM = """\
job = os.environ["SLURM_JOB_ID"]
with open(os.path.join(os.environ["STYLEREPRO_ROOT"], "ran.txt"), "a") as stream:
    stream.write(f"{run.parameters['size']}:{job}\\n")
while run.parameters["size"] == 6 and not os.path.exists(os.environ["GO"]):
    time.sleep(0.1)
""" + toy.BODY.replace('run.parameters["reading"]', "job")


@pytest.mark.skipif(bool(one_node.lacking()), reason=one_node.lacking())
def test_jobs_of_a_real_slurm_do_the_runs_and_a_lost_job_is_replaced(tmp_path):
    tmp_path = tmp_path / "a folder"
    toy.add(tmp_path, "toy", ON_SLURM)
    with one_node.OneNode() as slurm, ThreadPoolExecutor(1) as aside:
        places = {"STYLEREPRO_ROOT": str(tmp_path), "GO": str(tmp_path / "go"), "DASK_JOBQUEUE__SLURM__INTERFACE": "lo"}

        def sweep(*words, **more):
            command = [sys.executable, "-m", "stylerepro.cli.main", "sweep", "toy", "--profile", "smoke", *words]
            environment = slurm.environment | places | more
            return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

        slurmy = ("-p", "size=4,5,6", "--engine", "slurm", "--jobs", "2", "--sbatch")
        refused = sweep(*slurmy, "--partition=none")
        assert (refused.returncode, "invalid partition" in refused.stderr) == (2, True), refused.stderr
        going = aside.submit(sweep, *slurmy, "--partition=all --cpus-per-task=1 --comment='two words'")

        def jobs_of_six():
            assert not going.done(), going.result().stdout + going.result().stderr
            return [line.split(":")[1] for line in ran(tmp_path) if line.startswith("6:")]

        (lost,) = wait_until(jobs_of_six)
        assert "two words" in slurm.call("squeue", "-h", "-o", "%k")
        assert (tmp_path / f"results/runs/.slurm/stylerepro-{lost}.err").is_file()
        slurm.call("scancel", "--signal=KILL", lost)
        (tmp_path / "go").touch()
        done = going.result(timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "3 rows of 3 points" in done.stdout
        wait_until(lambda: not slurm.call("squeue", "-h"))
        lost_at_once = sweep("-p", "size=7", "--engine", "slurm", DASK_JOBQUEUE__SLURM__PYTHON="/bin/false")
        assert lost_at_once.returncode == 1
        assert "Slurm's jobs end before they work" in lost_at_once.stdout
    (table,) = tmp_path.glob("results/runs/toy/sweep-smoke-*.csv")
    jobs = dict(line.split(",")[1::3] for line in table.read_text().splitlines()[1:])
    assert sorted(jobs) == ["4", "5", "6"]
    assert jobs["6"] != lost
    assert len(ran(tmp_path)) == 4


def test_a_job_asks_slurm_for_gpus_and_leaves_memory_and_time_to_the_user(tmp_path, monkeypatch):
    """With an sbatch that notes what it is asked, and refuses."""
    script = tmp_path / "sbatch"
    script.write_text(f"#!/bin/sh\ncat > {tmp_path}/asked\necho 'no such GPU' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path / "a folder"))
    monkeypatch.setattr(sys, "executable", "/an environment/bin/python")
    opened = engines.opened("slurm", 3, jobs=2, gpus=2, sbatch="--time=1:00:00 --comment='two words'")
    told = pytest.raises(RunError, match="Slurm refuses such a job: no such GPU")
    import dask

    before = signal.getsignal(signal.SIGINT)
    with dask.config.set({"jobqueue.slurm.interface": "lo"}), told, opened:
        pass
    assert signal.getsignal(signal.SIGINT) is before
    asked = (tmp_path / "asked").read_text()
    options = [line for line in asked.splitlines() if line.startswith("#SBATCH")]
    wanted = ["--gres=gpu:2", "--time=1:00:00", "'--comment=two words'"]
    assert [line.removeprefix("#SBATCH ") for line in options][-3:] == wanted
    assert not [line for line in options if " -t " in line or "--mem" in line]
    assert f"#SBATCH '--output={tmp_path}/a folder/results/runs/.slurm/stylerepro-%J.out'" in options
    assert "\n'/an environment/bin/python' -m " in asked
    assert "--resources GPU=2" in asked
    assert "--nthreads 1" in asked
    assert "OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}" in asked
