"""The fraud service from the command line: its keys, how it starts, what it warns of, how it ends."""

from __future__ import annotations

import datetime
import http.client
import json
import os
import select
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.cli._app import run
from tallystick.errors import ConfigurationError, StorageError
from tallystick.proof import Party
from tallystick.server import Keys, Served, serve

Said = pytest.CaptureFixture[str]
PASSPHRASE = "correct horse"
WAIT_S = 60.0


@pytest.fixture(autouse=True)
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> Path:
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("TALLYSTICK_WORKSPACE", str(tmp_path / "bank"))
    save = Party.save
    monkeypatch.setattr(Party, "save", lambda self, path, secret, n=0: save(self, path, secret, n=2**4))
    assert run(["init", str(tmp_path / "bank"), "--name", "Bank A"]) == 0
    capsys.readouterr()
    return tmp_path / "bank"


def typed(said: Said, *words: str, code: int = 0) -> str:
    assert run(["fraud", *words]) == code
    shown = said.readouterr()
    return shown.out + shown.err


def as_json(said: Said, *words: str) -> Any:
    return json.loads(typed(said, *words, "--json"))


def test_a_key_is_shown_once_listed_without_itself_and_removed(bank: Path, capsys: Said) -> None:
    token = as_json(capsys, "keys", "add", "--name", "payment hub", "--role", "decide", "--role", "audit")[
        "key"
    ]
    assert (bank / "keys.toml").stat().st_mode & 0o777 == 0o600
    assert token not in (bank / "keys.toml").read_text("utf-8")
    found = Keys.read(bank / "keys.toml").find(token)
    assert found is not None
    assert found.roles == {"audit", "decide"}
    listed = typed(capsys, "keys", "list")
    assert "payment hub" in listed
    assert token not in listed
    assert "has a key already" in typed(
        capsys, "keys", "add", "--name", "payment hub", "--role", "audit", code=1
    )
    assert "removed" in typed(capsys, "keys", "remove", "--name", "payment hub")
    assert as_json(capsys, "keys", "list") == {"keys": []}
    assert "no key has this name" in typed(capsys, "keys", "remove", "--name", "payment hub", code=1)


def test_a_role_that_nobody_knows_and_a_place_that_is_no_workspace_are_refused(
    tmp_path: Path, capsys: Said
) -> None:
    assert "roles must be of" in typed(capsys, "keys", "add", "--name", "a", "--role", "king", code=1)
    assert "no workspace" in typed(capsys, "keys", "list", "-w", str(tmp_path / "gone"), code=1)


def test_settings_that_do_not_fit_keep_the_service_from_starting(bank: Path, capsys: Said) -> None:
    (bank / "fraud.toml").write_text("version = 1\n[modls]\n")
    assert "unknown key modls" in typed(capsys, "serve", "--port", "0", code=1)
    (bank / "fraud.toml").unlink()
    (bank / "keys.toml").write_text("version = 1\n")
    (bank / "keys.toml").chmod(0o644)
    assert "chmod 600" in typed(capsys, "serve", "--port", "0", code=1)


@pytest.mark.parametrize(
    ("host", "tls", "exposed"),
    [("127.0.0.1", False, False), ("::1", False, False), ("localhost", False, False), ("0.0.0.0", True, False),
     ("0.0.0.0", False, True), ("10.1.2.3", False, True), ("bank.example", False, True)],
)  # fmt: skip
def test_an_address_that_others_can_listen_to_is_known_as_one(host: str, tls: bool, exposed: bool) -> None:
    assert Served(host, 8480, tls).is_exposed is exposed


def test_half_of_tls_and_a_port_that_is_taken_are_refused(tmp_path: Path) -> None:
    app: Any = None
    with pytest.raises(ConfigurationError, match="a certificate and its key"):
        serve(app, port=0, tls_cert=tmp_path / "cert.pem")
    with pytest.raises(StorageError, match="cannot listen"):
        serve(app, host="192.0.2.1", port=1)


def self_signed(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (directory / "cert.pem").write_bytes(made.public_bytes(pem))
    (directory / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return directory / "cert.pem", directory / "key.pem"


@pytest.mark.slow
def test_the_service_speaks_tls_decides_and_ends_with_0_at_sigterm(
    bank: Path, tmp_path: Path, capsys: Said
) -> None:
    token = as_json(capsys, "keys", "add", "--name", "hub", "--role", "decide")["key"]
    cert, key = self_signed(tmp_path)
    program = "import sys; from tallystick.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", program, "fraud", "serve", "--port", "0", "--json"]
    words += ["--tls-cert", str(cert), "--tls-key", str(key), "--log", str(tmp_path / "log")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, env={**os.environ})
    try:
        assert process.stdout is not None
        text = b""
        while not text.rstrip().endswith(b"}"):
            assert select.select([process.stdout], [], [], WAIT_S)[0], "the service gave no sign"
            more = os.read(process.stdout.fileno(), 4096)
            assert more, "the service ended"
            text += more
        said = json.loads(text)
        assert said["mode"] == "rules"
        assert said["url"].startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(cert))
        context.check_hostname = False
        place = said["url"].removeprefix("https://")
        connection = http.client.HTTPSConnection(place, context=context, timeout=WAIT_S)
        payment = {"id": "p-1", "at": 1_790_000_000_000_000, "amount": 5, "currency": "EUR"}
        body = json.dumps({**payment, "customer": "SECRET", "payee": "m"})
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        connection.request("POST", "/v1/payments/decide", body, headers)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["action"]) == (200, "approve")
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
    log = (tmp_path / "log").read_bytes()
    assert b'"action":"approve"' in log
    assert b"SECRET" not in log
