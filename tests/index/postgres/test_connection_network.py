"""Over TCP and TLS, to one of several hosts, by a service's file; and each way in which it fails is one clear line."""
from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.index import IndexAway, open_index
from dicomserver.index.postgres.address import parameters_of
from dicomserver.index.postgres.connection import connect
from tests.ports import free_port
from tests.postgres import DATABASE, GUARDED, USER, PostgresServer

PASSWORD = "open sesame"
OURS, FOREIGN = "ours.crt", "foreign.crt"


def certify(folder: Path, name: str, host: str) -> None:
    """A certificate for a host that signs itself, and its key."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}",
                    "-keyout", folder / name.replace(".crt", ".key"), "-out", folder / name],
                   check=True, capture_output=True)


@pytest.fixture(scope="module")
def plain() -> Iterator[PostgresServer]:
    """It listens on TCP, without TLS."""
    server = PostgresServer(port=free_port())
    server.execute(f"CREATE ROLE {GUARDED} LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
    yield server
    server.remove()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PostgresServer, Path]]:
    """It takes TLS only, on TCP, with a certificate for localhost; and where the certificates are."""
    server, folder = PostgresServer(port=free_port()), tmp_path_factory.mktemp("certificates")
    certify(folder, OURS, "localhost")
    certify(folder, FOREIGN, "elsewhere.example")
    data = server.folder / "data"
    for made, name in ("ours.crt", "server.crt"), ("ours.key", "server.key"):
        shutil.copyfile(folder / made, data / name)
        shutil.chown(data / name, data.owner(), data.group())
        (data / name).chmod(0o600)
    (data / "pg_hba.conf").write_text(f"local all all trust\nhostssl all {GUARDED} all scram-sha-256\n")
    server.execute(f"CREATE ROLE {GUARDED} LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
    server.execute("ALTER SYSTEM SET ssl = on")
    server.stop()
    server.start()
    yield server, folder
    server.remove()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))


def url(server: PostgresServer, *, host: str = "localhost", password: str = PASSWORD, database: str = DATABASE,
        more: str = "") -> str:
    return f"postgres://{GUARDED}:{password.replace(' ', '%20')}@{host}:{server.port}/{database}?{more}"


def refusal(where: str) -> str:
    """Why there is no connection, as the server and each of its commands say it: one line, without the password."""
    with pytest.raises(IndexAway) as refused:
        open_index(where)
    said = str(refused.value)
    assert "\n" not in said and "sesame" not in said
    assert refused.value.__context__ is None or refused.value.__suppress_context__
    return said


def test_over_tcp(plain: PostgresServer) -> None:
    made = connect(parameters_of(url(plain)), "dicom_server")
    assert (made.info.host, made.info.port, made.pgconn.ssl_in_use) == ("localhost", plain.port, False)
    made.close()


def test_over_tls_with_the_certificate_of_that_host(secure: tuple[PostgresServer, Path]) -> None:
    server, folder = secure
    index = open_index(url(server, more=f"sslmode=verify-full&sslrootcert={folder / OURS}"))
    with index._engine.reading() as session:
        assert session.rows("SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity a USING (pid)"
                            " WHERE a.application_name = 'dicom-server'") == [(True,)]
    index.close()


@pytest.mark.parametrize("host, root, text", [
    ("localhost", FOREIGN, "certificate verify failed"),
    ("127.0.0.1", OURS, 'server certificate for "localhost".* does not match host name "127.0.0.1"'),
    ("localhost", "absent.crt", "root certificate file .* does not exist"),
])
def test_another_certificate_is_refused(host: str, root: str, text: str, secure: tuple[PostgresServer, Path]) -> None:
    server, folder = secure
    said = refusal(url(server, host=host, more=f"sslmode=verify-full&sslrootcert={folder / root}"))
    assert re.search(text, said), said


@pytest.mark.parametrize("changes, text", [
    ({"host": "nowhere.invalid"}, "failed to resolve host 'nowhere.invalid'"),
    ({"password": "open sesame, please"}, f'password authentication failed for user "{GUARDED}"'),
    ({"database": "absent"}, 'database "absent" does not exist'),
    ({"more": "sslmode=require"}, "server does not support SSL, but SSL was required"),
    ({"more": "sslmode=verify-full&sslpassword=sesame"}, "SSL"),
])
def test_why_there_is_no_connection(changes: dict[str, str], text: str, plain: PostgresServer) -> None:
    assert text in refusal(url(plain, **changes))


def test_a_port_at_which_nobody_listens(plain: PostgresServer) -> None:
    assert "Connection refused" in refusal(url(plain).replace(f":{plain.port}", f":{free_port()}"))


def test_a_server_that_takes_tls_only(secure: tuple[PostgresServer, Path]) -> None:
    server, _ = secure
    assert "no pg_hba.conf entry" in refusal(url(server, more="sslmode=disable"))


def test_a_password_of_the_environment_or_a_file_is_not_told(plain: PostgresServer, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    bare = url(plain).replace(":open%20sesame", "")
    (tmp_path / "pgpass").write_text(f"localhost:{plain.port}:*:{GUARDED}:shut sesame\n")
    (tmp_path / "pgpass").chmod(0o600)
    assert "password authentication failed" in refusal(bare)
    monkeypatch.setenv("PGPASSWORD", "shut sesame")
    assert "password authentication failed" in refusal(bare)
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / "pgpass").write_text(f"localhost:{plain.port}:*:{GUARDED}:{PASSWORD}\n")
    connect(parameters_of(bare), "dicom_server").close()


@pytest.mark.parametrize("by_environment", [False, True])
def test_a_service_says_it(by_environment: bool, plain: PostgresServer, tmp_path: Path,
                           monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "services").write_text(
        f"[pacs]\nhost=localhost\nport={plain.port}\nuser={GUARDED}\npassword={PASSWORD}\ndbname={DATABASE}\n"
        "application_name=the clinic\n")
    if by_environment:
        monkeypatch.setenv("PGSERVICE", "pacs")
    made = connect(parameters_of("postgres://" + ("" if by_environment else "?service=pacs")), "dicom_server")
    assert (made.info.user, made.info.port) == (GUARDED, plain.port)
    assert made.execute("SHOW application_name").fetchone() == ("the clinic",)
    made.close()
    (tmp_path / "services").write_text(f"[pacs]\nhost=localhost\nport={plain.port}\nuser={GUARDED}\npassword=sesame\n")
    assert "password authentication failed" in refusal("postgres://" + ("" if by_environment else "?service=pacs"))


@pytest.fixture(scope="module")
def standby(plain: PostgresServer) -> Iterator[PostgresServer]:
    server = PostgresServer(standby_of=plain, port=free_port())
    yield server
    server.remove()


def test_of_several_hosts_the_primary_is_taken(plain: PostgresServer, standby: PostgresServer) -> None:
    nobody = free_port()
    several = f"localhost:{nobody},localhost:{standby.port},localhost:{plain.port}/{DATABASE}"
    for more in ("", "?target_session_attrs=read-write"):
        index = open_index(f"postgres://{USER}@{several}{more}")
        with index._engine.reading() as session:
            assert session.one("SHOW port") == (str(plain.port),)
        index.close()
    failed = refusal(f"postgres://{GUARDED}:open%20sesame@localhost:{nobody},localhost:{standby.port}/{DATABASE}")
    assert "Connection refused" in failed and "server is in hot standby mode" in failed


def test_a_standby_is_refused(plain: PostgresServer, standby: PostgresServer) -> None:
    open_index(plain.url).close()       # an index is there
    deadline = time.monotonic() + 60
    while not standby.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'dicom_server'"):
        assert time.monotonic() < deadline
    assert "server is in hot standby mode" in refusal(f"postgres://{USER}@localhost:{standby.port}/{DATABASE}")
    assert refusal(f"postgres://{USER}@localhost:{standby.port}/{DATABASE}?target_session_attrs=any").startswith(
        "this PostgreSQL server is a standby")
