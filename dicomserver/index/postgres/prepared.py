"""Writing statements straight through libpq: psycopg's cursor takes longer over one than PostgreSQL does.

Only what changes rows, without a look at what it returns; all else is psycopg's to run. Raises psycopg.Error.
"""
from __future__ import annotations

import select
from collections.abc import Sequence

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

from dicomserver.index.engine import Value

_TYPES = {int: 20, str: 25, bytes: 17}      # object ids of PostgreSQL's types int8, text, bytea; 0: it may choose
_AS_TEXT, _AS_BYTES = pq.Format.TEXT, pq.Format.BINARY
_GOOD = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


class Prepared:
    """The statements of one connection, each prepared when it is first run. Not beside psycopg's own pipeline."""

    __slots__ = ("_libpq", "_made", "_names")

    def __init__(self, libpq: pq.abc.PGconn) -> None:
        self._libpq = libpq
        self._made = 0
        self._names: dict[str, bytes] = {}

    def forget(self) -> None:
        """None is prepared any more, neither here nor on the server; psycopg has none of its own."""
        self._names.clear()
        if self._libpq.status == pq.ConnStatus.OK and self._libpq.pipeline_status == pq.PipelineStatus.OFF:
            self._libpq.exec_(b"DEALLOCATE ALL")

    def run(self, sql: str, values: Sequence[Value]) -> int:
        """How many rows it changed. Waits without the interpreter's lock."""
        return _count(self._libpq.exec_prepared(self._name(sql, values), *_encoded(values)))

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
        return [_count(result) for result in results]

    def _results(self, count: int) -> list[pq.abc.PGresult]:
        """Those of the statements that were sent; what follows them is read as well."""
        results = []
        poll = select.poll()
        while len(results) <= count:
            # Sending and receiving in turns: either side's buffers may be full.
            while (unsent := self._libpq.flush()) or self._libpq.is_busy():
                poll.register(self._libpq.socket, select.POLLIN | (select.POLLOUT if unsent else 0))
                poll.poll()
                self._libpq.consume_input()
            result = self._libpq.get_result()
            if result is not None:          # None: the end of one statement's
                results.append(result)
        return results[:count]

    def _name(self, sql: str, values: Sequence[Value]) -> bytes:
        name = self._names.get(sql)
        if name is None:
            self._made += 1
            name = b"dicom_server_%d" % self._made      # never again: a forgotten one may be there still
            first, *rest = sql.split("%s")
            numbered = first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))
            _count(self._libpq.prepare(name, numbered.encode(), [_TYPES.get(type(value), 0) for value in values]))
            self._names[sql] = name
        return name


def _encoded(values: Sequence[Value]) -> tuple[list[bytes | None], list[int]]:
    """Parameters and their formats."""
    return [value if value is None or type(value) is bytes else b"%d" % value if type(value) is int else _text(value)
            for value in values], [_AS_BYTES if type(value) is bytes else _AS_TEXT for value in values]


def _text(value: str) -> bytes:
    if "\0" in value:       # libpq would take it for the end
        raise psycopg.DataError("no text of PostgreSQL's has a NUL")
    return value.encode()


def _count(result: pq.abc.PGresult) -> int:
    if result.status not in _GOOD:
        raise error_from_result(result)
    return result.command_tuples or 0
