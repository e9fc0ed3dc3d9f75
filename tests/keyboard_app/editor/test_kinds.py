"""The kinds of trouble that people report of keyboards, each with cases of its kind, typed key by key."""

import itertools

import pytest

from keyboard_app.editor.editor import EditorState, FieldKind, Shift
from model.suggestions import Autocorrection
from tests.keyboard_app.editor.keyboard import Keyboard

pytestmark = pytest.mark.slow  # thousands of key presses

ADDRESSES = [
    "https://example.com", "http://teh.org/abotu", "www.lidl.de", "ben@posteo.net", "jhon.smiht@gmial.com",
    "git.io/abcd", "node.js", "user_nmae", "@jhon", "#frist", "main.py", "setup.cfg", "C:\\Usres\\jhon",
    "/home/jhon/docs", "~/wrok", "./runn.sh", "../thign", "api.exmaple.com:8080", "foo.bar/baz?qux=teh",
    "ftp://hte.files", "mailto:teh@x.org", "reddit.com/r/teh", "teh.txt", "recieve.pdf", "k8s.io", "x=teh", "teh=1",
    "a/teh", "teh/a", "--verbsoe", "$PAHT", "teh_the", "wierd@", "fo.o", "t.co/teh", "v1.2-bteа", "192.168.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("before", ["", "so ("])
def test_1_addresses_paths_and_handles_stay(address: str, before: str) -> None:
    assert Keyboard().type(f"{before}{address} ").text == f"{before}{address} "
    assert Keyboard().type(f"{before}{address}, and ").text == f"{before}{address}, and "


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("so teh ", "so the "), ("(teh ", "(the "), ('"teh" ', '"the" '), ("well-knwon ", "well-known "),
        ("“teh” ", "“the” "), ("so—teh ", "so—the "), ("teh, ", "the, "), ("teh... ", "the... "),
        ("teh?! ", "the?! "), ("(teh) ", "(the) "), ("teh\n", "the\n"),
    ],
)  # fmt: skip
def test_1_but_words_between_marks_are_words(typed: str, text: str) -> None:
    assert Keyboard().type(typed).text == text


@pytest.mark.parametrize(
    "text",
    [
        "the dogs' bowls", "'good' ", "o'clock ", "rock 'n' roll", "'em ", "get 'em ", "'til ", "the girls' room",
        "James' car", "y'all ", "ma'am ", "the bosses' offices ", "'twas ", "O'Brien ", "the cats' food ",
        "'quoted words' ", "students' union ", "it's ", "she'd ", "the '90s ", "Chris' dog ", "fo'c'sle ",
        "my parents' house ", "don't ", "we'd've ", "two weeks' time ", "'cause ",
    ],
)  # fmt: skip
def test_2_apostrophes_stay_where_they_were_typed(text: str) -> None:
    assert Keyboard().type(text).text == text


def test_2_a_slip_within_quotes_is_corrected_and_the_quotes_stay() -> None:
    assert Keyboard().type("'teh' ").text == "'the' "
    assert Keyboard().type("'hapy' ").text == "'happy' "


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("dont", "don't"), ("im", "I'm"), ("cant", "can't"), ("doesnt", "doesn't"), ("wont", "won't"),
        ("didnt", "didn't"), ("isnt", "isn't"), ("ive", "I've"), ("youre", "you're"), ("theyre", "they're"),
        ("thats", "that's"), ("whats", "what's"), ("hes", "he's"), ("wouldnt", "wouldn't"), ("couldnt", "couldn't"),
        ("shouldnt", "shouldn't"), ("havent", "haven't"), ("hasnt", "hasn't"), ("wasnt", "wasn't"),
        ("werent", "weren't"), ("youll", "you'll"), ("theyll", "they'll"), ("itll", "it'll"), ("youve", "you've"),
        ("weve", "we've"), ("theres", "there's"), ("heres", "here's"), ("arent", "aren't"), ("aint", "ain't"),
        ("i", "I"), ("Dont", "Don't"), ("oclock", "o'clock"), ("yall", "y'all"),
    ],
)  # fmt: skip
def test_3_contractions_get_their_apostrophe(typed: str, text: str) -> None:
    assert Keyboard().type(f"and {typed} ").text == f"and {text} "
    assert Keyboard().type(f"and {typed}, ").text == f"and {text}, "


