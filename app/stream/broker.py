"""The embedded broker: one real Apache Kafka (KRaft) as a child process, data under <data_dir>/broker.

Alone, or a node of a cluster (cluster.py).

Owned by a process (`with EmbeddedBroker(...)`) it dies with that process, even by SIGKILL; detached (`truelift broker
start`) it runs until `stop`. Refuses to share its folder, and to end a process that is not its broker.
"""

import base64
import contextlib
import os
import signal
import socket
import struct
import subprocess
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import OperatorError
from app.stream.broker_config import CLIENT, CONTROLLER, Listener, Node, log4j_properties, server_properties
from app.stream.broker_folder import BrokerFolder, BrokerRecord, folder_of
from app.stream.broker_security import MUTUAL, BrokerSecurity
from app.stream.jvm import find_java, kafka_jars
from app.stream.owned_process import STOP_DEADLINE_SECONDS, end, popen_detached, popen_owned
from app.stream.ports import HOST, kept_ports, require_free

# Listening within 2 to 4 seconds in 340 MB; the JVM's defaults take twice both.
JVM_FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
HEAP_MIB = 512
START_DEADLINE_SECONDS = 90.0
POLL_SECONDS = 0.02


class EmbeddedBroker:
    """A broker with its data under <data_dir>/broker. Every method blocks: in async code, use a thread."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        listeners: tuple[Listener, ...] = (),
        java_home: Path | None = None,
        detached: bool = False,
        heap_mib: int = HEAP_MIB,
        node: Node | None = None,
        ports: Mapping[str, int] | None = None,
        secure: bool = False,
        authorizer_level: str = "info",
    ) -> None:
        """node: its place in a cluster; none: it is alone. ports: by listener, for a node whose peers must know them.

        secure: TLS, users and an authorizer (broker_security.py), for a broker that is alone.
        """
        self.folder = folder_of(data_dir)
        self.security: BrokerSecurity | None = None  # of a secure broker, from its start on
        self._secure = secure
        self._authorizer_level = authorizer_level
        self._wanted = dict(ports or {}) | ({} if port is None else {CLIENT: port})
        self._listeners = (*listeners, Listener(MUTUAL)) if secure else listeners
        self._heap_mib = heap_mib
        self._node = node
        self._java_home = java_home
        self._detached = detached
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return self.listener_address(CLIENT)

    def listener_address(self, name: str) -> str:
        """Where the broker itself listens under that name (not the advertised address)."""
        return f"{HOST}:{self._ports[name]}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise OperatorError("the broker is not running", "Call start() first")
        return self._process.pid

    def start(self) -> Self:
        """Returns when the broker answers. OperatorError: running already, port in use, no Java, no jars, it ended."""
        with self.folder.locked():
            if running := self.folder.running():
                raise OperatorError(
                    f"a broker runs in {self.folder.root} already (pid {running.pid}, {running.address})",
                    "Stop it with `truelift broker stop`",
                )
            self._make_security()
            java, jars = find_java(self._java_home), kafka_jars()
            names = (CLIENT, CONTROLLER, *(listener.name for listener in self._listeners))
            self._ports = kept_ports(self.folder.root / "ports.json", names, self._wanted)
            for port in self._ports.values():
                require_free(port, "`truelift broker start --port N`")
            command = [str(java), f"-Xmx{self._heap_mib}m", *JVM_FLAGS]
            command += [f"-Dlog4j2.configurationFile={self.folder.root / 'log4j2.properties'}"]
            command += ["-cp", os.pathsep.join(map(str, jars))]
            self._write_configuration()
            self._format_once(command)
            self._process = self._spawn([*command, "kafka.Kafka", str(self.folder.properties)])
            self._await_answer(self._process)
            started = datetime.now(UTC).isoformat(timespec="seconds")
            self.folder.write(BrokerRecord(self._process.pid, HOST, self._ports[CLIENT], started))
        return self

    def stop(self) -> None:
        """Ends the broker: asks, then kills after STOP_DEADLINE_SECONDS. Its data and ports stay for the next start."""
        if self._process is not None:
            end(self._process)
        self._forget()

    def kill(self) -> None:
        """SIGKILL, as a fault: the broker recovers its log at the next start."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._forget()

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None, "start it first"
        return self._process.wait()

    def restart(self) -> Self:
        self.stop()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _make_security(self) -> None:
        """A secure broker started without would let everybody in; one that was made without has no user to let in."""
        was_secure = self.folder.security.exists()
        if was_secure != self._secure and (was_secure or self.folder.formatted):
            how = "with" if was_secure else "without"
            raise OperatorError(
                f"the broker in {self.folder.root} was made {how} TLS and users",
                f"Start it {how} --secure, or make another one in a TRUELIFT_DATA_DIR of its own",
            )
        self.security = BrokerSecurity(self.folder.security) if self._secure else None

    def _write_configuration(self) -> None:
        properties = server_properties(self.folder.data, self._ports, self._listeners, self._node, self.security)
        self.folder.properties.write_text(properties)
        authorizer_log = self.folder.authorizer_log if self.security else None
        logging = log4j_properties(self.folder.log, authorizer_log, self._authorizer_level)
        (self.folder.root / "log4j2.properties").write_text(logging)

    def _format_once(self, command: list[str]) -> None:
        if self.folder.formatted:
            return
        # The features get the release's own levels, transaction.version 2 (KIP-890) among them.
        cluster_id = new_cluster_id() if self._node is None else self._node.cluster_id
        arguments = ["format", "--cluster-id", cluster_id, "--config", str(self.folder.properties)]
        with self.security.format_arguments() if self.security else contextlib.nullcontext(()) as more:
            done = subprocess.run(
                [*command, "kafka.tools.StorageTool", *arguments, *more],
                capture_output=True,
                text=True,
                timeout=START_DEADLINE_SECONDS,
            )
        if done.returncode != 0:
            raise OperatorError(
                # Not what it says on its standard output: that names the keys of the users that it was given.
                f"{self.folder.data} cannot be formatted: {_last_line(done.stderr)}",
                "Check the folder's rights and space",
            )

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self.folder.console.open("wb") as console:
            if self._detached:
                return popen_detached(command, console.fileno())
            return popen_owned(command, console.fileno())

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        try:
            while not _answers(self._ports[CLIENT], self.security):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    raise self._ended(process.wait(POLL_SECONDS))
                if time.monotonic() > deadline:
                    raise OperatorError(
                        f"the broker did not answer within {START_DEADLINE_SECONDS:.0f} s", f"See {self.folder.log}"
                    )
        except BaseException:
            end(process)
            raise

    def _ended(self, code: int) -> OperatorError:
        said = self.folder.console.read_text() + (self.folder.log.read_text() if self.folder.log.exists() else "")
        if "Address already in use" in said:
            ports = ", ".join(map(str, self._ports.values()))
            return OperatorError(
                f"a port of the broker is in use (one of {ports})",
                "Stop the program that listens there, or `truelift broker start --port N`",
            )
        return OperatorError(
            f"the broker ended at its start with exit code {code}: {_last_line(said)}", f"See {self.folder.log}"
        )

    def _forget(self) -> None:
        self._process = None
        self.folder.record.unlink(missing_ok=True)


