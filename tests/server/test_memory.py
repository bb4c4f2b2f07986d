import subprocess
import sys

PROGRAM = """
import re, sys, threading
if sys.argv[1] == "shared":
    from dicomserver.server.memory import share_arenas
    assert share_arenas()
together = threading.Barrier(12)
def work():
    together.wait()
    kept = [bytes(100_000) for _ in range(50)]
    together.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
# An arena of a thread begins at a multiple of 64 MiB.
maps = re.findall(r"^([0-9a-f]+)-", open("/proc/self/maps").read(), re.M)
print(sum(int(begin, 16) % (64 << 20) == 0 for begin in maps))
"""


def arenas(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_threads_share_two_arenas() -> None:
    assert arenas("shared") <= 2 < arenas("by itself")
