"""Which names sound alike, and that nothing a device sends harms."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomserver.index.sounds import LONGEST_WORD, MOST_WORDS, sounds_asked, sounds_of
from dicomserver.index.text import name_groups
from dicomserver.index.transcription import name_in_latin


def heard(name: str) -> str:
    """What is kept of a stored name."""
    return sounds_of(name_in_latin(name) or name_groups(name)[0]) or ""


def alike(key: str, name: str) -> bool:
    """As the criterion does it."""
    codes = set(heard(name).split())
    return bool(sounds_asked(key)) and all(word & codes for word in sounds_asked(key))


@pytest.mark.parametrize(("key", "name"), [
    ("Smyth^Jon", "SMITH^JOHN"), ("Meyer", "Maier^Hans"), ("Mayr", "Meier"), ("Schmitt", "Schmidt"),
    ("Fischer", "Fisher"),
    ("Miller", "Müller^Jörg"), ("Muller^Jorg", "Mueller^Joerg"), ("Stephen", "King^Steven"), ("Katherine", "Kathrin"),
    ("Filip", "Philip"), ("John^Smith", "Smith^John"), ("Smith*", "Smyth^Ann"), ("Smi*^Jon*", "Smee^John"),
    ("Gonzales", "González"), ("Kristina", "Christina"), ("Sergey^Koroliov", "Королёв^Сергей"), ("Yulia", "Юлія"),
    ("Elleni", "Ελένη"), ("Taro^Yamada", "==ﾔﾏﾀﾞ^ﾀﾛｳ"), ("ONeill", "O'Neil"), ("O’Neil", "ONEILL"),
    ("Anna Lena", "Anne-Lena"),
    ("Smith=", "Smyth"), ("Smith", "Smyth==x"), ("h", "h^w"), ("12", "Test^12"), ("山田", "山田^太郎"),
])
def test_alike(key: str, name: str) -> None:
    assert alike(key, name)


@pytest.mark.parametrize(("key", "name"), [
    ("Smith", "Jones"), ("Smith^Jane", "Smith^Peter"), ("Smith^John^Paul", "Smith^John"), ("Smith", ""), ("", "Smith"),
    ("*mith", "Smith"), ("Sm?th", "Smith"), ("S*h^John", "Smith^John"), ("*", "Smith"), ("Smith=山田", "Smith"),
    ("=山田", "Smith=山田"), ("==やまだ", "Yamada"), ("山本", "山田"), ("1", "2"), ("h", "w"), ("^", "Smith"),
])
def test_not_alike(key: str, name: str) -> None:
    assert not alike(key, name)


def test_codes_are_kept_in_order_and_once() -> None:
    assert sounds_of("smith^smyth^john") == "AN JN SM0 XMT"
    assert sounds_of("") is sounds_of("^^") is sounds_of("-") is None and heard("=山田") == ""


def test_a_key_of_too_many_words_is_no_sound() -> None:
    distinct = [str(number) for number in range(MOST_WORDS + 1)]
    assert len(sounds_asked(" ".join(distinct[:-1]))) == MOST_WORDS and sounds_asked(" ".join(distinct)) == ()
    assert sounds_asked("x " * 2000) == sounds_asked("x") and len(sounds_asked("x" * 4000)) == 1
    assert sounds_of("k" * LONGEST_WORD + "b") == sounds_of("k" * LONGEST_WORD)


@given(st.text() | st.text(st.sampled_from("aeioucghkstwxyz '-^=*?é")))
def test_a_name_sounds_like_itself(name: str) -> None:
    codes = heard(name).split(" ")
    assert codes == sorted(set(codes))
    if sounds_asked(name):
        assert alike(name, name)
