"""More of the kinds of `test_kinds`, found with cases made up afterwards: in five languages, and in two at once."""

import unicodedata

import pytest

from tests.keyboard_app.editor.keyboard import Keyboard
from tests.keyboard_app.editor.tables import by_language

pytestmark = pytest.mark.slow  # thousands of key presses


ADDRESSES = r"""
http://localhost:8080/foo https://[2001:db8::1]:443/x fe80::1%eth0 ben+tag@gmial.com @jhon_doe #teh_end \\server\shaer
/usr/bin/pyhton ./configrue foo::bar std::vecotr x+=teh ${PAHT} %APPDATA%\teh git@github.com:teh/repo.git r/teh u/jhon
10.0.0.0/8 $5.99 1,000.50 C++ .NET teh.tar.gz x86_64 utf-8 teh42 @jhon:teh.org bit.ly/hte __teh__ youtu.be/dQw4
"""


@pytest.mark.parametrize("code", ["en", "es", "de", "fr", "hi", "en+es"])
@pytest.mark.parametrize("address", ADDRESSES.split())
def test_1_addresses_stay_in_every_language(code: str, address: str) -> None:
    assert Keyboard(code).type(f"a {address} b ").text == f"a {address} b "


@pytest.mark.parametrize(
    ("code", "text"),
    [
        *[("en", text) for text in (
            "the kids' toys", "fish 'n' chips", "dogs’ bowls", "Hawai'i", "the Joneses' house", "nothin'", "'twasn't",
            "three days' leave", "for goodness' sake", "ol' friend", "Sa'ad", "jack-o'-lantern", "c'mon", "y'know",
        )],
        *[("fr", text) for text in ("d'accord", "l'école", "aujourd'hui", "presqu'île", "l’hôtel", "j'suis")],
        *[("de", text) for text in ("geht's", "hab' ich", "Hans' Auto", "'nen Kaffee", "auf'm Tisch")],
    ],
)  # fmt: skip
def test_2_apostrophes_stay_where_they_were_typed(code: str, text: str) -> None:
    assert Keyboard(code).type(f"x {text} ").text == f"x {text} "


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("definately", "definitely"), ("seperate", "separate"), ("recieve", "receive"), ("wierd", "weird"),
        ("untill", "until"), ("beleive", "believe"), ("occured", "occurred"), ("neccessary", "necessary"),
        ("goverment", "government"), ("enviroment", "environment"), ("suprise", "surprise"), ("begining", "beginning"),
        ("tommorow", "tomorrow"), ("accomodate", "accommodate"), ("embarassing", "embarrassing"), ("wich", "which"),
        ("immediatly", "immediately"), ("occassion", "occasion"), ("prefered", "preferred"), ("writting", "writing"),
        ("succesful", "successful"), ("tommorrow", "tomorrow"), ("knowlege", "knowledge"), ("thier", "their"),
    ],
)  # fmt: skip
def test_3_what_many_people_misspell_is_mended_and_never_suggested(typed: str, text: str) -> None:
    assert Keyboard().type(f"so {typed} ").text == f"so {text} "
    assert typed not in Keyboard().type(f"so {typed[:-1]}").strip


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("cest", "c'est"),
        ("cetait", "c'était"),
        ("jai", "j'ai"),
        ("quil", "qu'il"),
        ("jusqua", "jusqu'à"),
        ("dabord", "d'abord"),
    ],
)
def test_3_apostrophes_and_accents_are_left_out_together(typed: str, text: str) -> None:
    assert Keyboard("fr").type(f"et {typed} ").text == f"et {text} "