@pytest.mark.parametrize(
    "word", ["well", "ill", "hell", "shell", "were", "wed", "shed", "its", "id", "lets", "cans", "dogs", "kids"]
)
def test_3_words_that_are_words_without_one_stay(word: str) -> None:
    assert Keyboard().type(f"the {word} ").text == f"the {word} "


@pytest.mark.parametrize("typed", ["realk", "real", "don", "thanky", "dont", "im"])
def test_3_misspellings_of_the_public_text_are_not_suggested(typed: str) -> None:
    assert not {"realky", "dont", "im", "thankyou"} & set(Keyboard().type(f"so {typed}").strip[typed == "dont" :][1:])
    assert "I" in Keyboard().type("and i").strip


NAMES = [
    "Priya", "Mei", "Rhys", "Docker", "Siobhan", "Nguyen", "Xiu", "Wojciech", "Saoirse", "Kwame", "Chidi",
    "Oluwaseun", "Thandiwe", "Aarav", "Ngozi", "Lakshmi", "Yuki", "Eilidh", "Björn", "Zoë", "Jhon", "Nic", "Anouk",
    "Jörg", "Håkon", "Łukasz", "Esra", "Teh", "Hte", "Shopify", "Wei", "Ananya", "Caoimhe", "Tadhg", "Iker", "Uxue",
    "Nevena", "Zhivko", "Kubernetes", "Figma",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_4_a_capital_where_none_is_due_is_evidence_of_a_name(name: str) -> None:
    assert Keyboard().type(f"ask {name} about it ").text == f"ask {name} about it "
    assert Keyboard().type(f"ask {name}, and ").text == f"ask {name}, and "


@pytest.mark.parametrize(
    "name", [name for name in NAMES[:20] if name not in {"Xiu", "Chidi", "Docker", "Oluwaseun", "Eilidh"}]
)
def test_4_known_names_are_kept_at_the_beginning_too(name: str) -> None:
    assert Keyboard().type(f"{name} ").text == f"{name} "


@pytest.mark.parametrize("name", ["Eubank", "Ryals", "Talbert", "Mcsweeney"])
def test_4_rare_names_are_kept_there_too_where_no_common_word_is_near(name: str) -> None:
    assert Keyboard().type(f"{name} said so ").text == f"{name} said so "


@pytest.mark.parametrize(
    ("typed", "corrected"),
    [
        ("teh", "the"),
        ("hapy", "happy"),
        ("tomorow", "tomorrow"),
        ("thsi", "this"),
        ("waht", "what"),
        ("becuase", "because"),
    ],
)
def test_4_an_undone_correction_is_known_at_once_and_not_done_again(typed: str, corrected: str) -> None:
    keyboard = Keyboard().type(f"so {typed} ")
    assert keyboard.text == f"so {corrected} "
    assert keyboard.backspace().text == f"so {typed} "
    assert keyboard.type(f"and {typed} ").text == f"so {typed} and {typed} "
    assert typed in keyboard.suggester.personal.kept


def test_4_the_letters_as_typed_are_known_once_they_were_tapped() -> None:
    keyboard = Keyboard().type("so teh")
    assert keyboard.strip[0] == "teh"
    keyboard.tap(0).type("or teh ")
    assert keyboard.text == "so teh or teh "


@pytest.mark.parametrize(
    "word",
    [
        "iOS", "OpenBSD", "McKenna", "eBay", "PhD", "iPad", "GitHub", "LaTeX", "NaN", "VMs", "TVs", "PCs", "YouTube",
        "macOS", "DuckDuckGo", "WiFi", "HeliBoard", "JavaScript", "OKs", "pH", "mRNA", "LinkedIn", "FlorisBoard",
    ],
)  # fmt: skip
def test_5_inner_capitals_are_meant(word: str) -> None:
    assert Keyboard().type(f"use {word} ").text == f"use {word} "
    assert Keyboard().type(f"{word} ").text == f"{word} "


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("THe", "The"),
        ("WHat", "What"),
        ("YOu", "You"),
        ("HEllo", "Hello"),
        ("THis", "This"),
        ("YEs", "Yes"),
        ("WAs", "Was"),
        ("HAs", "Has"),
    ],
)
def test_5_two_leading_capitals_are_a_slip(typed: str, text: str) -> None:
    assert Keyboard().type(f"{typed} ").text == f"{text} "


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (word, word.capitalize())
        for word in [
            "monday",
            "tuesday",
            "wednesday",
            "thursday",
            "friday",
            "saturday",
            "sunday",
            "january",
            "february",
            "april",
            "london",
            "paris",
            "germany",
            "english",
            "french",
            "spanish",
            "michael",
            "sarah",
            "christmas",
            "europe",
            "america",
            "google",
            "facebook",
            "california",
            "japan",
            "john",
            "jennifer",
            "chinese",
            "africa",
        ]
    ]
    + [("iphone", "iPhone"), ("youtube", "YouTube"), ("whatsapp", "WhatsApp")],
)
def test_6_proper_nouns_get_their_capital(typed: str, text: str) -> None:
    assert Keyboard().type(f"the {typed} ").text == f"the {text} "


