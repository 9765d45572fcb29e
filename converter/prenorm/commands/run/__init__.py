"""`convert-run`: every checkpoint of a training run becomes a proven folder, in as many commands as it takes.

    find      members.py, survey.py   the files of RUN, grouped, read, ordered by their updates, named
    plan      plan.py, planning.py    OUTPUT/run.json: what is to be made of what, with which options
    look      state.py                what is done, what failed, what is left, and why: nothing but files says so
    convert   member.py               one member: a plain conversion, whose record is written before its folder is published
    schedule  scheduler.py            who converts: workers.py and worker.py on this machine
    report    command.py              the run's report, of what lies in OUTPUT

A run has no state but what lies in OUTPUT: `run.json`, a folder for each member, and `members/`, which holds what is known of
each. So a command that ends, however it ends, is continued by the same command.
"""

__all__ = ["convert_run"]  # noqa: F822  in command.py, imported when it is needed
