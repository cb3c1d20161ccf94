"""The settings of one process: the only reader of the environment (variables TRUELIFT_*, and JAVA_HOME).

Holds what differs between installations: addresses, folders, identities, deadlines. Refuses anything that could
change a decision: budgets, windows and bounds are governed `catalogue` records, so that a replay elsewhere gives the
same bytes.
"""

import difflib
import json
import logging
import os
import re
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.credentials import Credentials, SaslMechanism, SecurityProtocol
from app.errors import OperatorError

PREFIX = "TRUELIFT_"
# Paths that a child process, which may run in another folder, must take for the same.
ABSOLUTE = (
    "data_dir", "keys_dir", "warehouse_dir", "edge_dir", "edge_tokens_dir",
    "kafka_sasl_password_file", "kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile",
)  # fmt: skip
log = logging.getLogger(__name__)

# Kubernetes injects these for a Service that is called "truelift"; they are nobody's misspelling.
_INJECTED = re.compile(r"(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)").fullmatch
# Like enough to be a misspelling (difflib ratio): BROKR ~ BROKER, but PORT is not WEB_PORT.
_LIKENESS = 0.75
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?").fullmatch


class Settings(BaseSettings):
    """Every field is read from TRUELIFT_<FIELD>; arguments win over the environment. Raises OperatorError alone."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    broker: str | None = Field(None, description="host:port[,host:port] of an existing cluster; none: the embedded broker")
    governance_broker: str | None = Field(None, description="the same cluster's address for governance reads; none: broker")
    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_sasl_password_file: Path | None = Field(None, description="a file with the password in it, for its owner alone")
    kafka_ssl_cafile: Path | None = Field(
        None, description="who signed the brokers' certificates; none: the system's authorities"
    )
    kafka_ssl_certfile: Path | None = Field(None, description="this client's own certificate, where the brokers ask for one")
    kafka_ssl_keyfile: Path | None = Field(None, description="its key; none: in the same file")

    data_dir: Path = Field(Path(".truelift"), description="stores, keys, warehouse and the embedded broker")
    keys_dir: Path | None = Field(None, description="none: <data_dir>/keys")
    root_public_key: str | None = Field(None, description="none: the text of <keys_dir>/root.pub")
    warehouse_dir: Path | None = Field(None, description="none: <data_dir>/warehouse")
    warehouse_catalogue: dict[str, str] | None = Field(
        None,
        repr=False,
        description="pyiceberg's catalogue properties as JSON; none: SQLite and files in the warehouse's folder",
    )
    actor: str | None = Field(None, description="name of the key that governance commands sign with (--as)")

    app_id: str = Field("truelift", pattern=r"^[A-Za-z0-9._-]{1,100}$", description="consumer group; changelog prefix")
    group_instance_id: str | None = Field(None, pattern=r"^[A-Za-z0-9._-]{1,100}$", description="static member (KIP-345)")
    topic_prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,100}$", description="put before every topic's name")
    partitions: int = Field(4, ge=1, le=10_000)
    replication_factor: int = Field(1, ge=1, le=32)

    commit_interval_ms: int = Field(5, ge=0, le=10_000)
    session_timeout_seconds: float = Field(6.0, ge=1, le=300)
    drain_timeout_seconds: float = Field(10.0, gt=0, le=600)
    broker_wait_seconds: float = Field(10.0, gt=0, le=600, description="how long a start waits for the broker to answer")

    web_bind: str = "127.0.0.1"
    web_port: int = Field(6066, ge=0, le=65_535)

    edge_bind: str = Field("127.0.0.1", description="where the edge listens; TLS ends in front of it")
    edge_port: int = Field(8088, ge=0, le=65_535, description="0: a free one")
    edge_dir: Path | None = Field(None, description="spool and last known catalogue of one edge; none: <data_dir>/edge")
    edge_tokens_dir: Path | None = Field(
        None, description="keys of exposure and user tokens, the same for all edges; none: <data_dir>/tokens"
    )
    edge_decide_margin_ms: int = Field(
        20, ge=0, le=10_000, description="of an event type's budget, kept for the way back to the client"
    )
    edge_origins: str = Field("", description="https://app.example.com[,…]: whose pages may send; none: no page at all")
    edge_max_connections: int = Field(1_000, ge=1, le=100_000)
    edge_spool_bytes: int = Field(1 << 30, ge=1 << 16, le=1 << 44, description="kept on disk while Kafka does not answer")
    edge_ack_seconds: float = Field(2.0, gt=0, le=60, description="how long Kafka may take before an event goes to the spool")
    edge_head_seconds: float = Field(10.0, gt=0, le=300, description="how long a request's head may take to arrive")
    edge_body_seconds: float = Field(30.0, gt=0, le=600, description="the same for its body")

    console_bind: str = Field("127.0.0.1", description="where the console listens; TLS ends in front of it")
    console_port: int = Field(8090, ge=0, le=65_535, description="0: a free one")
    console_origin: str | None = Field(
        None, description="https://console.example.com, where people reach it through TLS; none: on this machine alone"
    )
    console_workers: str = Field(
        "", description="http://worker-1:6066[,…]: pages of workers that the console asks how they fare; none: this machine's"
    )

    java_home: Path | None = Field(None, validation_alias="JAVA_HOME", description="Java for the embedded broker")

    def __init__(self, **values: Any) -> None:
        _refuse_misspelt()
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _explained(error) from None

    @field_validator(*ABSOLUTE, mode="after")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        # Children (workers, the broker) may run elsewhere and must mean the same folder.
        return None if path is None else path.expanduser().absolute()

    @field_validator("edge_origins", mode="after")
    @classmethod
    def _origins(cls, text: str) -> str:
        for origin in filter(None, (part.strip() for part in text.split(","))):
            if not _ORIGIN(origin):
                raise ValueError(f"{origin!r} is no origin; write https://app.example.com, without path, joined by commas")
        return text

    @field_validator("console_origin", mode="after")
    @classmethod
    def _one_origin(cls, text: str | None) -> str | None:
        if text is not None and not _ORIGIN(text):
            raise ValueError(f"{text!r} is no origin; write https://console.example.com, without path")
        return None if text is None else text.rstrip("/")

    @field_validator("console_workers", mode="after")
    @classmethod
    def _pages(cls, text: str) -> str:
        for page in filter(None, (part.strip() for part in text.split(","))):
            if not _ORIGIN(page):
                raise ValueError(f"{page!r} is no address of a worker; write http://worker-1:6066, joined by commas")
        return text

    @model_validator(mode="after")
    def _credentials_go_together(self) -> Self:
        self._credentials().check()
        return self

    def topic(self, name: str) -> str:
        """The topic's name on this cluster."""
        return self.topic_prefix + name

    def topic_base(self, topic: str) -> str:
        """The contract's name of a topic of this cluster: the inverse of `topic`."""
        return topic.removeprefix(self.topic_prefix)

    def keys(self) -> Path:
        return self.keys_dir or self.data_dir / "keys"

    def edge(self) -> Path:
        return self.edge_dir or self.data_dir / "edge"

    def tokens(self) -> Path:
        return self.edge_tokens_dir or self.data_dir / "tokens"

    def origins(self) -> frozenset[str]:
        """Of pages that may send to the edge, as browsers write them."""
        return frozenset(origin.strip().rstrip("/") for origin in self.edge_origins.split(",") if origin.strip())

    def console(self) -> Path:
        """The read model of the console, and the locked keys of the people who log in there."""
        return self.data_dir / "console"

    def worker_pages(self) -> list[str]:
        """Of the workers that the console asks."""
        given = [page.strip().rstrip("/") for page in self.console_workers.split(",") if page.strip()]
        return given or ([f"http://{self.web_bind}:{self.web_port}"] if self.web_port else [])

    def warehouse(self) -> Path:
        """Tables for analysis, and the checkpoints of replays: what is kept when Kafka's retention is over."""
        return self.warehouse_dir or self.data_dir / "warehouse"

    def checkpoints(self) -> Path:
        return self.warehouse() / "checkpoints"

    def broker_file(self) -> Path:
        """Where a running embedded broker says its address and pid (written by app/stream/broker)."""
        return self.data_dir / "broker" / "broker.json"

    def bootstrap(self) -> str:
        """host:port[,host:port] of the cluster: TRUELIFT_BROKER, else the embedded broker's, else an error."""
        address = self.broker or _address_in(self.broker_file())
        if address is None:
            raise OperatorError(
                f"no broker: TRUELIFT_BROKER is not set and no embedded broker runs in {self.broker_file().parent}",
                "Start one with `truelift broker start`, or set TRUELIFT_BROKER=host:port",
            )
        return address

    def kafka(self) -> dict[str, Any]:
        """Keyword arguments that every aiokafka client takes."""
        return {"bootstrap_servers": self.bootstrap(), **self._credentials().arguments()}

    def governance_kafka(self) -> dict[str, Any]:
        """The same for the governance connection, which may have an address of its own."""
        return {"bootstrap_servers": self.governance_broker or self.bootstrap(), **self._credentials().arguments()}

    def _credentials(self) -> Credentials:
        return Credentials(
            self.kafka_security_protocol, self.kafka_sasl_mechanism,
            self.kafka_sasl_username, self.kafka_sasl_password, self.kafka_sasl_password_file,
            self.kafka_ssl_cafile, self.kafka_ssl_certfile, self.kafka_ssl_keyfile,
        )  # fmt: skip


