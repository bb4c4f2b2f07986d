"""Names of patients and physicians as hospitals of several countries write them, each in its character set.

PS3.5 6.1.2 and annexes H (Japanese), I (Korean), J (Unicode and GB18030); PS3.3 C.12.1.1.2.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

BODY_PARTS = ("CHEST", "HEAD", "ABDOMEN", "KNEE", "SPINE", "BREAST")

_HALF_WIDTH = re.compile("([\uff61-\uff9f]+)")
_HANGUL_AND_HANJA = re.compile("([^\0-\x7f]+)")


class Script(NamedTuple):
    """One way of writing.

    share: of all patients, in per mille. families, given: what a name is made of, each in one component group or,
    where tuples, in two or three (alphabetic, ideographic, phonetic). body_parts: their words for BODY_PARTS. encode:
    from text to a value in `character_set`, which is the raw (0008,0005).
    """

    name: str
    share: int
    character_set: bytes
    encode: Callable[[str], bytes]
    families: Sequence[str | tuple[str, ...]]
    given: Sequence[str | tuple[str, ...]]
    body_parts: Sequence[str]


def person(family: str | tuple[str, ...], given: str | tuple[str, ...]) -> str:
    """A PN from its two parts."""
    if isinstance(family, str):
        return f"{family}^{given}"
    return "=".join(map("^".join, zip(family, given, strict=True)))


def _in(codec: str) -> Callable[[str], bytes]:
    return lambda text: text.encode(codec)


def _kanji(text: str) -> bytes:
    """ISO 2022 IR 87 beside ASCII; the codec is back in ASCII before each delimiter."""
    return text.encode("iso2022_jp")


def _kanji_and_katakana(text: str) -> bytes:
    """ISO 2022 IR 13 for half-width katakana, IR 87 for the rest; back to JIS X 0201 instead of to ASCII."""
    return b"".join(part.encode("shift_jis" if _HALF_WIDTH.match(part) else "iso2022_jp").replace(b"\x1b(B", b"\x1b(J")
                    for part in _HALF_WIDTH.split(text))


def _korean(text: str) -> bytes:
    """ISO 2022 IR 149; a delimiter ends it, so each part says it anew."""
    return b"".join(part.encode() if part.isascii() else b"\x1b$)C" + part.encode("euc_kr")
                    for part in _HANGUL_AND_HANJA.split(text))


def _groups(text: str) -> list[tuple[str, ...]]:
    return [tuple(name.split("/")) for name in text.split()]


_ENGLISH_FAMILIES = """
    Doe Smith Jones Taylor Brown Williams Wilson Johnson Davies Robinson Wright Thompson Evans Walker White Roberts
    Green Hall Wood Jackson Clarke Harris Lewis Turner Hill Baker Cooper King Moore Lee Young Allen Mitchell Carter
    Phillips Adams Nelson Campbell Parker Collins Edwards Stewart Morris Murphy Cook Rogers Morgan Reed Bell Bailey
    O'Brien O'Neill MacDonald Price Bennett Gray James Watson Brooks Kelly Sanders Ross Powell Long Hughes Flores Butler
""".split() + [start + end for start, end in product(
    "Ash Black Brad Brom Burn Charl Cold Craw Dun East Fair Far Glad Hamp Hart Hazel Kings Lang Lin Mar Mid Nor Oak"
    " Pem Rad Red Rock Shel Stan Sut Thorn Ux West Whit Win".split(),
    "bridge brook bury by combe croft dale den field ford ham head land ley man more ston ton well wick wood worth"
    .split())]
_ENGLISH_GIVEN = """
    John Mary James Patricia Robert Jennifer Michael Linda William Elizabeth David Barbara Richard Susan Joseph Jessica
    Thomas Sarah Charles Karen Christopher Nancy Daniel Lisa Matthew Margaret Anthony Betty Mark Sandra Donald Ashley
    Steven Dorothy Paul Kimberly Andrew Emily Joshua Donna Kenneth Michelle Kevin Carol Brian Amanda George Melissa
    Edward Deborah Ronald Stephanie Timothy Rebecca Jason Laura Jeffrey Helen Ryan Sharon Jacob Cynthia Gary Kathleen
    Nicholas Amy Eric Shirley Jonathan Angela Stephen Anna Larry Ruth Justin Brenda Scott Pamela Brandon Nicole
    Victoria Olivia Quentin Una Ivy Ulrich Xenia Yvonne Zachary Fiona Frank Oscar Hannah Walter Vera
