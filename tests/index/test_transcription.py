"""Names in Latin letters: by rule, and nothing where there is none."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomserver.index.text import fold
from dicomserver.index.transcription import name_in_latin, transcribed


@pytest.mark.parametrize(("text", "latin"), [
    ("Müller^Jörg", "mueller^joerg"), ("MÜLLER", "mueller"), ("Mu\u0308ller", "mueller"), ("Weiß^Åse", "weiss^aase"),
    ("Ærø^Øystein", "aeroe^oeystein"), ("Lefèvre", "lefevre"), ("DOE^JOHN", "doe^john"), ("", ""),
])
def test_umlauts_as_in_passports(text: str, latin: str) -> None:
    assert transcribed(text) == latin


# Of ICAO Doc 9303-3, section 6 B, each letter once; in the standard's order.
CYRILLIC = """А A Б B В V Г G Д D Е E Ё E Ж ZH З Z И I Й I К K Л L М M Н N О O П P Р R С S Т T У U Ф F Х KH Ц TS Ч CH
Ш SH
    Щ SHCH Ъ IE Ы Y Э E Ю IU Я IA Ґ G Ў U Ѓ G Ђ D Ѕ DZ Ј J Ќ K Љ LJ Њ NJ Ћ C Џ DZ Є IE Ї I І I""".split()


def test_every_cyrillic_letter() -> None:
    for letter, latin in zip(CYRILLIC[::2], CYRILLIC[1::2], strict=True):
        assert transcribed(letter) == transcribed(letter.lower()) == latin.lower()
    assert transcribed("Коваль^Ольга") == "koval^olga"


@pytest.mark.parametrize(("text", "latin"), [
    ("Ελένη^Παπαδοπούλου", "eleni^papadopoulou"), ("ΜΠΑΜΠΗΣ", "bampis"), ("Ευάγγελος^Ευθύμιος", "evangelos^efthymios"),
    ("Αυγερινός^Ναυσικά", "avgerinos^nafsika"), ("Ψαρός^Χρήστος", "psaros^christos"),
    ("Γκίκας^Ντίνος", "gkikas^ntinos"),
    ("Ξενοφών^Θάλεια", "xenofon^thaleia"), ("Σφίγξ^Άγχος", "sfinx^anchos"),
])
def test_greek(text: str, latin: str) -> None:
    assert transcribed(text) == latin


@pytest.mark.parametrize(("text", "latin"), [
    ("やまだ^たろう", "yamada^tarou"), ("ﾔﾏﾀﾞ^ﾀﾛｳ", "yamada^tarou"), ("ヤマダ", "yamada"), ("しょうこ^ちゃん", "shouko^chan"),
    ("きょうこ^ぎゅう", "kyouko^gyuu"), ("ふじつ^じゅん", "fujitsu^jun"), ("はっとり^まっちゃ", "hattori^matcha"), ("いっしき", "isshiki"),
    ("ヴィクター^ファン", "vikuta^fan"), ("オーノ", "ono"), ("ｼﾖｳｺ", "shiyouko"), ("っ", ""), ("ぃ", "i"), ("づを", "zuo"),
])
def test_kana(text: str, latin: str) -> None:
    assert transcribed(text) == latin


@pytest.mark.parametrize(("name", "latin"), [
    ("Yamada^Tarou=山田^太郎=やまだ^たろう", ""), ("=山田^太郎=やまだ^たろう", "yamada^tarou"), ("==ﾔﾏﾀﾞ", "yamada"),
    ("山田^太郎", ""), ("Doe^John", ""), ("Lefèvre", ""), ("", ""), ("^^", ""), ("Müller^^", "mueller"), ("홍^길동", ""),
    ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", "yamada^tarou"), ("Иван=é", "ivan"), ("שרון", ""), ("=Müller", ""),
])
def test_only_where_it_says_something_else(name: str, latin: str) -> None:
    assert name_in_latin(name) == latin


def test_wildcards_stay() -> None:
    assert name_in_latin("Mü?l*^*") == "mue?l*^*"
    assert name_in_latin("*ελ?ν*") == "*el?n*"
    assert transcribed("＊？Ж") == "＊？zh"


@given(st.text(st.sampled_from("aÄüßΜπουγκΰшьЙёｶﾞっゃんー山*?^= 'é")) | st.text())
def test_no_sign_and_no_delimiter_comes_or_goes(text: str) -> None:
    signs = set("*?^=\\")
    found = transcribed(text)
    assert [sign for sign in found if sign in signs] == [sign for sign in fold(text) if sign in signs]
    assert fold(found) == found
