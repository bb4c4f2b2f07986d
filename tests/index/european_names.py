"""Names of Europe that have letters of Latin-1 and of Windows-1252, all of them, where they really stand."""
from __future__ import annotations

# Each letter of Latin-1 from À to ÿ is among them, in names as they are written and in capitals.
LATIN_1 = """
Müller^Jörg Groß^Käthe Schröder^Günther MÜLLER^JÖRG GÖßL^URSULA Öz^Gül ÖZDEMİR Weiß^Änne ÄNEAS Übel^Ruß Özil^Mesut
Äärelä^Päivi Yrjö^Hämäläinen MÄKELÄ^TYYNE Ööpik^Õie Ülle^Öö
Lefèvre^Hélène GRÉGOIRE^ÉLÉONORE Noël^Aïcha Béranger^Maël CRÉMIÈRE^JÉRÔME François^Benoît Châtelain^Zoé L'Haÿ^Loÿs
Agnès^Brûlé Gaëtan^Forêt GARÇON^ÈVE Ÿves CÔTÉ^ÎLE HÉLOÏSE^RENÉE PÂQUES^ÂNGELA Île^Û CRÛ^NOËL GAÏA^MOÏSE Guÿot^Aÿ
Sørensen^Bjørn Ågård^Åse ØSTERGÅRD^SØREN ÅKESSON^BÅRD Kjærgård^Ærø LÆRKE^ÆGIR Ås^Ø Øye^Åå
Þórðarson^Þór ÞÓÐÓLFUR^ÓÐINN Ásgeirsdóttir^Eyþór Guðmundsdóttir^Björk ÝMIR^ÍSAK Nýborg^Týr Ýr^Örn ÚLFUR^ÞRÖSTUR
Æsa^Ólafsdóttir
Muñoz^Iñaki NÚÑEZ^ÁNGEL Ibáñez^Raúl PEÑA^ÍÑIGO Güell^Núria Argüelles^Agustín ÀNGELS^MARÇAL Òscar^Lluïsa ÒDENA^ÈLIA
São^João CONCEIÇÃO^INÊS Lourenço^Luís MAGALHÃES^JOÃO Brandões^Antônio SIMÕES^CECÍLIA Ângelo^Péricles Assunção^Ítalo ÕES
Nicolò^Mattìa Già^Niccolò FORLÌ^LUCÌA Vergà^Giosuè PARÙ^GESÙ Cantù^Niccolò D'Alò
O'Séaghdha^Pádraig ÓFÁILBHE^SEÁN MacGiolla^Íde ÚNA^Ní Ò'Dòmhnaill^Mòrag
Çelik^Çağ ÇİÇEK Novák^Věra Kovács^Béla SZŰCS^ÁRPÁD Vörösmarty^Ödön Čapek Ďurič Ð^ð ÐURO^ÐORÐ ÿ Ü
""".split()
# Those of Windows alone: Š š Ž ž Œ œ Ÿ, apostrophes, quotation marks, dashes, the euro.
WINDOWS_1252 = """
Škoda^Žofia ŠKODA^ŽOFIA Žižek^Slavoj ŽIŽEK^SLAVOJ Žiža^Šime ŠIŠA^Š Šešelj^Uroš MILOŠEVIĆ Miloš^Tomaž Šušteršič
Željko^Škrabec
Œuvrard^Cœur ŒDIPE^SŒUR Lœwe^Anne LOUŸS^PIERRE ŸVES^AŸ D’Arc^Jeanne O’Brien^Seán O’NEILL^ÚNA Dell’Aquila^Niccolò
Müller–Weiß^Jörg “Bébé”^Anna „Großer“^Karl ‘t^Hooft ’s^Gravesande Šarūnas Õie^Žanna Pärnu^Šaša €uro^Žan Käsmu–Šveits
…^Anna
""".split()


def of_codec(names: list[str], codec: str) -> list[str]:
    """Those that the codec has all letters for."""
    return [name for name in names if name.encode(codec, "replace").decode(codec) == name]
