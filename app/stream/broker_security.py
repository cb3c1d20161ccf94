"""An embedded broker that trusts nobody: TLS on every listener, users by SCRAM-SHA-512, an authorizer that denies by default.

Owns: the certificates and the first user's password under <broker>/security, and the properties that use them. Clients come in
by SASL_SSL, or at the listener MUTUAL with a certificate of their own; the broker and its controller know each other by
certificate alone. Refuses a password on a command line, where every process of the machine could read it.
"""

import contextlib
import secrets
import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.secret_files import write_secret
from app.stream.certificates import Authority
from app.stream.ports import HOST

MUTUAL = "MUTUAL"
# May do everything: makes the other users and gives them their rights.
ADMIN = "admin"
_BROKER = "broker"
MECHANISM = "SCRAM-SHA-512"
_PASSWORD_BYTES = 24


class BrokerSecurity:
    """What lies in `folder`; made there when it is not."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self._certificate = self.authority.issue(_BROKER, HOST)
        self.password_file(ADMIN)

    def password_file(self, user: str) -> Path:
        """The file with the user's password, for its owner alone; a new password when there is none yet."""
        file = self.authority.folder / f"{user}.password"
        if not file.exists():
            write_secret(file, secrets.token_urlsafe(_PASSWORD_BYTES).encode())
        return file

    def properties(self, sasl: Sequence[str], certificates: Sequence[str]) -> dict[str, object]:
        """sasl: listeners for users; certificates: those that ask the other side for its certificate."""
        module = "org.apache.kafka.common.security.scram.ScramLoginModule"
        protocols = [f"{name}:SASL_SSL" for name in sasl] + [f"{name}:SSL" for name in certificates]
        return {
            "listener.security.protocol.map": ",".join(protocols),
            "inter.broker.listener.name": MUTUAL,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self._certificate,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority.cafile,
            "sasl.enabled.mechanisms": MECHANISM,
            **{f"listener.name.{name.lower()}.ssl.client.auth": "required" for name in certificates},
            **{f"listener.name.{name.lower()}.{MECHANISM.lower()}.sasl.jaas.config": f"{module} required;" for name in sasl},
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:{ADMIN};User:CN={_BROKER}",
        }

    @contextlib.contextmanager
    def format_arguments(self) -> Iterator[tuple[str, ...]]:
        """Of kafka-storage, so that the first user is there from the start; the password goes by a file, gone afterwards."""
        password = self.password_file(ADMIN).read_text()
        file = self.authority.folder / "format.arguments"
        file.unlink(missing_ok=True)  # of a start that was killed
        write_secret(file, f"--add-scram\n{MECHANISM}=[name={ADMIN},password={password}]\n".encode())
        try:
            yield (f"@{file}",)
        finally:
            file.unlink()

    def wrapped(self, connection: socket.socket) -> socket.socket:
        """A TLS connection to the broker over `connection`."""
        context = ssl.create_default_context(cafile=self.authority.cafile)
        return context.wrap_socket(connection, server_hostname=HOST)

    def client_settings(self, user: str) -> dict[str, Any]:
        """The settings of a client of this broker that are not as they are by default."""
        return {
            "kafka_security_protocol": "SASL_SSL",
            "kafka_ssl_cafile": self.authority.cafile,
            "kafka_sasl_username": user,
            "kafka_sasl_password_file": self.password_file(user),
        }
