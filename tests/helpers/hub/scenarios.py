"""What can go wrong with a push, where, and what must come of it: the rows of the fault table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from helpers.waiting import wait_until
from prenorm.hub.retries import RetryPolicy

from . import (
    WRITER,
    DropBeforeAnswer,
    DropBeforeBody,
    DropInBody,
    Garbage,
    Hold,
    Hub,
    Overtaken,
    Status,
    serve_hub,
)
from .faults import RELEASE, Action
from .pushing import OURS, PushWorker, on_hub, publishable, untouched

REPO = "lab/model"
ATTEMPTS = 3
PATIENT = RetryPolicy(ATTEMPTS, first_wait=0.01, timeout=20.0)
IMPATIENT = replace(PATIENT, attempts=6, timeout=1.5)  # a busy machine is slow, too
MODES = {"branch": {}, "new branch": {"revision": "dev"}, "pull request": {"pull_request": True}}
PHASES = {
    "branch": ("info", "create", "validate-yaml", "preupload", "lfs-batch", "lfs-upload", "lfs-verify", "commit"),
    "new branch": ("branch",),
    "pull request": ("preupload", "commit", "discussions"),
}


@dataclass(frozen=True)
class Fault:
    """`code` is the first run's exit code: 0 where the fault passes, 5 where it does not."""

    name: str
    action: Action
    code: int = 0
    times: int | None = 1
    policy: RetryPolicy = PATIENT
    only: tuple[str, ...] = ()


_REFUSALS = (400, 401, 403, 404)
FAULTS = (
    Fault("503", Status(503)),
    Fault("503 without end", Status(503), 5, None),
    Fault("429, Retry-After: 0", Status(429, {"Retry-After": "0"})),
    Fault("429, Retry-After: 3600", Status(429, {"Retry-After": "3600"}), 5),
    Fault("429 without end", Status(429, {"Retry-After": "0"}), 5, None),
    Fault("connection dropped before the body", DropBeforeBody()),
    Fault("connection dropped in the body", DropInBody()),
    Fault("connection dropped before the answer", DropBeforeAnswer()),
    Fault("connection dropped without end", DropBeforeBody(), 5, None),
    Fault("worked on too late", Hold(), 0, 1, IMPATIENT),
    Fault("answered too late", Hold(after=True), 0, 1, IMPATIENT),
    *(Fault(str(code), Status(code), 5) for code in _REFUSALS),
    Fault("409", Status(409)),
    Fault("somebody else commits", Overtaken(), only=("commit",)),
    Fault("somebody else commits without end", Overtaken(), 5, None, only=("commit",)),
    Fault("a login page answers", Garbage(), 5),
    # The client was gone for long when the server worked on it.
    Fault("worked on far too late", Hold(RELEASE), 5, 1, replace(IMPATIENT, timeout=0.7), only=("commit",)),
)  # fmt: skip
# Where the rule of a fault does not hold, and why.
_OTHERWISE = {
    # The client asks for no repo that is there, and takes a 409 to say that it is; so for a branch.
    ("create", "409"): 5,
    ("branch", "409"): 5,
    # A refusal of the card is the user's to mend.
    ("validate-yaml", "400"): 2,
    # What answers to an upload, to the check of one, and to the making of a branch is not read.
    ("lfs-upload", "a login page answers"): 0,
    ("lfs-verify", "a login page answers"): 0,
    ("branch", "a login page answers"): 0,
    # What is in storage when it is asked for again needs no check.
    ("lfs-verify", "503 without end"): 0,
    ("lfs-verify", "429 without end"): 0,
    ("lfs-verify", "connection dropped without end"): 0,
}

_HELD_UNTIL_THE_NEXT = {("commit", "branch"), ("lfs-upload", "branch")}


