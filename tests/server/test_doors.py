import errno
import socket

import pytest

from dicomserver.server import doors


def close(opened):
    for door in opened:
        door.close()


def test_every_address_both_versions():
    opened = doors.bind("", 0)
    doors.listen(opened)
    port = opened[0].getsockname()[1]
    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, port), timeout=10).close()
    close(opened)


def test_one_address_only():
    opened = doors.bind("127.0.0.1", 0)
    doors.listen(opened)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", opened[0].getsockname()[1]), timeout=10)
    close(opened)


def test_nobody_gets_in_before_listen():
    opened = doors.bind("127.0.0.1", 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(opened[0].getsockname(), timeout=10)
    close(opened)


def test_a_name_with_several_addresses_has_one_port(monkeypatch):
    monkeypatch.setattr(doors.socket, "getaddrinfo", lambda *args, **more: [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 0))])
    opened = doors.bind("a-name", 0)
    assert [door.getsockname()[0] for door in opened] == ["127.0.0.1", "127.0.0.2"]
    assert len({door.getsockname()[1] for door in opened}) == 1
    close(opened)


@pytest.mark.parametrize("address", ["", "127.0.0.1"])
def test_a_busy_port_is_told_in_one_line(address):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(doors.PortInUse) as refusal:
            doors.bind(address, port)
    text = str(refusal.value)
    assert f"port {port}" in text and "in use" in text and "\n" not in text


def test_a_port_that_another_took_between_bind_and_listen():
    first, second = doors.bind("127.0.0.1", 0), []
    second = doors.bind("127.0.0.1", first[0].getsockname()[1])
    doors.listen(first)
    with pytest.raises(doors.PortInUse):
        doors.listen(second)
    close(first + second)


@pytest.mark.parametrize("number, says", [
    (errno.EACCES, "without privileges"), (errno.EADDRNOTAVAIL, "not an address of this machine"),
    (errno.EIO, "cannot be opened")])
def test_other_reasons_are_told_too(monkeypatch, number, says):
    def refuse(*_):
        raise OSError(number, "text of the system")

    monkeypatch.setattr(doors, "_door", refuse)
    with pytest.raises(doors.BindError, match=says):
        doors.bind("127.0.0.1", 104)


def test_an_unknown_name(monkeypatch):
    def unknown(*args, **more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(doors.socket, "getaddrinfo", unknown)
    with pytest.raises(doors.BindError, match="is not known"):
        doors.bind("no-such-host", 104)