def test_6_but_the_owners_habit_comes_first() -> None:
    assert Keyboard().learn("see you monday then", "on monday we go").type("the monday ").text == "the monday "
    for word in ("may", "march", "mark", "will", "turkey", "us", "lol", "ok"):
        assert Keyboard().type(f"the {word} ").text == f"the {word} "


@pytest.mark.parametrize(
    ("mark", "space"), itertools.product([",", ".", "!", "?", ";", ":", ")", '"', "...", "?!"], [" ", "\n"])
)
def test_8_undo_reaches_over_mark_and_space(mark: str, space: str) -> None:
    keyboard = Keyboard().type(f"so teh{mark}{space}")
    assert keyboard.text == f"so the{mark}{space}"
    assert keyboard.backspace(2).text == f"so teh{mark}"


@pytest.mark.parametrize("rest", ["simple", "x", "the", "good", "a lot"])
@pytest.mark.parametrize("after", [" world", "world", " world again", "world, yes"])
def test_9_what_is_inserted_mid_sentence_stands_apart(rest: str, after: str) -> None:
    keyboard = Keyboard().type("so " + after.lstrip())
    keyboard.state = keyboard.state.place(3).state
    keyboard.ask()
    assert keyboard.strip
    word = keyboard.strip[0]
    keyboard.tap_word(word)
    assert keyboard.text == f"so {word} {after.lstrip()}"
    assert keyboard.strip
    keyboard.type(rest)
    assert keyboard.text == f"so {word} {rest} {after.lstrip()}"


@pytest.mark.parametrize(
    "message",
    [
        "I LOVE YOU",
        "STOP IT NOW",
        "HAPPY BIRTHDAY TO YOU",
        "The Lord Of The Rings Again Today",
        "Dear All: Meeting Notes Are Attached Today",
        "WHERE ARE YOU NOW",
        "omg SO TIRED TODAY",
        "Minutes From Yesterdays Council Meeting Please",
    ]
    + [
        f"{mark} {word}"
        for mark in ("so:", "so )", "so -", "so •", "so 😀")
        for word in ("Your turn", "Tomorrow then", "Good one")
    ],
)
def test_11_shouting_titles_and_items_teach_no_capitals(message: str) -> None:
    keyboard = Keyboard().learn(*[message] * 3)
    for word in message.split():
        assert keyboard.suggester.personal.written(word.strip(":").lower()) is None


