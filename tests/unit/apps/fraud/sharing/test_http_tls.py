"""A member is believed to be who its certificate says, or it is not asked."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.unit.apps.fraud.sharing.served_banks import Later

from tallystick.apps.fraud.sharing import HttpMemberLink
from tallystick.errors import ConfigurationError, NodeUnreachableError
from tallystick.server import Beside, Keys, ServerSettings, create_sharing_app


class Opened:
    """A member that has opened every epoch."""

    def opening(self, number: int) -> bytes:
        return b"opened %d" % number


def certificate(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bank-b")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    directory.mkdir()
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (directory / "cert.pem").write_bytes(made.public_bytes(pem))
    (directory / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return directory / "cert.pem", directory / "key.pem"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, str, Path]]:
    cert, key = certificate(tmp_path / "bank-b")
    keys, token = Keys().added("did:key:a", ["member"])
    service = Later()
    service.made = Opened()
    app = create_sharing_app(service, ServerSettings(keys=keys))
    with Beside(app, host="127.0.0.1", port=0, tls_cert=cert, tls_key=key) as beside:
        yield beside.place.url, token, cert


def link_to(url: str, token: str, ca: Path | None) -> HttpMemberLink:
    return HttpMemberLink("b", origin="o", url=url, key=token, name="Bank B", ca=ca, rest_s=0.0)


def test_a_member_is_asked_over_tls(served: tuple[str, str, Path]) -> None:
    url, token, cert = served
    assert url.startswith("https://")
    link = link_to(url, token, cert)
    assert [link.opening(number) for number in (1, 2)] == [b"opened 1", b"opened 2"]
    link.close()


def test_who_has_another_certificate_gets_neither_key_nor_request(
    served: tuple[str, str, Path], tmp_path: Path
) -> None:
    url, token, _ = served
    other, _ = certificate(tmp_path / "somebody-else")
    for ca in (other, None):
        link = link_to(url, token, ca)
        with pytest.raises(NodeUnreachableError, match="cannot be reached"):
            link.opening(1)
        link.close()


def test_a_certificate_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path) -> None:
    cert, _ = certificate(tmp_path / "bank-b")
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(ConfigurationError):
        link_to("https://127.0.0.1:1", "k", broken)
    app = create_sharing_app(Later(), ServerSettings())
    with pytest.raises(ConfigurationError):
        Beside(app, host="127.0.0.1", port=0, tls_cert=cert)
    with pytest.raises(ConfigurationError):
        Beside(app, host="127.0.0.1", port=0, tls_cert=cert, tls_key=broken)
