import resource
import subprocess
import sys

from dicomserver.archive.errors import IntakeFull
from dicomserver.server.reception import Reception
from dicomserver.server.rooms import RealRooms
from dicomserver.server.settings import ServerSettings, StorageSettings
from dicomserver.services.describe import describe_file

import pytest


def test_the_rooms_are_opened_as_the_settings_say(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    rooms = RealRooms()
    storage = StorageSettings(reserve=1 << 62, waiting_slots=7)
    settings = ServerSettings(data_directory=tmp_path / "pacs", storage=storage)
    archive = rooms.open_archive(settings)
    with pytest.raises(IntakeFull):
        archive.take()
    index = rooms.open_index(settings)
    assert (tmp_path / "pacs" / "dicom-server.db").exists() and index.is_fresh
    index.close()
    archive.close()
    assert rooms.describe is describe_file and rooms.open_reception is Reception
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


LIMITS = """
import resource
from dicomserver.server.rooms import raise_descriptor_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))
raise_descriptor_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize("hard", [256, 1000])
def test_descriptors_as_many_as_the_system_lets_us_have(hard):
    done = subprocess.run([sys.executable, "-c", LIMITS.format(hard=hard)], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{hard} {hard}\n", done.stderr
