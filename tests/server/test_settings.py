from pathlib import Path

import pytest

from dicomserver.server.settings import AssociationSettings, ServerSettings


@pytest.mark.parametrize("url, says", [
    ("", "sqlite:///data/dicom-server.db"), ("memory:", "memory:"),
    ("sqlite:///var/lib/x.db", "sqlite:///var/lib/x.db")])
def test_where_the_index_is(url, says):
    assert ServerSettings(data_directory=Path("/data"), database_url=url).index_url() == says


def test_a_relative_data_directory_gives_an_absolute_url(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert ServerSettings(data_directory=Path("d")).index_url() == f"sqlite://{tmp_path}/d/dicom-server.db"


def test_the_minimum_rate_holds_in_both_directions():
    deadlines = AssociationSettings(minimum_rate=5).deadlines()
    assert (deadlines.minimum_rate, deadlines.sending_rate) == (5, 5)
