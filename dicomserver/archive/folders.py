"""The study and series folders that the mover links into: kept open, made, and their names made durable."""
from __future__ import annotations

from collections import OrderedDict

from dicomserver.archive.durable import Folder, open_or_make
from dicomserver.archive.layout import checked_uid

Series = tuple[str, str]

MOST_OPEN = 64
_MOST_REMEMBERED = 1 << 14


class Folders:
    """Not thread-safe: filing and deletion hold one lock around it.

    is_shared: another process may remove a folder and make it anew, so that whose name was durable is never sure.
    """

    def __init__(self, root: Folder, *, is_shared: bool = False) -> None:
        self._root = root
        self._is_shared = is_shared
        self._opened: OrderedDict[Series, Folder] = OrderedDict()
        # Whose name this process has made durable; forgetting one costs an fsync, never an instance.
        self._durable: OrderedDict[str | Series, None] = OrderedDict()
        self._unsettled: dict[str, set[Series]] = {}

    def open(self, series: Series) -> Folder:
        """The folder of a series, made when it is missing; open until MOST_OPEN others were asked for.

        Its name and its study's are durable only after `settle`. Raises InvalidUid, OSError.
        """
        folder = self._opened.get(series)
        if folder is None:
            folder = self._opened[series] = self._open_or_make(series)
            if len(self._opened) > MOST_OPEN:
                self._opened.popitem(last=False)[1].close()
        else:
            self._opened.move_to_end(series)
        if series not in self._durable or series[0] not in self._durable:
            self._unsettled.setdefault(series[0], set()).add(series)
        return folder

    def _open_or_make(self, series: Series) -> Folder:
        study_uid, series_uid = map(checked_uid, series)
        study, study_is_new = open_or_make(study_uid, self._root)
        with study:
            folder, series_is_new = open_or_make(series_uid, study)
        # It may have been durable once and removed since.
        if study_is_new or self._is_shared:
            self._durable.pop(study_uid, None)
        if series_is_new or self._is_shared:
            self._durable.pop(series, None)
        return folder

    def settle(self) -> None:
        """Makes the names of all folders opened so far durable."""
        if not self._unsettled:
            return
        for study_uid in self._unsettled:
            with Folder(study_uid, self._root) as study:
                study.sync()
        if any(study_uid not in self._durable for study_uid in self._unsettled):
            self._root.sync()
        for study_uid, series in self._unsettled.items():
            self._durable.update(dict.fromkeys([study_uid, *series]))
        self._unsettled.clear()
        while len(self._durable) > _MOST_REMEMBERED:
            self._durable.popitem(last=False)

    def forget(self, series: Series) -> None:
        """The folder is gone: the next `open` begins anew."""
        folder = self._opened.pop(series, None)
        if folder is not None:
            folder.close()
        for name in (series, series[0]):
            self._durable.pop(name, None)
        left = self._unsettled.get(series[0], set())
        left.discard(series)
        if not left:
            self._unsettled.pop(series[0], None)

    def close(self) -> None:
        """Closes all of them."""
        for folder in self._opened.values():
            folder.close()
        self._opened.clear()
