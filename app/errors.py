"""Every error that a person meets, split by whose move it is. Each says what is wrong (with the value) and the remedy.

Results that are part of the business ("not assigned", a rejected record) are no errors: they are values with a reason code.
"""


class TrueliftError(Exception):
    """Base of all errors shown to a person: one line, no traceback.

    what: what is wrong, naming the value. remedy: what the reader can do about it.
    """

    exit_code = 2

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what.rstrip('.')}. {self.remedy}"


class CallerError(TrueliftError):
    """The input or the requested move is not acceptable; the caller can mend it."""


class OperatorError(TrueliftError):
    """The surroundings are not as needed: a broker, a topic, a port, Java, the disk."""


class InternalError(TrueliftError):
    """A promise of our own code is broken. The process must end: replay is safe, going on is not."""

    exit_code = 70