@pytest.mark.parametrize(
    ("code", "typed", "text"),
    [
        *[("fr", *pair) for pair in (
            ("jetais", "j'étais"), ("navait", "n'avait"), ("netait", "n'était"), ("jattends", "j'attends"),
            ("jhabite", "j'habite"), ("jecoute", "j'écoute"), ("lecole", "l'école"), ("lhopital", "l'hôpital"),
            ("leglise", "l'église"), ("lautre", "l'autre"), ("quun", "qu'un"), ("davoir", "d'avoir"),
            ("detre", "d'être"), ("sappelle", "s'appelle"), ("mappelle", "m'appelle"), ("lorsquil", "lorsqu'il"),
        )],
        ("en+fr", "jetais", "j'étais"), ("en+fr", "lecole", "l'école"),
        *[("fr", word, word) for word in ("lune", "danse", "mange", "dame", "tes", "nous", "sushi", "Dali", "lapin")],
        ("fr", "mere", "mère"), ("en+fr", "lone", "lone"),
        *[("en", *pair) for pair in (
            ("DONT", "DON'T"), ("CANT", "CAN'T"), ("THATS", "THAT'S"), ("doesnt'", "doesn't"), ("didnt'", "didn't"),
            ("dotn", "don't"), ("daren't", "daren't"), ("somebodys", "somebody's"), ("NASA", "NASA"),
        )],
    ],
)  # fmt: skip
def test_3_elisions_and_contractions_follow_rules(code: str, typed: str, text: str) -> None:
    assert Keyboard(code).type(f"x {typed} x ").text == f"x {text} x "


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("tounge", "tongue"), ("probly", "probably"), ("rember", "remember"), ("freind", "friend"),
        ("basicly", "basically"), ("bizzare", "bizarre"), ("definatly", "definitely"), ("grammer", "grammar"),
        ("truely", "truly"), ("yatch", "yacht"), ("vaccum", "vacuum"), ("maintainance", "maintenance"),
        ("fourty", "forty"), ("harrass", "harass"), ("liason", "liaison"), ("buisness", "business"),
        ("publically", "publicly"), ("greatful", "grateful"), ("collegue", "colleague"), ("firey", "fiery"),
        ("Ithink", "I think"), ("Iam", "I am"), ("Ihave", "I have"), ("Idont", "I don't"), ("Ivan", "Ivan"),
    ],
)  # fmt: skip
def test_3_common_misspellings_are_mended_by_what_they_are_meant_for(typed: str, text: str) -> None:
    assert Keyboard().type(f"so {typed} ok ").text == f"so {text} ok "


MISSPELT = {
    "en": """
calender calendar|hight height|happend happened|sieze seize|wether whether|acheive achieve|arguement argument
noone no one|beautifull beautiful|cemetary cemetery
foriegn foreign|gaurd guard|independant independent|lenght length|peice piece
highschool high school|payed paid|infact in fact|aswell as well|eventhough even though|atleast at least
expresso espresso
""",
    "es": """
porfavor por favor|nesesito necesito|grasias gracias|entonses entonces|tanbien también|exelente excelente
osea o sea|desicion decisión
conprar comprar|sienpre siempre|kiero quiero|hechar echar|estubo estuvo|aveces a veces|enserio en serio
travajo trabajo|escojer escoger|viage viaje|esque es que|amenudo a menudo|transtorno trastorno|dijistes dijiste
""",
    "de": """
villeicht vielleicht|vieleicht vielleicht|garnicht gar nicht|vorraus voraus|seperat separat|warscheinlich wahrscheinlich
agressiv aggressiv|interressant interessant|wilkommen willkommen|nähmlich nämlich|standart Standard|zuende zu Ende
wiso wieso|zuviel zu viel|aufjedenfall auf jeden Fall|bischen bisschen|wiederspruch Widerspruch|reperatur Reparatur
donerstag Donnerstag|addresse Adresse|terasse Terrasse|nichtmal nicht mal
""",
    "fr": """
parcontre par contre|biensur bien sûr|toujour toujours|acceuil accueil|malgrès malgré|professionel professionnel
interressant intéressant|developpement développement|vraiement vraiment|maintenent maintenant|parmis parmi
language langage|connection connexion|mourrir mourir|enfaite en fait|toutafait tout à fait|trés très|dilemne dilemme
quelquechose quelque chose|appartemment appartement|évidement évidemment
""",
    "hi": """
नही नहीं|मे में|लडका लड़का|लडकी लड़की|बहोत बहुत|उन्होने उन्होंने|स्कुल स्कूल|धन्यबाद धन्यवाद|गाडी गाड़ी
पढाई पढ़ाई|क्योकि क्योंकि|परिक्षा परीक्षा|बिमार बीमार|दुसरा दूसरा|क्रपया कृपया|मै मैं|हू हूँ|पुरा पूरा|दुध दूध
बडा बड़ा|किजिए कीजिए|प्रशन प्रश्न
""",
}
"""What many people write in each language, and what they mean."""