def new_cluster_id() -> str:
    """Kafka's form of a UUID; a leading "-" would read as an option."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")


def stop_running(data_dir: Path) -> BrokerRecord | None:
    """Ends the broker that runs in the folder, whoever started it. None: there was none."""
    folder = folder_of(data_dir)
    record = folder.running()
    if record is not None:
        os.kill(record.pid, signal.SIGTERM)
        if not _gone_within(folder, record.pid, STOP_DEADLINE_SECONDS):
            os.kill(record.pid, signal.SIGKILL)
            if not _gone_within(folder, record.pid, STOP_DEADLINE_SECONDS):
                raise OperatorError(f"the broker (pid {record.pid}) does not end", f"See {folder.log}, and end it by its pid")
    folder.record.unlink(missing_ok=True)
    return record


def _gone_within(folder: BrokerFolder, pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while folder.is_ours(pid):  # no child of ours: nothing to wait on, so its command line is asked
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _answers(port: int, security: BrokerSecurity | None) -> bool:
    """Whether it answers ApiVersions (key 18, version 0), which it does only once it is unfenced and caught up."""
    request = struct.pack(">hhih", 18, 0, 1, -1)
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection((HOST, port), timeout=1))
            if security is not None:
                connection = stack.enter_context(security.wrapped(connection))
            connection.sendall(struct.pack(">i", len(request)) + request)
            head = stack.enter_context(connection.makefile("rb")).read(10)
    except OSError:
        return False
    return len(head) == 10 and head[8:] == b"\0\0"


def _last_line(text: str) -> str:
    """The line that says why: the last exception or error, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("\t", "WARNING", "SLF4J"))]
    telling = [line for line in lines if "Exception" in line or "ERROR" in line]
    return (telling or lines or ["it said nothing"])[-1]
