"""The sandbox, and the table of what it measured at the end of the run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers.hostile.sandbox import Sandbox


@pytest.fixture(scope="session")
def refuser() -> Iterator[Sandbox]:
    """The worker for files that must be refused; one per test process."""
    worker = Sandbox(torch=False)
    yield worker
    worker.close()


@pytest.fixture(scope="session")
def converter() -> Iterator[Sandbox]:
    """The worker for files that are converted, or found out while they are."""
    worker = Sandbox(torch=True)
    yield worker
    worker.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Files tried, payloads executed, worst time and worst memory, by what was expected."""
    rows = [
        dict(report.user_properties)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call" and "hostile" in dict(report.user_properties)
    ]
    if not rows:
        return
    terminalreporter.section("hostile files")
    for kind in sorted({str(row["hostile"]) for row in rows}):
        found = [row for row in rows if row["hostile"] == kind]
        slowest, largest = (max(found, key=lambda row: row[what]) for what in ("seconds", "peak_mb"))  # type: ignore[arg-type, return-value]
        terminalreporter.write_line(
            f"{kind}: {len(found)} files, {sum(bool(row['executed']) for row in found)} executed, "
            f"slowest {slowest['seconds']:.2f} s ({slowest['file']}), "
            f"most memory {largest['peak_mb']:.0f} MB above idle ({largest['file']})"
        )