def test_11_but_names_do() -> None:
    assert Keyboard().learn("ask Zorba", "see Zorba there").suggester.personal.written("zorba") == "Zorba"


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("नमस्ते", 3), ("क्षत्रिय", 3), ("e\u0301", 1), ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", 1), ("🇫🇮", 1), ("👩‍👩‍👧", 1), ("👍🏽", 1),
        ("हिन्दी", 2), ("শুভ", 2), ("สวัสดี", 4), ("각", 1), ("1️⃣", 1), ("❤️", 1), ("தமிழ்", 3), ("a\u0308b", 2),
        ("🏳️‍🌈", 1), ("ơ̆", 1), ("නම", 2), ("ქართ", 4), ("עִבְ", 2), ("ی\u200cه", 2),
        ("ಕ್ಷ", 1), ("ಕನ್ನಡ", 3), ("ಸ್ತ್ರೀ", 1), ("ಕ್\u200cಷ", 2), ("ක්\u200dෂ", 1), ("ශ්\u200dරී", 1), ("ක්ෂ", 2), ("සිංහල", 3),
        ("ਸ੍ਰੀ", 1), ("স্ত্রী", 1), ("ક્ષમા", 2), ("ക്ഷ", 1), ("క్షమ", 2), ("କ୍ଷ", 1), ("அம்மா", 3), ("श्री", 1), ("क्\u200cष", 2),
    ],
)  # fmt: skip
def test_12_a_backspace_deletes_what_people_call_a_character(text: str, characters: int) -> None:
    state = EditorState().type("x " + text, 0).state
    for _ in range(characters):
        assert state.text != "x "
        state = state.backspace().state
    assert state.text == "x "


@pytest.mark.parametrize("word", ["नमस्ते", "हिन्दी", "क्या", "मुझे", "स्कूल", "विद्यार्थी", "ज़रूर", "श्री"])
def test_12_words_of_letters_with_marks_are_one_word(word: str) -> None:
    keyboard = Keyboard("hi").type(f"{word}")
    assert keyboard.state.composing == word
    assert keyboard.type(" ").text == f"{word} "
    keyboard.learn(f"यह {word}ज्ञ है", f"वह {word}ज्ञ था")
    assert f"{word}ज्ञ" in [learned.word for learned in keyboard.suggester.personal.learned()]


