"""After the run: a worker and the console on what it left, for whoever wants to look around, until Ctrl-C.

The three people of the demo may log in with a passphrase that is made for this time and shown once.
"""

import asyncio
import secrets
import signal
from collections.abc import Callable

from app.console.locked_keys import LockedKeys
from app.demo.installation import Installation
from app.demo.rules import PEOPLE
from app.errors import OperatorError
from app.governance.keys import load_key
from app.stream.child import Child, truelift

READY_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.1
PASSPHRASE_BYTES = 9
SAID = "console at "


async def receive(there: Installation, say: Callable[[str], None]) -> None:
    """Returns after SIGINT or SIGTERM. OperatorError: one of the two ended by itself."""
    passphrase = secrets.token_urlsafe(PASSPHRASE_BYTES)
    locked = LockedKeys(there.settings.console() / "keys")
    for name in PEOPLE:
        await asyncio.to_thread(locked.lock, load_key(there.settings, name), passphrase)
    # The embedded broker of a demo has no other way to be told: its file is in the demo's own folder.
    there_too = {**there.environment(), "TRUELIFT_BROKER": there.settings.bootstrap()}
    worker = Child("worker", truelift("worker"), there_too, there.log("worker"))
    console = Child("console", truelift("console"), there_too, there.log("console"))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        worker.start()
        console.start()
        say(f"console {await _address(console)}")
        for name, roles in PEOPLE.items():
            say(f"  log in as {name} ({', '.join(roles)}), passphrase {passphrase}")
        say("Ctrl-C ends it")
        await _until(stop, worker, console)
    finally:
        for child in (console, worker):
            await child.stop()


async def _address(console: Child) -> str:
    try:
        async with asyncio.timeout(READY_SECONDS):
            while SAID not in console.log:
                if not console.running:
                    raise console.failed(console.process.returncode)
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
    except TimeoutError:
        raise OperatorError(f"the console is not there after {READY_SECONDS:.0f} s", f"See {console.log_file}") from None
    return console.log.partition(SAID)[2].split()[0]


async def _until(stop: asyncio.Event, *children: Child) -> None:
    stopped = asyncio.create_task(stop.wait())
    ends = {asyncio.create_task(child.ended()): child for child in children}
    done, _ = await asyncio.wait({stopped, *ends}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for task in done - {stopped}:
        child = ends[task]
        raise child.failed(child.process.returncode)