@pytest.mark.parametrize(("code", "pair"), by_language(MISSPELT))
def test_3_common_misspellings_of_every_language_are_mended(code: str, pair: str) -> None:
    typed, text = pair.split(" ", maxsplit=1)
    assert Keyboard(code).type(f"x {typed} ").text == f"x {text} "


JOINED = {
    "en": """
newyork New York|losangeles Los Angeles|newzealand New Zealand|unitedstates United States|northkorea North Korea
highschool high school|alot a lot|infact in fact|aswell as well|ofcourse of course|noone no one|eachother each other
""",
    "es": """
talvez tal vez|buenosdias buenos días|megusta me gusta|apesar a pesar|derepente de repente|poreso por eso
enrealidad en realidad|enfin en fin|yaque ya que|conmigo conmigo|aparte aparte|sobretodo sobretodo
""",
    "de": """
zumbeispiel zum Beispiel|gutenmorgen guten Morgen|gutenacht gute Nacht|vielendank vielen Dank|imgrunde im Grunde
ausversehen aus Versehen|aufwiedersehen auf Wiedersehen|desweiteren des Weiteren|bisbald bis bald|zufuß zu Fuß
imprinzip im Prinzip|zumglück zum Glück|nochnicht noch nicht|irgendwann irgendwann|sowieso sowieso|nochmal nochmal
""",
    "fr": """
peutetre peut-être|alafois à la fois|apartir à partir|toutdesuite tout de suite|pasmal pas mal|demême de même
bonnenuit bonne nuit|tropbien trop bien|pourquoipas pourquoi pas|davantage davantage|bientôt bientôt|depuis depuis
""",
    "hi": """
केलिए के लिए|होगया हो गया|होगई हो गई|करदिया कर दिया|आगया आ गया|करदो कर दो|इसलिए इसलिए|जबकि जबकि|हालांकि हालांकि
""",
}


@pytest.mark.parametrize(("code", "pair"), by_language(JOINED))
def test_16_words_that_are_written_as_one_by_mistake_are_two_in_every_language(code: str, pair: str) -> None:
    typed, text = pair.split(" ", maxsplit=1)
    assert Keyboard(code).type(f"x {typed} ").text == f"x {text} "


@pytest.mark.parametrize(
    ("typed", "text"), [("Addresse", "Adresse"), ("Reperatur", "Reparatur"), ("Terasse", "Terrasse"), ("Wiso", "Wieso")]
)
def test_3_german_nouns_are_mended_with_their_capital_too(typed: str, text: str) -> None:
    assert Keyboard("de").type(f"{typed} ").text == f"{text} "
    if text != "Wieso":
        assert Keyboard("de").type(f"x {typed} ").text == f"x {text} "


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("es", "mas más esta está aun aún tu tú si sí el él se sé de dé te té solo"),
        ("fr", "ou où a à la là sur sûr du dû"),
        ("de", "dass das man seid seit den denn wider wieder"),
        ("hi", "तन्वी कियारा रामचंद्रन जसलीन मायरा विहान यूसुफ़ हरमनप्रीत"),
        ("hi", "สวัสดี வணக்கம் নমস্কার ನಮಸ್ಕಾರ ආයුබෝවන් ਸਤ ગુજરાતી hello привет"),
        ("hi", "कि की है हैं और ओर दिन दीन में मैं कहा कहाँ बात काम"),
        ("en", "its it's were we're your you're than then quite quiet lose loose"),
        ("en+de", "language connection also"),
        ("en+fr", "language connection hazard resource"),
    ],
)
def test_3_pairs_that_sense_alone_tells_apart_are_left_as_typed(code: str, words: str) -> None:
    for word in words.split():
        assert Keyboard(code).type(f"x {word} ").text == f"x {word} "