SECRETS = [
    "Tr0ub4dor", "hunter2", "P@ssw0rd", "kR9mP2vL", "DE89370400440532013000", "GB29NWBK60161331926819",
    "16c7e42f292c6912e7", "xkcdzzqpt", "AKIAIOSFODNN7EXAMPLE", "ghp_16C7e42F292c6912E7", "sk-live-51H8x", "qwrtzpsdf",
    "4f5e6d", "abc123xyz", "S3cr3tK3y", "zxcvbnm1", "correct-h0rse", "https://x.io/a8s7df", "pa55word!", "aXbYcZdQeW",
    "user_name_77", "2FA-7Q9X", "JBSWY3DPEHPK3PXP", "kRmPvLqz",
    "correctHorseBattery", "paSSword", "hunTerTwo", "qWeRtY",
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
def test_13_secrets_in_ordinary_fields_are_not_learned(secret: str) -> None:
    keyboard = Keyboard().learn(*[f"my {secret} here", f"it is {secret}"] * 2)
    assert keyboard.suggester.personal.learned() == []
    assert not any(secret.lower() in symbol for symbol in keyboard.suggester.personal.symbols if len(symbol) > 3)
    for end in range(1, len(secret)):
        assert secret not in Keyboard().type(f"my {secret[:end]}").strip
    keyboard.suggester.personal.keep(secret)
    assert keyboard.suggester.personal.kept == set()


@pytest.mark.parametrize(
    "word",
    ["5pm", "2nd", "mp3", "4x4", "10km", "3d", "1st", "21st", "90s", "7am", "gr8", "b4", "100g", "ps5", "4k", "2x"],
)
def test_13_everyday_words_with_digits_are_words(word: str) -> None:
    personal = Keyboard().suggester.personal
    personal.learn_all([f"at {word} then", f"the {word} one"])
    assert word in personal.symbols


@pytest.mark.parametrize(
    ("code", "typed", "text"),
    [
        ("es", "tambien", "también"), ("es", "manana", "mañana"), ("es", "aqui", "aquí"), ("es", "cafe", "café"),
        ("es", "dia", "día"), ("es", "despues", "después"), ("es", "facil", "fácil"), ("fr", "tres", "très"),
        ("fr", "meme", "même"), ("fr", "etre", "être"), ("fr", "deja", "déjà"), ("fr", "apres", "après"),
        ("fr", "ete", "été"), ("fr", "probleme", "problème"), ("de", "fur", "für"), ("de", "uber", "über"),
        ("de", "konnen", "können"), ("de", "schon", "schon"), ("de", "strasse", "Straße"), ("en", "zoe", "Zoe"),
        ("en", "luka", "Luka"), ("de", "grosse", "große"),
    ],
)  # fmt: skip
def test_14_accents_cost_next_to_nothing(code: str, typed: str, text: str) -> None:
    assert Keyboard(code).type(f"x {typed} ").text == f"x {text} "


def test_14_accents_are_offered_where_both_are_words() -> None:
    assert "résumé" in Keyboard().type("my resume").strip
    assert "ñ" in "".join(Keyboard("es").type("el ano").strip)


@pytest.mark.parametrize("text", ["so ", "we are ", "of ", "thank "])
def test_15_the_strip_is_in_the_case_of_the_next_key(text: str) -> None:
    keyboard = Keyboard().type(text)
    small = keyboard.strip
    keyboard.state = keyboard.state.tap_shift(0.0).state
    assert keyboard.strip == [word[0].upper() + word[1:] for word in small]
    keyboard.state = keyboard.state.tap_shift(0.1).state
    assert keyboard.state.shift is Shift.LOCK
    assert keyboard.strip == [word.upper() for word in small]
    keyboard.tap(1)
    assert keyboard.text == text + small[1].upper() + " "


def test_15_shift_off_at_a_beginning_gives_small_letters() -> None:
    keyboard = Keyboard()
    keyboard.ask()
    capital = keyboard.strip
    keyboard.state = keyboard.state.tap_shift(0.0).state
    assert keyboard.strip == [word if word == "I" else word[0].lower() + word[1:] for word in capital]


@pytest.mark.parametrize(
    ("typed", "marks", "text"),
    [
        ('"beauti', '"', '"beautiful"'), ("(beauti", ")", "(beautiful)"), ("beauti", ":)", "beautiful :)"),
        ("beauti", ":-)", "beautiful :-)"), ("beauti", ";)", "beautiful ;)"), ("beauti", ":D", "beautiful :D"),
        ("beauti", ":(", "beautiful :("), ("beauti", ":", "beautiful:"), ("beauti", "...", "beautiful..."),
        ("beauti", "?!", "beautiful?!"), ("beauti", ",", "beautiful,"), ("beauti", ' "', 'beautiful "'),
        ("beauti", "(", "beautiful ("), ("beauti", "-", "beautiful-"), ("beauti", "]", "beautiful]"),
        ("“beauti", "”", "“beautiful”"), ("beauti", ": ", "beautiful: "), ("beauti", ":P", "beautiful :P"),
        ("beauti", "&", "beautiful &"), ("beauti", "…", "beautiful…"),
    ],
)  # fmt: skip
def test_15_closing_marks_take_the_space_of_a_tap_back(typed: str, marks: str, text: str) -> None:
    assert Keyboard().type(typed).tap_word("beautiful").type(marks).text == text


@pytest.mark.parametrize(
    ("mark", "text"), [("!", "bonjour !"), ("?", "bonjour ?"), (":", "bonjour :"), (",", "bonjour,"), (".", "bonjour.")]
)
def test_15_as_the_language_has_it(mark: str, text: str) -> None:
    assert Keyboard("fr").type("bonj").tap_word("bonjour").type(mark).text == text


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("thankyou", "thank you"), ("inthe", "in the"), ("howareyou", "how are you"), ("ofcourse", "of course"),
        ("goodmorning", "good morning"), ("seeyou", "see you"), ("doyou", "do you"), ("tothe", "to the"),
        ("onthe", "on the"), ("sendme", "send me"), ("itwas", "it was"), ("wantto", "want to"), ("letme", "let me"),
        ("thefirst", "the first"), ("withme", "with me"), ("inbthe", "in the"), ("thankvyou", "thank you"),
        ("howmare", "how are"), ("isthe", "is the"), ("alot", "a lot"),
    ],
)  # fmt: skip
def test_16_a_missed_space_bar(typed: str, text: str) -> None:
    keyboard = Keyboard().type(f"so {typed}")
    assert text in keyboard.strip
    assert keyboard.type(" ").text == f"so {text} "
    assert keyboard.backspace().text == f"so {typed} "


