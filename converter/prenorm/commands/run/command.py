"""`convert-run`: plan, look, convert what is left, report."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

from prenorm.commands.keywords import with_keywords
from prenorm.commands.run import slurm
from prenorm.commands.run.member import convert_member
from prenorm.commands.run.plan import MEMBERS_FOLDER, PLAN_FILE, Member, RunPlan, read_plan, write_struct
from prenorm.commands.run.planning import make_plan
from prenorm.commands.run.resources import cores, usual_jobs
from prenorm.commands.run.scheduler import Scheduler
from prenorm.commands.run.state import Look, MemberRecord, MemberState, look
from prenorm.commands.run.summary import run_report, with_movements, write_run_report
from prenorm.commands.run.workers import LocalWorkers
from prenorm.errors import UsageProblem
from prenorm.files import or_nearest, remove_partial
from prenorm.folder.staging import remove_leftovers
from prenorm.mapping.understood import TokenizerChoices
from prenorm.options import ConvertMemberOptions, ConvertRunOptions
from prenorm.options.language import command_name
from prenorm.options.spoken import spoken
from prenorm.progress import OneBar, Progress, RunProgress
from prenorm.reports.run_model import RunReport


@dataclass(frozen=True)
class _Seen:
    """The plan of a run, and what a look at each of its members tells."""

    plan: RunPlan
    looks: Mapping[str, Look]

    @property
    def left(self) -> list[Member]:
        """The members that are to be converted: failed ones are tried again, unless they cannot be read at all."""
        return [
            member
            for member in self.plan.members
            if member.reading.problem is None and self.looks[member.name].state is not MemberState.DONE
        ]


@with_keywords(ConvertRunOptions)
def convert_run(options: ConvertRunOptions) -> RunReport:
    """Convert every checkpoint of a training run into a proven folder in `output`; repeated, go on with what is left.

    A member that fails stops no other. With `status` or `dry_run` nothing is written.

    Args:
        options: the arguments and keywords.

    Returns:
        What became of each checkpoint; `passed` if all are done and proven.

    Raises:
        UsageProblem: if `run` is no folder of checkpoints, `output` cannot be made or is no run's, or an option does not fit.
    """
    output = Path(options.output)
    if options.slurm:
        slurm.check_commands()
        slurm.check_arguments(options.sbatch)
    check_places(Path(options.run), output)
    before = read_plan(output)
    _check_same_run(before, Path(options.run).resolve(), output)
    seen = _look(options, before, output)
    queue = _queue(options, output)
    if options.status or options.dry_run:
        return run_report(seen.plan, queue.with_words(seen.looks))
    _prepare_output(output, seen.plan, queue.active)
    records = _convert(options, seen, output)
    looks = {**seen.looks, **{member.name: _after(seen.plan, member, output, records) for member in seen.left}}
    if options.no_wait:
        looks = slurm.queue_of(output).with_words(looks)
    report = with_movements(run_report(seen.plan, looks), looks, output, options.listener)
    write_run_report(output, report)
    return report


def convert_some(options: ConvertMemberOptions) -> list[MemberRecord]:
    """Convert members of a plan in this process, one after the other.

    Args:
        options: which members of which run.

    Returns:
        The record of each; of a failure, too.

    Raises:
        UsageProblem: if there is no plan, it is of another run, or has no such member.
    """
    output = Path(options.output)
    plan = read_plan(output)
    if plan is None:
        raise UsageProblem(
            f"holds no plan ({PLAN_FILE})", subject=output, advice=f"{command_name('convert-run')} makes it"
        )
    _check_same_run(plan, Path(options.run).resolve(), output)
    members = list(map(plan.member, options.member))
    import torch

    torch.set_num_threads(plan.threads)
    choices: TokenizerChoices = {}
    return [convert_member(plan, member, output, options.listener, choices) for member in members]


def check_places(run: Path, output: Path) -> None:
    """Refuse a run's folders that cannot be what they should.

    Args:
        run: the folder of the checkpoints.
        output: the folder to make.

    Raises:
        UsageProblem: if one lies in the other, or OUTPUT cannot be made or holds something else.
    """
    another = f"Choose another {spoken('output')}"
    source, target = run.resolve(), output.resolve()
    if target == source or source in target.parents or target in source.parents:
        raise UsageProblem(
            f"{spoken('run')} and {spoken('output')} must not lie in each other", subject=output, advice=another
        )
    if not os.path.lexists(output):
        if not target.parent.is_dir():
            advice = or_nearest(output, f"Create {target.parent} first")
            raise UsageProblem("the folder it should go into does not exist", subject=output, advice=advice)
        return
    if not output.is_dir():
        raise UsageProblem("exists and is no folder", subject=output, advice=another)
    names = {entry.name for entry in output.iterdir()}
    if names and not names & {PLAN_FILE, MEMBERS_FOLDER}:
        raise UsageProblem(f"exists and holds no run (no {PLAN_FILE})", subject=output, advice=another)


def _check_same_run(plan: RunPlan | None, run: Path, output: Path) -> None:
    if plan is not None and plan.run != str(run):
        raise UsageProblem(
            f"it holds another run, of {plan.run}",
            subject=output,
            advice=f"Choose another {spoken('output')}; if that folder was moved, change 'run' in {PLAN_FILE}",
        )


def _look(options: ConvertRunOptions, before: RunPlan | None, output: Path) -> _Seen:
    """Plan, and look at what is there; members whose checkpoints are gone stay, if their folders are proven."""
    plan = make_plan(options, before, 1)
    looks = {member.name: look(plan, member, output) for member in plan.members}
    for member in before.members if before is not None else ():
        if member.name not in looks and (seen := look(plan, member, output)).state is MemberState.DONE:
            looks[member.name] = seen
            plan = structs.replace(plan, members=_in_order([*plan.members, member]))
    left = _Seen(plan, looks).left
    jobs = options.jobs or usual_jobs(left)
    threads = slurm.threads_of(options.sbatch) if options.slurm else max(cores() // jobs, 1)
    return _Seen(structs.replace(plan, threads=threads), looks)


def _in_order(members: Sequence[Member]) -> tuple[Member, ...]:
    return tuple(sorted(members, key=lambda item: (item.reading.updates is None, item.reading.updates or 0, item.name)))


def _queue(options: ConvertRunOptions, output: Path) -> slurm.Queue:
    """Return the tasks of Slurm that convert this run just now; processes here must not convert the same."""
    if not slurm.open_jobs(output) or (not options.slurm and slurm.missing_commands()):
        return slurm.Queue.empty()
    queue = slurm.queue_of(output)
    if queue.active and not (options.slurm or options.status or options.dry_run):
        jobs = " ".join(queue.active_jobs)
        raise UsageProblem(
            f"tasks of Slurm convert it just now (job {jobs})",
            subject=output,
            advice=f"Pass {spoken('slurm')} to wait for them, or cancel them: scancel {jobs}",
        )
    return queue


def _prepare_output(output: Path, plan: RunPlan, active: Container[str]) -> None:
    """Make the folder, take away what killed processes left in it, but nothing of an active task, and write the plan."""
    output.mkdir(exist_ok=True)
    (output / MEMBERS_FOLDER).mkdir(exist_ok=True)
    for folder in (output, output / MEMBERS_FOLDER):
        remove_partial(folder)
    for member in plan.members:
        if member.name not in active:  # another machine's lock is not seen on every file system
            remove_leftovers(output / member.name)
    write_struct(output / PLAN_FILE, plan)


def _convert(options: ConvertRunOptions, seen: _Seen, output: Path) -> dict[str, MemberRecord]:
    """Convert what is left, and say why what was there is made again."""
    left = seen.left
    progress = _run_progress(options.listener)
    for why, number in _reasons(seen, left).items():
        progress.warn(f"{number} of {len(seen.plan.members)} folders are made again: {why}")
    progress.begin(len(seen.plan.members), len(seen.plan.members) - len(left))
    if not left:
        return {}
    return _scheduler(options, left).convert(seen.plan, left, output, progress)


def _scheduler(options: ConvertRunOptions, left: Sequence[Member]) -> Scheduler:
    if options.slurm:
        return slurm.SlurmArray(options.jobs, options.sbatch, wait=not options.no_wait)
    return LocalWorkers(options.jobs or usual_jobs(left))


def _run_progress(progress: Progress | RunProgress) -> RunProgress:
    return progress if isinstance(progress, RunProgress) else OneBar(progress)


def _reasons(seen: _Seen, left: Sequence[Member]) -> dict[str, int]:
    """Return why folders that are there are made again, and how many for each reason."""
    numbers: dict[str, int] = {}
    for member in left:
        if why := seen.looks[member.name].why:
            numbers[why] = numbers.get(why, 0) + 1
    return numbers


def _after(plan: RunPlan, member: Member, output: Path, records: Mapping[str, MemberRecord]) -> Look:
    """Look at a member once more; a failure that no process could write down is known from its record."""
    record = records.get(member.name)
    if record is not None and record.problem is not None:
        return Look(MemberState.FAILED, record)
    return replace(look(plan, member, output), why="")