@dataclass(frozen=True)
class Scenario:
    fault: Fault
    phase: str
    mode: str

    @property
    def name(self) -> str:
        return f"{self.fault.name} | {self.phase} | {self.mode}"

    @property
    def action(self) -> Action:
        """What goes wrong.

        A commit or an upload that is worked on too late races with the next one, not with the client's look for the first.
        """
        if self.fault.name == "worked on too late" and (self.phase, self.mode) in _HELD_UNTIL_THE_NEXT:
            return Hold(self.phase)
        return self.fault.action

    @property
    def code(self) -> int:
        """What the first run must end in."""
        if self.mode == "pull request" and self.phase == "commit":
            if self.fault.name.startswith("somebody else"):
                return 0  # a pull request starts from the commit that it was made for
            if isinstance(self.fault.action, Garbage):
                return 0  # it was opened, and is found
        if self.mode == "branch" and self.phase == "commit" and self.fault.name == "worked on far too late":
            return 0  # the commit that comes late finds that it is no longer the last
        return _OTHERWISE.get((self.phase, self.fault.name), self.fault.code)


SCENARIOS = tuple(
    Scenario(fault, phase, mode)
    for mode, phases in PHASES.items()
    for phase in phases
    for fault in FAULTS
    if not fault.only or phase in fault.only
)


@dataclass(frozen=True)
class Seen:
    """What came of a scenario. `wrong` lists what must never be."""

    scenario: Scenario
    codes: tuple[int, int]
    tries: int
    commits: int
    pull_requests: int
    wrong: tuple[str, ...]
    told: str

    @property
    def row(self) -> str:
        """The row of the table."""
        made = self.pull_requests if self.scenario.mode == "pull request" else self.commits
        first, again = self.codes
        # How many time out besides the slow one is the machine's affair.
        tries = "2 or more" if isinstance(self.scenario.fault.action, Hold) and self.tries > 1 else self.tries
        return f"{self.scenario.name} | {first} | {again} | {tries} | {made - 1} | yes"


def play(scenario: Scenario, worker: PushWorker, scratch: Path) -> Seen:
    """Pushes into the fault, and then once more without one."""
    folder = publishable(scratch / "folder")
    before = untouched(folder)
    with serve_hub(scratch / "state") as hub:
        if scenario.mode == "pull request":
            hub.seed(REPO, {"theirs.txt": b"theirs\n"})
        hub.faults.add(scenario.phase, scenario.action, times=scenario.fault.times)
        options: dict[str, Any] = MODES[scenario.mode]
        first = worker.push(folder, REPO, hub, policy=scenario.fault.policy, **options)
        happened = not hub.faults.pending()
        hub.release()
        if isinstance(scenario.fault.action, Hold):
            _await_late_work(hub)
        tries = len(hub.requests(scenario.phase))
        hub.faults.clear()
        again = worker.push(folder, REPO, hub, policy=PATIENT, **options)
        refs = [pull.ref for pull in hub.pull_requests(REPO)]
        where = refs[0] if scenario.mode == "pull request" and refs else options.get("revision", "main")
        ours = [commit for commit in hub.commits(REPO, where) if commit.title == OURS]
        wrong = []
        if not happened:
            wrong.append("the fault did not happen")
        if on_hub(hub, REPO, where) != {name: content for name, (content, _) in before.items()}:
            wrong.append("the repo does not hold the folder")
        if len(ours) != 1:
            wrong.append(f"{len(ours)} commits")
        if len(refs) != (scenario.mode == "pull request"):
            wrong.append(f"{len(refs)} pull requests")
    if untouched(folder) != before:
        wrong.append("the folder was changed")
    told = "\n".join([first.get("sentence", ""), *first["warnings"], again.get("sentence", ""), *again["warnings"]])
    wrong += [
        f"it tells {secret}"
        for secret in (WRITER.secret, "signature=", "Traceback", "please report it")
        if secret in told
    ]
    return Seen(scenario, (first["code"], again["code"]), tries, len(ours), len(refs), tuple(wrong), told)


def _await_late_work(hub: Hub) -> None:
    """What the client gave up on is done in the end."""
    wait_until(lambda: any(logged.fault for logged in hub.log), "the late work")
