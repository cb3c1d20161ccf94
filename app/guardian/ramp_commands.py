"""`truelift ramp`."""

import time
from typing import Annotated, Any

import typer

from app.analysis.alarms import Alarm, alarms, gather
from app.analysis.experiment import experiment, stories
from app.analysis.join import Join
from app.errors import CallerError
from app.governance import drafts
from app.governance.console import Json, PolicyKey, print_json, run, signing_key
from app.governance.log import history
from app.governance.moves import Role
from app.governance.writer import GovernanceWriter
from app.guardian.commands import ledger_path
from app.guardian.ledger import Ledger
from app.guardian.ramp import Situation, in_the_way, next_step
from app.settings import Settings
from app.warehouse.lake import opened
from app.warehouse.store import Store

ROLE: Role = "ramp"
Data = tuple[int | None, list[Alarm]]


def ramp(
    key: PolicyKey,
    as_: Annotated[str, typer.Option("--as", metavar="NAME", help="A key of the role ramp, and no other.")] = ROLE,
    json: Json = False,
) -> None:
    """Take the next approved step of a policy's ramp, if nothing stands in its way. Exit code 1 where something does."""
    settings = Settings()
    # The ledger is read between two of the guardian's transactions, as any reader of SQLite does.
    with Ledger(ledger_path(settings)) as ledger:
        answer = run(_ramp(settings, ledger, key, as_, _data(settings, key)))
    if json:
        print_json({"schema": "truelift.ramp/1", **answer})
    elif answer["taken"]:
        typer.echo(f"{key}: {answer['from_permille']} -> {answer['to_permille']} permille")
    elif answer["to_permille"] is None and not answer["in_the_way"]:
        typer.echo(f"{key} is at its last step, {answer['from_permille']} permille")
    else:
        typer.echo(f"{key} stays at {answer['from_permille']} permille:")
        for reason in answer["in_the_way"]:
            typer.echo(f"- {reason}")
    if answer["in_the_way"]:
        raise typer.Exit(1)


def _data(settings: Settings, key: str) -> Data:
    """Up to when the warehouse is complete, and the alarms of counts read from it: no outcome by arm is asked for."""
    with Store.open(settings) as store, opened(store, settings.warehouse() / "spill") as lake:
        lake.use_raw()
        told, synced_us = stories(lake), lake.synced_us()
        if key not in told or synced_us is None:
            return None, []
        found = experiment(told, key)
        return synced_us, alarms(gather(lake, found, Join(lake, found, synced_us)))


async def _ramp(settings: Settings, ledger: Ledger, key: str, name: str, data: Data) -> dict[str, Any]:
    signing = signing_key(settings, name)
    _, applied = await history(settings, lambda one: one.refusal is None)
    async with GovernanceWriter(settings, signing) as writer:
        known = writer.fold.state.keys.get(signing.key_id)
        if known is None or known.roles != (ROLE,):
            held = "unknown to the log" if known is None else f"of the roles {', '.join(known.roles)}"
            remedy = f"Make one for it alone: truelift keys new ramp --actor ramp --role {ROLE}"
            raise CallerError(f"the key {name!r} is {held}", remedy)
        policy = writer.fold.state.policies.get(key)
        if policy is None:
            raise CallerError(f"no policy {key!r}", "See truelift policy list")
        step = next_step(policy)
        now_us = time.time_ns() // 1000
        reasons = in_the_way(Situation(policy, applied, ledger, ledger.judged_us(), *data, now_us))
        answer = {"policy": key, "from_permille": policy.coverage_permille, "to_permille": step, "taken": False}
        version = policy.current
        if version is not None and policy.coverage_permille == version.policy.ramp[-1]:
            return answer | {"in_the_way": []}
        if step is None or reasons:
            return answer | {"in_the_way": reasons}
        await writer.append(drafts.ramp(key, step), reason="guardrails clean, holdout stable, no alarm", role=ROLE)
        return answer | {"taken": True, "in_the_way": []}