def _refuse_misspelt() -> None:
    """An unknown variable that looks like a setting is an error; any other is only named: it may be a neighbour's."""
    known = [name.upper() for name in Settings.model_fields]
    for variable in sorted(os.environ):
        name = variable.removeprefix(PREFIX)
        if name == variable or name in known or _INJECTED(name):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=_LIKENESS)
        if near:
            raise OperatorError(f"unknown setting {variable}", f"Did you mean {PREFIX}{near[0]}?")
        log.warning("the variable %s is no setting of Truelift and is ignored", variable)


def _explained(error: ValidationError) -> OperatorError:
    """One line of the first problem: key, value and what is expected."""
    problem = error.errors(include_url=False)[0]
    field = str(problem["loc"][0]) if problem["loc"] else ""
    key = field if field == "JAVA_HOME" else PREFIX + field.upper()
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(field, Settings.model_fields, n=1)
        return OperatorError(f"unknown setting {key}", f"Did you mean {near[0]}?" if near else "Leave it out")
    hidden = any(word in field.lower() for word in ("password", "catalogue"))  # a catalogue's properties hold its token
    shown = "***" if hidden else repr(problem["input"])
    return OperatorError(f"{key} is {shown}, which is not usable", f"Expected: {problem['msg']}")


def _address_in(broker_file: Path) -> str | None:
    """The address in broker.json if its process is alive. That the pid is another program's by now shows at connect."""
    try:
        record = json.loads(broker_file.read_text())
        os.kill(record["pid"], 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except PermissionError:  # alive, another user's
        pass
    return f"{record['host']}:{record['port']}"
