"""Runs as jobs of a real Slurm, which the test starts where it is installed."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import one_node
import pytest
import toy
from test_engines import ran, wait_until

pytest.importorskip("dask_jobqueue", reason="the package dask-jobqueue is not installed")

ON_SLURM = """\
job = os.environ["SLURM_JOB_ID"]
with open(os.path.join(os.environ["STYLEREPRO_ROOT"], "ran.txt"), "a") as stream:
    stream.write(f"{run.parameters['size']}:{job}\\n")
while run.parameters["size"] == 6 and not os.path.exists(os.environ["GO"]):
    time.sleep(0.1)
""" + toy.BODY.replace('run.parameters["reading"]', "job")


@pytest.mark.skipif(bool(one_node.lacking()), reason=one_node.lacking())
def test_jobs_of_a_real_slurm_do_the_runs_and_a_lost_job_is_replaced(tmp_path):
    toy.add(tmp_path, "toy", ON_SLURM)
    with one_node.OneNode() as slurm, ThreadPoolExecutor(1) as aside:
        places = {"STYLEREPRO_ROOT": str(tmp_path), "GO": str(tmp_path / "go"), "DASK_JOBQUEUE__SLURM__INTERFACE": "lo"}

        def sweep(*words):
            command = [sys.executable, "-m", "stylerepro.cli", "sweep", "toy", "--profile", "smoke", *words]
            environment = slurm.environment | places
            return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

        slurmy = ("-p", "size=4,5,6", "--engine", "slurm", "--jobs", "2", "--sbatch")
        refused = sweep(*slurmy, "--partition=none")
        assert (refused.returncode, "invalid partition" in refused.stderr) == (2, True), refused.stderr
        going = aside.submit(sweep, *slurmy, "--partition=all --cpus-per-task=1")
        (lost,) = wait_until(lambda: [line.split(":")[1] for line in ran(tmp_path) if line.startswith("6:")])
        slurm.call("scancel", "--signal=KILL", lost)
        (tmp_path / "go").touch()
        done = going.result(timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "3 rows of 3 points" in done.stdout
        wait_until(lambda: not slurm.call("squeue", "-h"))
    (table,) = tmp_path.glob("results/runs/toy/sweep-smoke-*.csv")
    jobs = dict(line.split(",")[1::3] for line in table.read_text().splitlines()[1:])
    assert sorted(jobs) == ["4", "5", "6"]
    assert jobs["6"] != lost
    assert len(ran(tmp_path)) == 4
