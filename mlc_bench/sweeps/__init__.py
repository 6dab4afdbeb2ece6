"""Many runs in one command: models, adapters and judges, on the GPUs of this machine or on a Ray cluster.

sweep_file.py   a file of models, adapters, judges and settings, as jobs
checkpoints.py  the checkpoints of a training run, as jobs
jobs.py         a job: what `mlc-bench run` would be asked; and shards, jobs that share an engine
plan.py         what is there, what is missing; rates.py: how long it takes, from what has been measured
worker.py       one process: answers the jobs of a shard, or judges them all
events.py       what workers report, in files beside the results; board.py: how far each job is
slots.py        how many at once, and with which GPUs
local.py        processes on this machine; on_ray.py: tasks on a cluster
sweep.py        answers first, then each judge over all runs
progress.py     a line a job, the time left, the summary

May import request, runner, judges, records, catalog and core.
"""
