"""From the URL of an index to the Index, and a way to build a new one beside the old."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from dicomserver.index.errors import UnknownEngine
from dicomserver.index.index import Index
from dicomserver.index.sqlite import copying, files
from dicomserver.index.sqlite.engine import SqliteFile, SqliteMemory
from dicomserver.index.sqlite.transfer import SqliteSource, SqliteTarget
from dicomserver.index.transfer import Source, Target

_POSTGRES = ("postgres", "postgresql")
_SQLITE = "sqlite://"
_MEMORY = "memory:"


def open_index(url: str, node: int = 0) -> Index:
    """`sqlite:///absolute/path` (taken literally: no percent escapes, no query), `memory:`, or a URL as libpq takes it,
    `postgres://user:password@host/database`.

    node: which of several servers on a PostgreSQL database opens it, 0: the only one. Makes and migrates the schema as
    needed. Raises UnknownEngine, IndexTooNew and the other IndexFaults.
    """
    if node and not is_postgres(url):
        raise UnknownEngine("several nodes need an index in PostgreSQL")
    if url == _MEMORY:
        return Index(SqliteMemory(), url, keeps_nothing=True)
    if is_postgres(url):
        return Index(_postgres().Postgres(url, node=node), without_password(url))
    return Index(SqliteFile(_path_of(url)), url)


@contextmanager
def rebuild_index(url: str) -> Iterator[Index]:
    """An empty index, built beside the one at `url` and put into its place, durable and complete, when the
    block ends; if the block raises, or the process dies, the old one stays. The old one must not be open."""
    if is_postgres(url):
        with _rebuilt_in_postgres(url) as index:
            yield index
        return
    path = _path_of(url)
    new = path.with_name(path.name + ".new")
    files.remove(new)  # of a rebuild that was cut short
    index = Index(SqliteFile(new), url)
    try:
        yield index
        index.mark_complete()
        index.close()
        files.replace(path, new)
    except BaseException:
        index.close()
        files.remove(new)
        raise


def copy_index(url: str, target: Path, progress: Callable[[], None]) -> bool:
    """Copies the index at `url`, which another process may have open and write to, as it is at one moment.

    False: one in memory, or in PostgreSQL, has no file that could be. See sqlite.copying.copy.
    """
    if url == _MEMORY or is_postgres(url):
        return False
    copying.copy(_path_of(url), target, progress)
    return True


def open_copy(path: Path) -> Index:
    """What copy_index made, to be read only; of this version of the program. Raises IndexFault."""
    return Index(copying.SqliteCopy(path), f"{_SQLITE}{path}")


def open_source(url: str) -> Source:
    """The index at `url` for reading its rows, which another process may have open and write to. Raises IndexFault."""
    return _postgres_transfer().PostgresSource(url) if is_postgres(url) else SqliteSource(_path_of(url))


def open_target(url: str) -> Target:
    """The index at `url`, made if it is missing, to be filled with the rows of another one. Raises IndexFault."""
    return _postgres_transfer().PostgresTarget(url) if is_postgres(url) else SqliteTarget(_path_of(url))


def files_of(url: str) -> list[Path]:
    """The files in which the index at `url` is kept, those that come and go too."""
    if url == _MEMORY or is_postgres(url):
        return []
    path = _path_of(url)
    return [path, *files.companions(path)]


def is_postgres(url: str) -> bool:
    """Whether a URL is PostgreSQL's, well-formed or not."""
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme.lower() in _POSTGRES


def without_secrets(url: str) -> str:
    """What others may know of a URL: which engine it is, and its file if it has one."""
    return "postgresql://" if is_postgres(url) else url


def without_password(url: str) -> str:
    """The URL for its user's eyes: whatever it says, but for a password."""
    if not is_postgres(url):
        return url
    from dicomserver.index.postgres import address      # late, as below
    return address.without_password(url)


def _postgres() -> ModuleType:
    from dicomserver.index.postgres import engine     # late: who has no PostgreSQL has no need of its driver
    return engine


def _postgres_transfer() -> ModuleType:
    from dicomserver.index.postgres import transfer     # late, as above
    return transfer


@contextmanager
def _rebuilt_in_postgres(url: str) -> Iterator[Index]:
    engine = _postgres()
    index = Index(engine.Postgres(url, rebuilds=True), without_password(url))
    try:
        yield index
        index.mark_complete()
        index.close()
        engine.take_place(url)
    finally:
        index.close()


def _path_of(url: str) -> Path:
    if not url.startswith(_SQLITE):
        # Nothing of what follows the scheme: it may hold a password.
        scheme = url.partition(":")[0]
        raise UnknownEngine(f"no index engine is called {scheme!r}; there are "
                            "sqlite:///path, postgres://host/database and memory:")
    path = Path(url.removeprefix(_SQLITE))
    if not path.is_absolute():
        raise UnknownEngine("the path of an SQLite index must be absolute, as in sqlite:///var/lib/index.db")
    return path