@pytest.mark.parametrize(
    ("code", "typed", "text"),
    [
        *[("de", *pair) for pair in (
            ("fuer", "für"), ("ueber", "über"), ("moechte", "möchte"), ("koennen", "können"), ("waere", "wäre"),
            ("fuenf", "fünf"), ("muessen", "müssen"), ("zurueck", "zurück"), ("glueck", "Glück"), ("neue", "neue"),
            ("abenteuer", "Abenteuer"), ("zuerst", "zuerst"), ("aktuell", "aktuell"),
        )],
        *[("es", *pair) for pair in (
            ("jamas", "jamás"), ("ultimo", "último"), ("pagina", "página"), ("tenia", "tenía"), ("titulo", "título"),
            ("llego", "llego"), ("veintidos", "veintidós"), ("aun", "aun"),
        )],
    ],
)  # fmt: skip
def test_14_accents_follow_what_a_language_leaves_out(code: str, typed: str, text: str) -> None:
    assert Keyboard(code).type(f"x {typed} ").text == f"x {text} "


@pytest.mark.parametrize(
    "text",
    [
        "eine Frage", "meine Suche", "die Frage", "im Leben", "beim Essen", "guten Morgen", "eine Reise",
        "ich frage", "wir leben", "bis morgen", "ich reise", "die habe", "die alte", "ein alter", "eine neue",
        "die liebe",
    ],
)  # fmt: skip
def test_6_german_nouns_behind_articles_have_a_capital(text: str) -> None:
    assert Keyboard("de").type(f"und {text.lower()} ").text == f"und {text} "


COMPOUNDS = """
Haustürschlüssel Donaudampfschifffahrtsgesellschaft Wohnungstürschloss Sonntagsbraten Küchentischlampe Hundefutterdose
Weihnachtsmarktbesuch Kindergartenplatz Straßenbahnhaltestelle Fahrradkeller Zahnarzttermin Mittagessenspause
Kaffeemaschinenreiniger Autobahnraststätte Katzenfutterdose Bücherregalbrett Apfelkuchenrezept Handyladekabel
Waschmaschinenanschluss computergesteuert kinderfreundlich umweltfreundlich Schlafzimmerfenster Arbeitszeitkonto
Regenschirmständer Winterreifenwechsel Lehrerzimmerschlüssel Mietwagenfirma Bratkartoffelrezept Kühlschranktür
"""


@pytest.mark.parametrize("word", COMPOUNDS.split())
def test_3_german_compounds_are_words(word: str) -> None:
    assert Keyboard("de").type(f"x {word} ").text == f"x {word} "
    assert Keyboard("en+de").type(f"x {word} ").text == f"x {word} "


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        *[(word, word.capitalize()) for word in (
            "mietwagenfirma", "katzenfutterdose", "zahnarzttermin", "fahrradkeller", "schlafzimmerfenster",
            "geburtstagsessen", "sonntagsspiel", "kinderfrage", "katzenleben", "bergfahrt", "hotelsuche",
            "lehrertreffen", "autowechsel", "gartenfeier", "kellerwand", "dankesschreiben", "wintermorgen",
        )],
        ("computergesteuert", "computergesteuert"), ("kinderfreundlich", "kinderfreundlich"), ("haushoch", "haushoch"),
        ("turmhoch", "turmhoch"), ("seeabwärts", "seeabwärts"), ("kellerdunkel", "kellerdunkel"),
        ("sammlng", "Sammlung"), ("straßenbanh", "Straßenbahn"), ("weinachten", "Weihnachten"),
    ],
)  # fmt: skip
def test_6_compounds_of_nouns_get_their_capital_and_slips_are_none(typed: str, text: str) -> None:
    assert Keyboard("de").type(f"x {typed} ").text == f"x {text} "


