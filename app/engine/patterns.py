"""Regular expressions of conditions, by RE2: linear time, and the same answer on every machine.

Owns compiling an expression to a function of a text. Refuses what RE2 refuses (look-around, back references,
repetitions over 1,000), with RE2's own words.

Two shortcuts, neither visible: an expression that is only a literal between optional anchors needs no automaton, and an
automaton remembers its answers for short texts, since routes, devices and locales repeat from event to event.
"""

import re
from collections.abc import Callable
from typing import Final

import re2

from app.engine.coercion import remembered

_LITERAL: Final = re.compile(r"(\^?)([^\\^$.|?*+()\[\]{}]*)(\$?)")


class PatternError(ValueError):
    """RE2 refuses the expression; the text is RE2's reason."""


def compile_pattern(expression: str, *, ignore_case: bool = False) -> Callable[[str], bool]:
    """Function that says whether the expression is found anywhere in a text. Raises PatternError."""
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.case_sensitive = not ignore_case
    try:
        compiled = re2.compile(expression, options)
    except UnicodeEncodeError:
        raise PatternError("it holds half of a surrogate pair") from None
    except re2.error as error:
        raise PatternError(_reason(error)) from None
    literal = None if ignore_case else _LITERAL.fullmatch(expression)
    if literal:
        return _literal_test(bool(literal[1]), literal[2], bool(literal[3]))
    search = compiled.search

    @remembered
    def found(text: str) -> bool:
        return search(text.encode("utf-8", "surrogatepass")) is not None

    return found


def _literal_test(at_start: bool, literal: str, at_end: bool) -> Callable[[str], bool]:
    if at_start and at_end:
        return lambda text: text == literal
    if at_start:
        return lambda text: text.startswith(literal)
    if at_end:
        return lambda text: text.endswith(literal)
    return lambda text: literal in text


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else str(error)
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
