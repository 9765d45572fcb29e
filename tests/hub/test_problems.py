"""What a refusal is taken for follows from the address that refused and the status, whatever the exception's text says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from prenorm.errors import HubProblem, UsageProblem
from prenorm.hub.problems import to_problem

VALIDATION = "https://hub.example/api/validate-yaml"


class Address:
    """httpx's kind of address: no text, but written as one."""

    def __str__(self) -> str:
        return VALIDATION


def refused(address: object, text: str, status: int = 400) -> ValueError:
    """huggingface_hub's way to tell of a card that is invalid: a ValueError, and behind it the answer."""
    answer = OSError("refused")
    answer.response = SimpleNamespace(status_code=status, url=address, headers={})  # type: ignore[attr-defined]
    error = ValueError(text)
    error.__cause__ = answer
    return error


@pytest.mark.parametrize("address", [VALIDATION, Address(), f"{VALIDATION}?token=x"])
@pytest.mark.parametrize("text", ["Invalid metadata in README.md.\n- license", "README.md: licence inconnue"])
def test_a_card_is_invalid_because_its_validation_said_so(address: object, text: str) -> None:
    problem = to_problem(refused(address, text), "org/name", "committing")
    assert isinstance(problem, UsageProblem)
    assert text.split("\n")[0] in str(problem)


@pytest.mark.parametrize(
    "error",
    [
        refused("https://hub.example/api/models/org/name/commit/main", "Invalid metadata in README.md."),
        refused(VALIDATION, "Invalid metadata in README.md.", status=403),
        ValueError("Invalid metadata in README.md."),
    ],
)
def test_other_refusals_are_no_fault_of_the_card(error: ValueError) -> None:
    assert isinstance(to_problem(error, "org/name", "committing"), HubProblem)