NAMES = """
Anjali Venkatesh Khadija Zainab Nkechi Chukwuemeka Babatunde Lerato Hiroshi Takeshi Minjun Xiaoming Jing Phuong Trang
Søren Günther François Édouard Loïc Niamh Ciarán Eoin Llewellyn Agnieszka Zbigniew Dmitri Oksana Chiara Joaquín Itzel
João Ewa Noor Mehmet Ayşe Shlomo Yael Abena Wanjiru Aroha Kahurangi Leilani Tariq Meera Ishaan Mukherjee Chatterjee
Gowda Okafor Dlamini Tadesse Bekele Warsame Nakamura Kobayashi Hoang Nilufar Timur Bolat Levon Dragan Zsolt Ionuț Kostas
Väinö Eero Tõnu Aušra Mindaugas
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_4_names_from_everywhere_are_kept_where_a_sentence_begins(name: str) -> None:
    assert Keyboard().type(f"{name} said so. ").text == f"{name} said so. "
    assert Keyboard().type(f"Ok. {name}, come ").text == f"Ok. {name}, come "


@pytest.mark.parametrize("code", ["es", "de", "fr", "en+es", "en+de", "en+fr"])
@pytest.mark.parametrize("name", [*NAMES.split()[::3], "Nino", "Luka"])
def test_4_names_are_kept_within_sentences_of_every_language(code: str, name: str) -> None:
    assert Keyboard(code).type(f"x {name} x ").text == f"x {name} x "


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("Teh", "The"),
        ("Waht", "What"),
        ("Becuase", "Because"),
        ("Tomorow", "Tomorrow"),
        ("Thsi", "This"),
        ("Yuo", "You"),
    ],
)
def test_4_slips_are_mended_there_all_the_same(typed: str, text: str) -> None:
    assert Keyboard().type(f"{typed} ").text == f"{text} "


CAPITALS = """
GHz MHz BSc MSc kWh dB eSIM PostgreSQL MySQL IntelliJ PyTorch NumPy camelCase useState AirPods SpaceX McGregor
TVs CDs DMs IT's DeSantis LeBron AstraZeneca PhDs DVDs URLs IDs nVidia xAI
"""


@pytest.mark.parametrize("word", CAPITALS.split())
def test_5_inner_capitals_are_meant(word: str) -> None:
    assert Keyboard().type(f"{word} and {word} ").text == f"{word} and {word} "


@pytest.mark.parametrize("word", ["iPhone", "eBay", "iPad", "YouTube", "WhatsApp", "GitHub", "PayPal", "LinkedIn"])
def test_5_sentences_may_begin_with_a_small_letter(word: str) -> None:
    assert Keyboard().type(f"{word.capitalize()} ").text == f"{word} "


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("en", "Brazil Berlin Thanksgiving Diwali Wednesday's London's Maria Shanghai Ukraine Netflix Scotland Arabic"),
        ("en", "Morocco Carter Charlie Dan Josh Molly Sally Simon Victor"),
        ("es", "Madrid María Pedro Perú Navidad Juan Londres García África Teresa"),
        ("es", "Irlanda Ucrania Noruega Marruecos Moscú Tokio Carolina Felipe Samuel Víctor Tomás"),
        ("fr", "Paris Noël Louis Canada Isabelle Londres Québec Guillaume"),
        ("fr", "Brésil Suède Écosse Mali Jacques Robert Véronique Zoé Élise"),
        ("de", "Haus Zeit Freund Schule Katze Kaffee Straße Wochenende Geburtstag Öl Ei Deutschland"),
    ],
)
def test_6_proper_nouns_get_their_capital_in_every_language(code: str, words: str) -> None:
    for word in words.split():
        assert Keyboard(code).type(f"x {word.lower()} ").text == f"x {word} "


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("en", "may march mark will turkey polish bill rose hope np ty chai kitty stan"),
        ("es", "lunes enero español inglés domingo mayo argentina china reunión mundo bahía granada julio león pilar"),
        ("fr", "lundi janvier français anglais août suisse argentine pierre marie claire réunion vienne monde"),
        ("de", "essen leben morgen gehen können gut schnell heute"),
    ],
)
def test_6_others_stay_small(code: str, words: str) -> None:
    for word in words.split():
        assert Keyboard(code).type(f"x {word} ").text == f"x {word} "


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("es", "México José Bogotá López Perú Japón Moscú Agustín"),
        ("fr", "Québec François Hélène Montréal Israël Zoé Brésil Benoît Élise"),
        ("de", "Glück Österreich München Köln Zürich Lösung Tür Stück Jäger"),
    ],
)
def test_6_and_14_proper_nouns_get_their_accents_too(code: str, words: str) -> None:
    for word in words.split():
        bare = unicodedata.normalize("NFD", word.lower()).encode("ascii", "ignore").decode()
        assert Keyboard(code).type(f"x {bare} ").text == f"x {word} "


@pytest.mark.parametrize("code", ["en+es", "en+de", "en+fr", "en+hi"])
@pytest.mark.parametrize(
    ("typed", "text"),
    [("i", "I"), ("helo", "hello"), ("doesnt", "doesn't"), ("monday", "Monday"), ("peopel", "people")],
)
def test_6_and_two_languages_mend_as_one_does(code: str, typed: str, text: str) -> None:
    assert Keyboard(code).type(f"so {typed} ").text == f"so {text} "


ACCENTED = """
naïve café jalapeño über façade crème brûlée Zoë Beyoncé Björk Málaga São Łódź Øresund smörgåsbord piñata déjà
fiancée Ångström Dvořák Škoda Citroën привет こんにちは 你好 안녕하세요 مرحبا שלום नमस्ते γεια สวัสดี
"""


@pytest.mark.parametrize("text", ACCENTED.split())
def test_14_accents_and_scripts_that_were_typed_were_meant(text: str) -> None:
    assert Keyboard().type(f"ok {text} ").text == f"ok {text} "


ON_PURPOSE = {
    "en": """
