"""Run in the place of dicomserver.transcoding.decoder: a process that does what the frame says."""
from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
import time
from multiprocessing.connection import Connection

from dicomserver.transcoding import decoder
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.images import Image


class Obedient:
    """The decoder. connection: its own, for what no decoder says."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._frames = 0

    def decode(self, syntax: str, image: Image, frame: bytes) -> tuple[str, bytes]:
        """The frame is a word and, behind a blank, more of it. Others than those here are the pixels themselves."""
        self._frames += 1
        word, _, more = frame.partition(b" ")
        match word:
            case b"die":
                os.kill(os.getpid(), signal.SIGSEGV)
            case b"freeze":
                while True:
                    pass
            case b"leave" if self._frames > 1:
                os._exit(0)
            case b"fail":
                raise ConversionFailed(more.decode())
            case b"lack":
                raise ImportError(name=more.decode())
            case b"say":
                for message in pickle.loads(more):
                    self._connection.send_bytes(message)
                time.sleep(600)
            case b"pid":
                return "RGB", str(os.getpid()).encode().rjust(image.frame_octets)
            case b"limits":
                return "RGB", pickle.dumps(self._limits()).ljust(image.frame_octets)
        return "RGB", frame

    def _limits(self) -> dict[str, object]:
        with open("/proc/self/oom_score_adj", encoding="ascii") as file:
            adjusted = int(file.read())
        return {"core": resource.getrlimit(resource.RLIMIT_CORE), "file": resource.getrlimit(resource.RLIMIT_FSIZE),
                "adjusted": adjusted, "leads its session": os.getsid(0) == os.getpid(), "folder": os.getcwd(),
                "streams": {os.readlink(f"/proc/self/fd/{number}") for number in range(3)},
                "descriptors": len(os.listdir("/proc/self/fd")) - 1,
                "signals": [signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGTERM)],
                "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ())}


if __name__ == "__main__":
    descriptor = int(sys.argv[1])
    decoder._pydicom = lambda: None     # which takes a while to load
    decoder.main(descriptor, Obedient(Connection(descriptor)).decode)