""".split()
_LATIN_FAMILIES = """
    Müller Schröder Jäger Weiß Köhler Krüger Schäfer Böhm Großmann Lefèvre Bérenger Crépin Dubois François Gagné
    Hébert Lévêque Núñez García Martínez Rodríguez Sánchez Pérez Gómez Fernández Ibáñez Gonçalves Conceição Araújo
    Simões Ångström Sjöberg Östlund Håkansson Sørensen Jørgensen Nygård Bjørnstad Ægirsson Þórðarson Mäkinen Hämäläinen
    Schmidt Schneider Fischer Weber Becker Hoffmann Rossi Bianchi Ferrari Moreau Lambert Silva Santos Jansen Peeters
""".split()
_LATIN_GIVEN = """
    Jürgen Günther Björn Käthe Zoë René Hélène André Chloë Éloïse José María Íñigo Ramón Sofía João Inês Åsa Søren
    Øystein Päivi Anna Lukas Marie Paul Clara Luca Giulia Hugo Emma Noah Lena Felix Ida Oskar Nina Max Eva
""".split()
_JAPANESE_FAMILIES = _groups("""
    Yamada/山田/やまだ Satou/佐藤/さとう Suzuki/鈴木/すずき Takahashi/高橋/たかはし Tanaka/田中/たなか Itou/伊藤/いとう
    Watanabe/渡辺/わたなべ Nakamura/中村/なかむら Kobayashi/小林/こばやし Katou/加藤/かとう Yoshida/吉田/よしだ
    Matsumoto/松本/まつもと Inoue/井上/いのうえ Kimura/木村/きむら Hayashi/林/はやし Shimizu/清水/しみず
""")
_JAPANESE_GIVEN = _groups("""
    Tarou/太郎/たろう Hanako/花子/はなこ Ichirou/一郎/いちろう Kenji/健二/けんじ Yuuko/優子/ゆうこ Makoto/誠/まこと
    Akira/明/あきら Keiko/恵子/けいこ Hiroshi/浩/ひろし Naomi/直美/なおみ Takeshi/武/たけし Youko/洋子/ようこ
""")
_KATAKANA_FAMILIES = _groups("""
    ﾔﾏﾀﾞ/山田/やまだ ｻﾄｳ/佐藤/さとう ｽｽﾞｷ/鈴木/すずき ﾀｶﾊｼ/高橋/たかはし ﾀﾅｶ/田中/たなか ﾜﾀﾅﾍﾞ/渡辺/わたなべ
    ﾅｶﾑﾗ/中村/なかむら ｺﾊﾞﾔｼ/小林/こばやし ﾖｼﾀﾞ/吉田/よしだ ﾏﾂﾓﾄ/松本/まつもと
""")
_KATAKANA_GIVEN = _groups("""
    ﾀﾛｳ/太郎/たろう ﾊﾅｺ/花子/はなこ ｲﾁﾛｳ/一郎/いちろう ｹﾝｼﾞ/健二/けんじ ﾏｺﾄ/誠/まこと ｱｷﾗ/明/あきら ﾅｵﾐ/直美/なおみ
""")
_KOREAN_FAMILIES = _groups("Hong/洪/홍 Kim/金/김 Lee/李/이 Park/朴/박 Choi/崔/최 Jung/鄭/정 Kang/姜/강 Yoon/尹/윤 Jang/張/장")
_KOREAN_GIVEN = _groups("""
    Gildong/吉洞/길동 Minsu/民秀/민수 Jiyoung/智英/지영 Seonghyun/成賢/성현 Eunju/恩珠/은주 Dongho/東浩/동호 Miyeon/美娟/미연
""")
_CHINESE_FAMILIES = _groups(
    "Wang/王 Li/李 Zhang/张 Liu/刘 Chen/陈 Yang/杨 Zhao/赵 Huang/黄 Zhou/周 Wu/吴 Xu/徐 Sun/孙 Ouyang/欧阳")
_CHINESE_GIVEN = _groups(
    "XiaoDong/小东 Wei/伟 Fang/芳 Na/娜 XiuYing/秀英 Min/敏 Jing/静 Qiang/强 Lei/磊 JianGuo/建国 YuLan/玉兰 HaiYan/海燕")
_RUSSIAN_FAMILIES = """
    Люксембург Иванов Смирнова Кузнецов Попова Васильев Петрова Соколов Михайлова Новиков Фёдорова Морозов Волкова