soooo heyyyy yesss yasss whaaat hahahah ahahaha hehehe pleeease omggg loool hmmmm byeee reallyyyy okkkk
omw wfh shoulda woulda hafta oughta matcha gyoza backend standup onboarding yeet nft tldr bday hangry aight altho
musta feck craic togs unfollowed refactored ahaha hahaha uhuh heyy lmaoo
""",
    "es": """
holaaaa jajaja jejeje síííí tqm xfa finde jsjsjs jajsjs jajaj flipante acojonante currante currito curros garito
guapis molaría petado pa na holaa valee chao toy porq partidazo yoga
""",
    "de": """
hallooo biiiitte hdgdl tschau naja grad rum drum rauf rüber iwie iwann iwas biste willste kannsu jaja soso achso
gechillt gedatet geliked gejoggt gezockt geshoppt mukke nabend moinsen heyy the
""",
    "fr": """
coucouuu mdrrr ptdr bsr jtm nan ouaip auj seum oskour miskine chépa pkoi deg dacc psk nimp vénèr chanmé narvalo the
""",
}


@pytest.mark.parametrize(("code", "words"), ON_PURPOSE.items())
def test_what_people_draw_out_or_write_on_purpose_stays(code: str, words: str) -> None:
    for word in words.split():
        assert Keyboard(code).type(f"x {word} ").text == f"x {word} "


@pytest.mark.parametrize(
    ("code", "text"),
    [
        *[("fr", text) for text in (
            "bonjour !", "« bonjour »", "50 %", "c'est 5 €", "n° 5", "XIXe siècle", "18h30", "y a-t-il", "M. Dupont",
        )],
        *[("es", text) for text in ("¿cómo estás?", "sí, ¿y tú?", "¡no!", "los años 90", "1.º", "pingüino", "dígame")],
        *[("de", text) for text in ("E-Mail", "3. Stock", "„Hallo“", "z.B. hier", "Haustürschlüssel", "Grüezi")],
        *[("hi", text) for text in ("यह ठीक है।", "₹500", "१२३", "डॉ. शर्मा", "प्रिया", "विद्यार्थी")],
        *[("en", text) for text in (
            "hello xD", "hello <3", "hello ¯\\_(ツ)_/¯", "hello o.O", "STOP NASA ASAP", "R&B", "w/o you", "at 5 p.m.",
        )],
    ],
)  # fmt: skip
def test_marks_and_numbers_stay_as_each_language_sets_them(code: str, text: str) -> None:
    assert Keyboard(code).type(f"{text} ").text == f"{text} "
