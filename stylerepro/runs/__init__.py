"""From notebook and sidecar to a whole folder in `results/`, on this machine or others.

What an experiment declares: experiments, declarations. Is a run stale: fingerprint, reach. What is kept of it: record,
results, tables, gallery, scrub; publish copies it to the committed results. How it is done: runner plans,
execution does one, processes and engines (Dask, Slurm) say where, sweeps puts one at every point of a grid.
No experiment is named here, and no claim is judged.
"""
