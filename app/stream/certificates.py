"""A certificate authority for a broker of one's own: made on the spot, its certificates good for loopback.

Owns: one folder with the authority's certificate and the keys it has made, each readable by its owner alone. Refuses to be an
authority for anything but development and tests: its key lies beside what it signs.
"""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.secret_files import make_secret_folder, write_secret

# As long as a data folder may be kept.
VALID_DAYS = 3650
# Clocks of a machine and of its containers differ by less.
CLOCK_SKEW = timedelta(hours=1)

PrivateKey = ec.EllipticCurvePrivateKey


class Authority:
    """Loads the authority of `folder`, or makes one there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cafile = folder / "ca.pem"
        make_secret_folder(folder)
        key_file = folder / "ca.key"
        if not key_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            self.cafile.write_bytes(_authority_certificate(key).public_bytes(Encoding.PEM))
            write_secret(key_file, _pem(key))
        loaded = load_pem_private_key(key_file.read_bytes(), password=None)
        assert isinstance(loaded, PrivateKey), f"{key_file} holds another kind of key"
        self._key = loaded
        self._certificate = x509.load_pem_x509_certificate(self.cafile.read_bytes())

    def issue(self, name: str, address: str | None = None, valid_days: int = VALID_DAYS) -> Path:
        """A PEM file with a new key and its certificate, for CN=<name>; made once.

        address: the IP address that it is a server's certificate for; none: a client's. valid_days: negative, it has expired.
        """
        file = self.folder / f"{name}.pem"
        if not file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = self._signed(name, key, address, valid_days)
            write_secret(file, _pem(key) + certificate.public_bytes(Encoding.PEM))
        return file

    def _signed(self, name: str, key: PrivateKey, address: str | None, valid_days: int) -> x509.Certificate:
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH] + ([ExtendedKeyUsageOID.SERVER_AUTH] if address else [])
        builder = _builder(name, self._certificate.subject, key.public_key(), valid_days)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        builder = builder.add_extension(issuer, critical=False)
        if address is not None:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _authority_certificate(key: PrivateKey) -> x509.Certificate:
    name = "Truelift development authority"
    signing = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = _builder(name, _distinguished(name), key.public_key(), VALID_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(signing, critical=True)
    return builder.sign(key, hashes.SHA256())


def _builder(name: str, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, valid_days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    ends = now + timedelta(days=valid_days)
    return (
        x509.CertificateBuilder()
        .subject_name(_distinguished(name))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, ends) - CLOCK_SKEW)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _distinguished(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
