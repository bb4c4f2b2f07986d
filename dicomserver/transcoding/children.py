"""The processes that decode frames (decoder.py): started when they are needed, at most one for each processor, and used
again. What they answer is believed only as far as it can be checked: a codestream may have taken one over."""
from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Connection

from dicomserver.transcoding.decoder import DECODED, FAILED, MISSING
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.images import Image

# What a frame may take, and more for each megabyte that it has without compression.
SECONDS, SECONDS_PER_MEGABYTE = 30, 2
# PS3.5 6.2: of a CS; and texts that are no line breaks in a log.
_TEXTS = {DECODED: re.compile(rb"[A-Z0-9_ ]{1,16}"), FAILED: re.compile(rb"[ -~]{1,200}"),
          MISSING: re.compile(rb"[\w.]{1,100}")}
_LONGEST_HEAD = 201


class _Strange(Exception):
    """A child answers what it must not."""


class Child:
    """One process, and the connection to it."""

    def __init__(self, module: str) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            # -P: not from the working folder. It finds our package where we found it.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(theirs.fileno())], pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
                start_new_session=True, close_fds=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(folder) for folder in sys.path)})
            self._connection = Connection(ours.detach())

    def is_alive(self) -> bool:
        """While it has nothing to do."""
        return self._process.poll() is None

    def ask(self, syntax: str, image: Image, frame: bytes, seconds: int) -> tuple[bytes, str, bytes]:
        """-> what kind of answer, its text, pixels. Raises EOFError, OSError where it ended, _Strange."""
        self._connection.send((syntax, image, frame, seconds))
        head = self._connection.recv_bytes(_LONGEST_HEAD)
        kind, text = head[:1], head[1:]
        if kind not in _TEXTS or not _TEXTS[kind].fullmatch(text):
            raise _Strange
        pixels = b""
        if kind == DECODED:
            pixels = self._connection.recv_bytes(image.frame_octets)
            if len(pixels) != image.frame_octets:
                raise _Strange
        return kind, text.decode("ascii"), pixels

    def end(self) -> int:
        """-> its exit code: 0 where it had gone by itself."""
        self._connection.close()
        self._process.kill()
        return self._process.wait()


class Children:
    """Processes that run that module, and decode one frame each at a time. For any number of threads."""

    def __init__(self, module: str = "dicomserver.transcoding.decoder", most: int = os.cpu_count() or 1) -> None:
        self._module = module
        self._places = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: list[Child] = []        # the one used last at the end: the others may go

    def decode(self, syntax: str, image: Image, frame: bytes) -> tuple[str, bytes]:
        """-> photometric interpretation, and pixels, as many as the image says. Raises ConversionFailed; ImportError
        where a module is missing."""
        with self._places:
            kind, text, pixels = self._ask(syntax, image, frame)
        if kind == MISSING:
            raise ImportError(f"the decoder of {syntax} lacks a module: {text}", name=text)
        if kind == FAILED:
            raise ConversionFailed(text)
        return text, pixels

    def _ask(self, syntax: str, image: Image, frame: bytes) -> tuple[bytes, str, bytes]:
        seconds = SECONDS + SECONDS_PER_MEGABYTE * (image.frame_octets >> 20)
        while True:
            used = self._take()
            child = used or self._start()
            try:
                answer = child.ask(syntax, image, frame, seconds)
            except (EOFError, OSError, _Strange):
                # One that was used before may just have gone, as it had nothing to do.
                if child.end() == 0 and used:
                    continue
                raise ConversionFailed("a frame cannot be decoded (its decoder ended)") from None
            except BaseException:
                child.end()     # half an answer may be under way
                raise
            with self._lock:
                self._idle.append(child)
            return answer

    def _start(self) -> Child:
        try:
            return Child(self._module)
        except OSError as error:
            raise ConversionFailed(f"no decoder can be started: {error.strerror}") from None

    def _take(self) -> Child | None:
        """One that has nothing to do, if there is one."""
        self.forget_ended()
        with self._lock:
            return self._idle.pop() if self._idle else None

    def forget_ended(self) -> None:
        """Waits for those that ended as they had nothing to do: until then the system keeps them as zombies."""
        with self._lock:
            former, self._idle = self._idle, []
            for child in former:
                if child.is_alive():
                    self._idle.append(child)
                else:
                    child.end()
