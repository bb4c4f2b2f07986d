"""Statements straight through libpq: psycopg's cursor takes longer over a short one than PostgreSQL does.

What comes in a stream, or belongs to no searching or storing, is psycopg's to run. Raises psycopg.Error.
"""
from __future__ import annotations

import select
from collections import OrderedDict
from collections.abc import Callable, Sequence

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

from dicomserver.index.engine import Value

MOST = 128              # statements of a connection: peers make up as many kinds of queries as they like
ASKED_SECONDS = 0.05    # between two questions whether a statement is still wanted
_TYPES = {int: 20, str: 25, bytes: 17}      # object ids of PostgreSQL's types int8, text, bytea; 0: it may choose
_AS_TEXT, _AS_BYTES = pq.Format.TEXT, pq.Format.BINARY
_GOOD = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


class Prepared:
    """The statements of one connection, each prepared when it is first run. Not beside psycopg's own pipeline."""

    __slots__ = ("_connection", "_libpq", "_made", "_names")

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._libpq = connection.pgconn
        self._made = 0
        self._names: OrderedDict[str, bytes] = OrderedDict()

    def forget(self) -> None:
        """None is prepared any more, neither here nor on the server; psycopg has none of its own."""
        self._names.clear()
        if self._libpq.status == pq.ConnStatus.OK and self._libpq.pipeline_status == pq.PipelineStatus.OFF:
            self._libpq.exec_(b"DEALLOCATE ALL")

    def run(self, sql: str, values: Sequence[Value]) -> int:
        """How many rows it changed. Waits without the interpreter's lock."""
        return self._count(self._libpq.exec_prepared(self._name(sql, values), *_encoded(values)))

    def rows(self, sql: str, values: Sequence[Value | list], still: Callable[[], None] | None = None) -> list[tuple]:
        """What it gives. A list is an array. still: called now and then while it runs; may end it by raising."""
        name, parameters = self._name(sql, values), _encoded(values)
        if still is None:
            result = self._libpq.exec_prepared(name, *parameters, _AS_BYTES)
        else:
            self._libpq.send_query_prepared(name, *parameters, _AS_BYTES)
            result, _end = self._next(still), self._next(still)
        self._good(result)
        reader = Transformer(self._connection)
        reader.set_pgresult(result)
        return reader.load_rows(0, result.ntuples, tuple)

    def run_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[int]:
        """The same for each of the rows in one round trip; outside of a transaction they are one."""
        if len(rows) < 2:
            return [self.run(sql, row) for row in rows]
        name = self._name(sql, rows[0])
        encoded = [_encoded(row) for row in rows]       # first, for it may raise
        try:
            self._libpq.enter_pipeline_mode()
            for parameters in encoded:
                self._libpq.send_query_prepared(name, *parameters)
            self._libpq.pipeline_sync()
            results = self._results(len(rows))
            self._libpq.exit_pipeline_mode()
        except BaseException:
            self._libpq.finish()        # nobody would know whose answers come next
            raise
        return [self._count(result) for result in results]

    def _results(self, count: int) -> list[pq.abc.PGresult]:
        """Those of the statements that were sent; what follows them is read as well."""
        results = []
        while len(results) <= count:
            result = self._next(lambda: None)
            if result is not None:          # None: the end of one statement's
                results.append(result)
        return results[:count]

    def _next(self, still: Callable[[], None]) -> pq.abc.PGresult | None:
        poll = None
        # Sending and receiving in turns: either side's buffers may be full.
        while (unsent := self._libpq.flush()) or self._libpq.is_busy():
            poll = poll or select.poll()
            poll.register(self._libpq.socket, select.POLLIN | (select.POLLOUT if unsent else 0))
            while not poll.poll(ASKED_SECONDS * 1000):
                still()
            self._libpq.consume_input()
        return self._libpq.get_result()

    def _good(self, result: pq.abc.PGresult) -> pq.abc.PGresult:
        if result.status in _GOOD:
            return result
        error = error_from_result(result)
        if error.sqlstate is None:      # libpq's own: it has lost the server, though it may not yet know
            self._libpq.finish()
        raise error

    def _count(self, result: pq.abc.PGresult) -> int:
        return self._good(result).command_tuples or 0

    def _name(self, sql: str, values: Sequence[Value | list]) -> bytes:
        name = self._names.get(sql)
        if name is not None:
            self._names.move_to_end(sql)
            return name
        if len(self._names) >= MOST:
            self._good(self._libpq.exec_(b"DEALLOCATE " + self._names.popitem(last=False)[1]))
        self._made += 1
        name = b"dicom_server_%d" % self._made      # never again: a forgotten one may be there still
        first, *rest = sql.split("%s")
        numbered = first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))
        self._good(self._libpq.prepare(name, numbered.encode(), [_TYPES.get(type(value), 0) for value in values]))
        self._names[sql] = name
        return name


def _encoded(values: Sequence[Value | list]) -> tuple[list[bytes | None], list[int]]:
    """Parameters and their formats."""
    return [value if value is None or type(value) is bytes else b"%d" % value if type(value) is int
            else _text(value) if type(value) is str else _array(value) for value in values], [
        _AS_BYTES if type(value) is bytes else _AS_TEXT for value in values]


def _text(value: str) -> bytes:
    if "\0" in value:       # libpq would take it for the end
        raise psycopg.DataError("no text of PostgreSQL's has a NUL")
    return value.encode()


def _array(values: Sequence[int] | Sequence[str]) -> bytes:
    return b"{%b}" % b",".join(b"%d" % value if type(value) is int else _quoted(value) for value in values)


def _quoted(value: str) -> bytes:
    return b'"%b"' % _text(value).replace(b"\\", b"\\\\").replace(b'"', b'\\"')
