"""What a calculator is given: parsed from text and checked for possibility, once, at the edge.

Owns the readers of arms, counts and shares, and the bounds of rates and error levels. Refuses what cannot have happened
(no exposures, more conversions than users, shares that do not add up to 1): a figure computed from it would be a lie.
Every refusal is a CallerError that names the value and the remedy.
"""

import math
import re
from typing import NamedTuple

from app.errors import CallerError

# Fifteen digits: every count, and every sum of the arms' counts, stays exact in a float.
_WHOLE = re.compile(r"[0-9]{1,15}")
LARGEST_NUMBER = 10.0**15
# Shares are often written by hand: 0.3333333 three times is meant to be 1.
SHARES_TOLERANCE = 1e-6
# Nearer to 0 or 1, normal quantiles say nothing of real data and root finding has no room left.
SMALLEST_ALPHA = 1e-6


class Arm(NamedTuple):
    """One arm of an experiment with a yes-or-no outcome. 1 <= users, 0 <= conversions <= users."""

    conversions: int
    users: int

    @property
    def rate(self) -> float:
        return self.conversions / self.users


def arm_of(conversions: int, users: int, name: str) -> Arm:
    """name: what the error calls the arm. CallerError: nobody was exposed, or the counts contradict each other."""
    if users < 1:
        raise CallerError(f"{name} has no exposures: {conversions}/{users}", "Give an arm that at least one user has seen")
    if not 0 <= conversions <= users:
        raise CallerError(
            f"{name} has {conversions} conversions of {users} users",
            "Count users who converted, each once: from 0 to the number of users",
        )
    return Arm(conversions, users)


def read_arm(text: str, name: str) -> Arm:
    """From `conversions/users`, such as 1000/10000. CallerError: not of that form, or impossible."""
    parts = [part.strip() for part in text.split("/")]
    if len(parts) != 2 or not all(_WHOLE.fullmatch(part) for part in parts):
        raise CallerError(
            f"{name} is {text!r}, not conversions/users",
            "Give two whole numbers of at most 15 digits, none negative, such as 1000/10000",
        )
    return arm_of(int(parts[0]), int(parts[1]), name)


def read_number(text: str, name: str) -> float:
    """Any number; what it may be is for the calculator to say. CallerError: not a number."""
    try:
        return float(text)
    except ValueError:
        raise CallerError(f"{name} is {text!r}, not a number", "Give a number such as 0.05") from None


def read_whole(text: str, name: str) -> int:
    """CallerError: not a whole number."""
    if not _WHOLE.fullmatch(text.removeprefix("-")):
        raise CallerError(f"{name} is {text!r}, not a whole number", "Give a whole number of at most 15 digits, such as 5")
    return int(text)


def read_counts(text: str, name: str) -> tuple[int, ...]:
    """From `4980,5020`: whole numbers, one an arm. CallerError: not of that form, fewer than two, or all zero."""
    parts = [part.strip() for part in text.split(",")]
    if not all(_WHOLE.fullmatch(part) for part in parts):
        raise CallerError(
            f"{name} is {text!r}, not a list of counts",
            "Give whole numbers of at most 15 digits, none negative, such as 4980,5020",
        )
    counts = tuple(int(part) for part in parts)
    _two_or_more(counts, text, name)
    if not any(counts):
        raise CallerError(f"{name} has no exposures: {text!r}", "Give the counts of an experiment that was shown to someone")
    return counts


def read_shares(text: str, name: str) -> tuple[float, ...]:
    """From `0.5,0.5`: each above 0, together 1. CallerError: not of that form, or not adding up."""
    shares = _read_numbers(text, name)
    if not all(share > 0 for share in shares):
        raise CallerError(f"{name} is {text!r}: a share of 0 expects nobody", "Leave that arm out, of the counts too")
    return _adding_up(shares, text, name)


def read_distribution(text: str, name: str) -> tuple[float, ...]:
    """Shares of bins, each 0 or more, from counts (`20,30,50`) or from shares (`0.2,0.3,0.5`).

    Whole numbers are counts. CallerError: not of either form, or shares that do not add up to 1.
    """
    numbers = _read_numbers(text, name)
    if not any(numbers):
        raise CallerError(f"{name} has no exposures: {text!r}", "Give at least one bin that someone is in")
    if all(number.is_integer() for number in numbers):
        total = math.fsum(numbers)
        return tuple(number / total for number in numbers)
    return _adding_up(numbers, text, name)


def check_alpha(alpha: float) -> float:
    """The chance of a false alarm that is accepted, two-sided."""
    if not SMALLEST_ALPHA <= alpha <= 1 - SMALLEST_ALPHA:
        raise CallerError(f"alpha is {alpha}", f"Give a number from {SMALLEST_ALPHA} to {1 - SMALLEST_ALPHA}, such as 0.05")
    return alpha


def check_rate(rate: float, name: str) -> float:
    """A conversion rate to plan with. 0 and 1 are refused: with no variance there is nothing to plan."""
    if not 0 < rate < 1:
        raise CallerError(f"{name} is {rate}", "Give a conversion rate above 0 and below 1, such as 0.1")
    return rate


def _read_numbers(text: str, name: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise CallerError(f"{name} is {text!r}, not a list of numbers", "Give numbers such as 0.5,0.5") from None
    # Written so that nan, which compares with nothing, is refused too.
    if not all(0 <= number <= LARGEST_NUMBER for number in numbers):
        raise CallerError(f"{name} is {text!r}", f"Give numbers from 0 to {LARGEST_NUMBER:g}, such as 0.5,0.5")
    _two_or_more(numbers, text, name)
    return numbers


def _two_or_more(numbers: tuple[float, ...], text: str, name: str) -> None:
    if len(numbers) < 2:
        raise CallerError(f"{name} is {text!r}, a single number", "Give at least two, separated by commas")


def _adding_up(shares: tuple[float, ...], text: str, name: str) -> tuple[float, ...]:
    """The rest, below the tolerance, is spread over all of them."""
    total = math.fsum(shares)
    if abs(total - 1) > SHARES_TOLERANCE:
        raise CallerError(
            f"{name} is {text!r}, which adds up to {total:.7g}, not 1",
            "Give shares that add up to 1, with seven digits where they do not end, such as 0.3333333",
        )
    return tuple(share / total for share in shares)
