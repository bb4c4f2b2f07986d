import pytest

from dicomserver.cli.arguments import Failed
from dicomserver.cli.control import translated
from dicomserver.server.control_client import CommandFailed, NotAllowed, NotRunning


@pytest.mark.parametrize("kind", [NotRunning, NotAllowed, CommandFailed])
def test_the_servers_reason_is_what_the_user_reads(kind):
    with pytest.raises(Failed, match="^why$"), translated():
        raise kind("why")


def test_a_fault_of_ours_is_not_hidden():
    with pytest.raises(KeyError), translated():
        raise KeyError