""".split()
_RUSSIAN_GIVEN = "Александр Мария Дмитрий Анна Сергей Елена Андрей Ольга Алексей Наталья Фёдор Юлия".split()
_GREEK_FAMILIES = "Διονυσίου Παπαδόπουλος Βλάχου Αγγελόπουλος Νικολάου Γεωργίου Δημητρίου Οικονόμου Ζήση".split()
_GREEK_GIVEN = "Διονύσιος Μαρία Γεώργιος Ελένη Δημήτρης Κατερίνα Νικόλαος Σοφία Χρήστος Ιωάννα".split()
_ARABIC_FAMILIES = "قباني الأحمد حداد منصور خوري النجار سليمان الحسن".split()
_ARABIC_GIVEN = "لنزار محمد فاطمة أحمد عائشة علي مريم يوسف ليلى".split()
_HEBREW_FAMILIES = "שרון כהן לוי מזרחי פרץ ביטון אברהם פרידמן".split()
_HEBREW_GIVEN = "דבורה משה שרה דוד רחל יוסף מרים יעקב".split()
_UNICODE_FAMILIES = "Nguyễn Trần Phạm Kowalczyk Łuczak Wiśniewska Öztürk Yıldız Šimůnek Dvořák Szőke Ștefan".split()
_UNICODE_GIVEN = "Văn-An Thị-Hoa Łukasz Małgorzata Çağla İbrahim Jiří Božena Đorđe Gyöngyi Ioana Krzysztof".split()

_JAPANESE_PARTS = ("胸部", "頭部", "腹部", "膝関節", "脊椎", "乳房")

SCRIPTS = (
    Script("English", 560, b"ISO_IR 100", _in("latin_1"), _ENGLISH_FAMILIES, _ENGLISH_GIVEN, BODY_PARTS),
    Script("Latin", 250, b"ISO_IR 100", _in("latin_1"), _LATIN_FAMILIES, _LATIN_GIVEN,
           ("Thorax p.a.", "Schädel", "Abdômen", "Genou côté gauche", "Wirbelsäule", "Mamografía")),
    Script("kanji", 30, b"\\ISO 2022 IR 87", _kanji, _JAPANESE_FAMILIES, _JAPANESE_GIVEN, _JAPANESE_PARTS),
    Script("katakana", 20, b"ISO 2022 IR 13\\ISO 2022 IR 87", _kanji_and_katakana, _KATAKANA_FAMILIES,
           _KATAKANA_GIVEN, _JAPANESE_PARTS),
    Script("Chinese", 40, b"GB18030", _in("gb18030"), _CHINESE_FAMILIES, _CHINESE_GIVEN,
           ("胸部", "头颅", "腹部", "膝关节", "脊柱", "乳腺")),
    Script("Korean", 25, b"\\ISO 2022 IR 149", _korean, _KOREAN_FAMILIES, _KOREAN_GIVEN,
           ("흉부", "두부", "복부", "무릎", "척추", "유방")),
    Script("Cyrillic", 25, b"ISO_IR 144", _in("iso8859_5"), _RUSSIAN_FAMILIES, _RUSSIAN_GIVEN,
           ("грудная клетка", "голова", "живот", "колено", "позвоночник", "молочная железа")),
    Script("Greek", 20, b"ISO_IR 126", _in("iso8859_7"), _GREEK_FAMILIES, _GREEK_GIVEN,
           ("θώρακας", "κεφαλή", "κοιλία", "γόνατο", "σπονδυλική στήλη", "μαστός")),
    Script("Arabic", 7, b"ISO_IR 127", _in("iso8859_6"), _ARABIC_FAMILIES, _ARABIC_GIVEN,
           ("الصدر", "الرأس", "البطن", "الركبة", "العمود الفقري", "الثدي")),
    Script("Hebrew", 7, b"ISO_IR 138", _in("iso8859_8"), _HEBREW_FAMILIES, _HEBREW_GIVEN,
           ("חזה", "ראש", "בטן", "ברך", "עמוד שדרה", "שד")),
    Script("Unicode", 16, b"ISO_IR 192", _in("utf_8"), _UNICODE_FAMILIES, _UNICODE_GIVEN,
           ("Ngực", "Głowa", "Břicho", "Diz eklemi", "Coloană vertebrală", "Emlő")),
)
