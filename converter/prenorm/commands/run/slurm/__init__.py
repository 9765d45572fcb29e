"""The scheduler of a cluster: members are converted by the tasks of Slurm's job arrays.

    client.py      sbatch, squeue, scontrol, scancel: what is asked of Slurm, and what it answers
    jobs.py        OUTPUT/slurm/jobs.json: which job was given which members, and what is asked for them
    script.py      OUTPUT/array.sh: which members a task converts, with how much memory and time
    ends.py        why a task ended without converting what it was given, and whether another try makes sense
    queue.py       what jobs.json and Slurm together say of each member
    submission.py  submit what nobody converts; two commands never submit the same
    array.py       the scheduler: submit, wait, submit again what was killed

Nothing needs Slurm's accounting database, nor locks of the file system: whoever submits makes a file that must not exist.
"""

from prenorm.commands.run.slurm.array import SlurmArray
from prenorm.commands.run.slurm.client import check_arguments, check_commands, missing_commands
from prenorm.commands.run.slurm.jobs import open_jobs
from prenorm.commands.run.slurm.queue import Queue, queue_of
from prenorm.commands.run.slurm.script import threads_of

__all__ = [
    "Queue",
    "SlurmArray",
    "check_arguments",
    "check_commands",
    "missing_commands",
    "open_jobs",
    "queue_of",
    "threads_of",
]