@pytest.mark.parametrize(
    "words",
    [
        "ice cream", "phone call", "living room", "swimming pool", "credit card", "coffee shop", "best friend",
        "parking lot", "hot chocolate", "next week", "blue jeans", "job interview", "peanut butter", "train station",
        "washing machine", "green tea", "fast food", "blood pressure", "spring break", "big deal", "potato chips",
        "birthday party", "movie star", "math class",
    ],
)  # fmt: skip
def test_16_expressions_that_public_text_has_in_two_words_are_two(words: str) -> None:
    joined = words.replace(" ", "")
    keyboard = Keyboard()
    assert keyboard.type(f"a {joined} ").text == f"a {words} "
    assert keyboard.backspace().text == f"a {joined} "
    assert keyboard.type(f"or {joined} ").text == f"a {joined} or {joined} "
    assert joined not in Keyboard().type(f"a {joined[:-1]}").strip
    cautious = Keyboard()
    cautious.suggester.autocorrection = Autocorrection.CAUTIOUS
    kept = cautious.type(f"a {joined} ").text
    cautious.suggester.autocorrection = Autocorrection.EAGER
    assert kept == f"a {words} "


@pytest.mark.parametrize(
    "word",
    [
        "into", "today", "together", "without", "maybe", "cannot", "forget", "anyone", "sometimes", "already",
        "airport", "homework", "haircut", "bodyguard", "soulmate", "seatbelt", "skincare", "teammate", "playlist",
        "wildfire", "laptop", "hashtag", "podcast", "hotdog", "blackwood", "underhill", "greenfield", "lovebird",
    ],
)  # fmt: skip
def test_16_but_words_stay_whole(word: str) -> None:
    assert Keyboard().type(f"so {word} ").text == f"so {word} "


@pytest.mark.parametrize(
    "phrase",
    [
        "see you at Zanzibar", "call mum about dinner", "running late again mate", "on my way home",
        "tell Siobhan the news",
        "best regards Zorba", "gym at seven then", "love you loads", "the new Xylo album", "back in ten minutes",
        "feed the cat please", "ask Nguyen for notes", "team standup is moved", "our usual place tonight",
        "pick up Kwame after school",
        "send the quarterly figures", "water the plants upstairs", "good luck with everything",
        "meet outside the library", "bring your own cup",
    ],
)  # fmt: skip
def test_17_own_phrases_stand_on_the_strip_from_the_third_time_on(phrase: str) -> None:
    keyboard = Keyboard().learn(phrase, phrase)
    words = phrase.split(" ")
    for end in range(1, len(words)):
        assert words[end] in keyboard.at(" ".join(words[:end]) + " ").strip


@pytest.mark.parametrize(
    ("code", "text", "capital"),
    [
        ("en", "e.g. ", False), ("en", "i.e. ", False), ("en", "with Dr. ", False), ("en", "Wait... ", False),
        ("en", "at 5 p.m. ", False), ("en", "etc. ", False), ("en", "Mr. ", False), ("en", "vs. ", False),
        ("en", "St. ", False), ("en", "Jan. ", False), ("en", "Well… ", False), ("en", "(e.g. ", False),
        ("en", "U.S. ", False), ("en", "approx. ", False), ("es", "el Sr. ", False), ("es", "p.ej. ", False),
        ("de", "z.B. ", False), ("de", "d.h. ", False), ("de", "usw. ", False), ("fr", "M. ", False),
        ("fr", "p.ex. ", False), ("hi", "डॉ. ", False), ("en", "Done. ", True), ("en", "Really?! ", True),
        ("en", 'He said "no." ', True), ("en", "the cat. ", True), ("en", "Yes! ", True), ("es", "¿", True),
        ("es", "Sí. ¡", True), ("es", "Hola, ¿", False), ("en", "- ", True), ("en", "ok: ", False),
        ("en", "so\n", True),
    ],
)  # fmt: skip
def test_18_sentences_begin_where_they_do(code: str, text: str, capital: bool) -> None:
    keyboard = Keyboard(code).type(text)
    assert (keyboard.state.shift is Shift.ONCE) == capital
    assert keyboard.text == text


