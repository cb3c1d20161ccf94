"""A dead letter sent back to where it came from: said in the governance log by whoever does it, then done, once.

The record comes first: what was done and is in no log would be worse than what was announced and refused. How often one letter
is sent back is the retry's own promise (app/deadletter/retry.py): once, however often it is asked for.
"""

from app.console.actions import Form, check_role, write
from app.console.sessions import Session
from app.console.shared import Shared
from app.deadletter.letters import Place, letters_at
from app.deadletter.retry import Result, retry
from app.governance import drafts


async def send_back(shared: Shared, session: Session, name: str, form: Form) -> Result:
    """CallerError: no dead letter there, or no reason. OperatorError when the broker fails; nothing is then sent twice."""
    check_role(session, "retried")
    letters = await letters_at(shared.settings, [Place.parse(name)])
    await write(shared, session, drafts.retry([str(letter.place) for letter in letters]), form)
    (result,) = await retry(shared.settings, letters)
    return result
