import re
from pathlib import Path

from dicomserver.config.content import parse
from dicomserver.config.document import SHIPPED, markdown_table, yaml_file
from dicomserver.config.schema import KEYS, Configuration

ROOT = Path(__file__).parents[2]


def test_the_shipped_file_is_the_generated_one():
    assert (ROOT / SHIPPED).read_text(encoding="utf-8") == yaml_file(), "run make conf"


def test_as_it_is_it_changes_nothing():
    assert parse(yaml_file()) == {}


def test_uncommented_it_says_every_default():
    content = parse(re.sub(r"(?m)^#(?=\w)", "", yaml_file()))
    assert content.keys() == KEYS.keys()
    assert Configuration.model_validate(content) == Configuration()


def test_its_lines_fit_a_terminal():
    assert max(map(len, yaml_file().splitlines())) <= 102


def test_the_table_has_a_row_for_each_option():
    rows = markdown_table().splitlines()
    assert [row.split("`")[1] for row in rows[2:]] == list(KEYS)
    assert {row.count("|") for row in rows} == {6}