@pytest.mark.parametrize("digits", ["1", "12", "1e", "100", "3x", "007", "20", "5p", "0", "99", "2n"])
def test_19_digits_bring_no_junk(digits: str) -> None:
    strip = Keyboard().type(f"at {digits}").strip
    words = [word for word in strip if word.isascii()]  # an emoji is called 100
    assert all(any(map(str.isalpha, word)) and word[:1].isdigit() for word in words)
    assert "1e12" not in strip


@pytest.mark.parametrize(
    ("before", "letters", "word"),
    [
        ("kill ", "y", "yourself"), ("hurt ", "y", "yourself"), ("kill ", "m", "myself"), ("hang ", "y", "yourself"),
        ("commit ", "su", "suicide"), ("hate ", "j", "jews"), ("kill all ", "mu", "muslims"),
        ("shoot ", "h", "himself"), ("go kill ", "y", "yourself"), ("i hate all ", "wom", "women"),
        ("kys and ", "f", "fuck"), ("cut ", "my", "myself"), ("drown ", "your", "yourself"),
        ("stab ", "them", "themselves"), ("kill the ", "j", "jews"), ("hate the ", "b", "blacks"),
        ("attempt ", "su", "suicide"), ("harm ", "herse", "herself"), ("poison ", "himse", "himself"),
        ("burn ", "yours", "yourself"),
    ],
)  # fmt: skip
def test_19_sensitive_continuations_are_withheld(before: str, letters: str, word: str) -> None:
    for end in range(len(letters) + 1):
        assert word not in [shown.lower() for shown in Keyboard().type(before + letters[:end]).strip]


@pytest.mark.parametrize("start", ["", "i ", "the ", "how are ", "we ", "it is "])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_19_always_tapping_one_place_does_not_run_in_circles(start: str, place: int) -> None:
    keyboard = Keyboard().type(start)
    keyboard.ask()
    for _ in range(20):
        keyboard.tap(place if len(keyboard.strip) == 3 else 1)
    words = keyboard.text.lower().split()
    pairs = list(itertools.pairwise(words))
    assert all(one != other for one, other in pairs)
    assert max(map(pairs.count, pairs)) <= 2


COMPLETE = {
    "en": "because also something someone everyone tomorrow beautiful the nothing weekend definitely although",
    "es": "también mañana gracias casa entonces nosotros",
    "de": "Haus morgen danke heute vielleicht Freund",
    "fr": "demain merci bonjour maison aujourd'hui toujours",
    "hi": "नमस्ते कल घर धन्यवाद",
}


@pytest.mark.parametrize(("code", "word"), [(code, word) for code, words in COMPLETE.items() for word in words.split()])
def test_22_the_strip_is_not_blank_behind_a_complete_word_nor_behind_its_space(code: str, word: str) -> None:
    keyboard = Keyboard(code).type(f"x {word}")
    assert keyboard.strip
    assert keyboard.tap_word(keyboard.strip[-1]).strip
    assert Keyboard(code).type(f"x {word} ").strip
    own = Keyboard(code).learn(f"x {word}isimo y", f"z {word}isimo y").type(f"x {word}isimo")
    assert f"{word}isimo" in own.strip


def test_passwords_are_left_alone_altogether() -> None:
    keyboard = Keyboard()
    keyboard.state = keyboard.state.focus(FieldKind.PASSWORD).state
    assert keyboard.type("teh dont i monday ").text == "teh dont i monday "
    assert keyboard.strip == []


@pytest.mark.parametrize(
    ("code", "word"),
    [
        *[("en", word) for word in (
            "abt", "grp", "jst", "knw", "nvr", "thnk", "wht", "goin", "doin", "meetin", "considerin", "somethin", "cya",
            "lor", "loh", "lah", "otw", "oso", "gonna", "dunno", "gotcha", "kinda", "pls", "tmr",
        )],
        *[("es", word) for word in ("porfa", "cansao", "bro")],
        *[("de", word) for word in ("haste", "moin")],
        *[("fr", word) for word in ("ouais", "chuis", "pk", "bcp", "mdr")],
    ],
)  # fmt: skip
def test_what_people_write_on_purpose_stays(code: str, word: str) -> None:
    assert Keyboard(code).type(f"x {word} ").text == f"x {word} "
