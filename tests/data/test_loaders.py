import gzip
import json
import sqlite3
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_federated as tff

import data
from data import chitchat
from data.corpus import CorpusError

NUS = """<?xml version="1.0" encoding="utf-8"?>
<smsCorpus date="2015.03.09" version="1.0">
  <message id="1"><text>second &lt;3</text>
    <source><srcNumber>51</srcNumber><phoneModel manufactuer="unknown" smartphone="unknown"/>
      <userProfile><userID>51</userID><age>unknown</age><country>SG</country></userProfile></source>
    <destination country="unknown"><destNumber>unknown</destNumber></destination>
    <messageProfile language="en" time="2011.02.12 23:19" type="unknown"/>
    <collectionMethod collector="x" method="unknown" time="2011/2"/></message>
  <message id="2"><text>first</text><source><srcNumber>51</srcNumber></source>
    <messageProfile language="en" time="2011.02.12 23:18" type="unknown"/></message>
  <message id="3"><text>nobody's</text><source><srcNumber>unknown</srcNumber></source></message>
</smsCorpus>
"""


def write(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    return str(path)


def test_jsonl_plain_and_gzipped(tmp_path: Path) -> None:
    lines = "\n".join(
        json.dumps(record)
        for record in (
            {"user": "a", "text": "later", "time": "2020-01-02T00:00:00"},
            {"user": "b", "text": "é 😀"},
            {"user": "a", "text": "sooner", "time": 5},
        )
    )
    expected = {"a": ("sooner", "later"), "b": ("é 😀",)}
    assert data.load(write(tmp_path / "c.jsonl", lines + "\n\n")).users == expected
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert data.load(str(tmp_path / "c.jsonl.gz")).users == expected


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON"),
        ("[]", "needs an object a line"),
        ('{"user": "a"}', 'needs an object with the strings "user" and "text"'),
        ('{"user": 1, "text": "x"}', 'needs an object with the strings "user" and "text"'),
        ('{"user": "a", "text": "x", "time": "soon"}', "ISO 8601"),
        ('{"user": "a", "text": "x", "time": true}', "ISO 8601"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = write(tmp_path / "bad.jsonl", '{"user": "a", "text": "fine"}\n' + line + "\n")
    with pytest.raises(CorpusError, match=problem) as caught:
        data.load(path)
    assert caught.value.line == 2
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert "\n" not in str(caught.value)


def test_a_truncated_gzip_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"user": "a", "text": "x"}\n' * 100)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-20])
    with pytest.raises(CorpusError, match="cannot be read further"):
        data.load(str(tmp_path / "cut.jsonl.gz"))


def test_nus_xml(tmp_path: Path) -> None:
    assert data.load(write(tmp_path / "sms.xml", NUS)).users == {"51": ("first", "second <3")}


def test_malformed_nus_xml_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="not XML") as caught:
        data.load(write(tmp_path / "cut.xml", NUS[:700]))
    assert caught.value.line
    with pytest.raises(CorpusError, match="message 9 has no <text>"):
        data.load(write(tmp_path / "no.xml", '<smsCorpus><message id="9"></message></smsCorpus>'))


def test_xml_entities_are_refused_before_they_grow(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE s [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><smsCorpus>&b;</smsCorpus>'
    with pytest.raises(CorpusError, match="entity 'a'"):
        data.load(write(tmp_path / "bomb.xml", bomb))


def sqlite_corpus(path: Path, rows: list[tuple[str, dict[str, str | int]]]) -> str:
    """Write a corpus as TFF's `SqlClientData` stores it."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE examples (split_name TEXT, client_id TEXT, serialized_example_proto BLOB)")
        connection.execute("CREATE TABLE client_metadata (client_id TEXT, split_name TEXT, num_examples INTEGER)")
        for client in sorted({client for client, _ in rows}):
            connection.execute("INSERT INTO client_metadata VALUES (?, 'train', ?)", (client, 1))
        for client, features in rows:
            example = tf.train.Example()
            for name, value in features.items():
                if isinstance(value, int):
                    example.features.feature[name].int64_list.value.append(value)
                else:
                    example.features.feature[name].bytes_list.value.append(value.encode())
            connection.execute("INSERT INTO examples VALUES ('train', ?, ?)", (client, example.SerializeToString()))
    connection.close()
    return str(path)


def stack_overflow(text: str, date: str) -> dict[str, str | int]:
    return {"creation_date": date, "tags": "a|b", "title": "t", "tokens": text, "type": "question", "score": -3}


def test_tff_stack_overflow_sqlite(tmp_path: Path) -> None:
    rows = [
        ("9", stack_overflow("how do i " + "x " * 200, "2010-01-02 03:04:05.678 UTC")),
        ("9", stack_overflow("asked before", "2009-01-02 03:04:05 UTC")),
        ("10", stack_overflow("another user", "2010-01-02 03:04:05 UTC")),
    ]
    path = sqlite_corpus(tmp_path / "stackoverflow.sqlite", rows)
    assert data.load(path).users == {"10": ("another user",), "9": ("asked before", rows[0][1]["tokens"])}
    # TFF's own reader agrees that this is its form.
    theirs = tff.simulation.datasets.load_and_parse_sql_client_data(path, {"tokens": tf.TensorSpec((), tf.string)})
    read = [e["tokens"].numpy().decode() for e in theirs.create_tf_dataset_for_client("9")]
    assert sorted(read) == sorted(data.load(path).users["9"])


def test_tff_shakespeare_sqlite(tmp_path: Path) -> None:
    path = sqlite_corpus(tmp_path / "shakespeare.sqlite", [("PLAY_KING", {"snippets": "a horse"})])
    assert data.load(path).users == {"PLAY_KING": ("a horse",)}


def test_a_row_without_text_and_a_file_that_is_no_database_are_refused(tmp_path: Path) -> None:
    path = sqlite_corpus(tmp_path / "odd.sqlite", [("a", {"pixels": "x"})])
    with pytest.raises(CorpusError, match="row 1 of examples"):
        data.load(path)
    with pytest.raises(CorpusError, match="not a TFF corpus"):
        data.load(write(tmp_path / "text.sqlite", "hello " * 100))


def test_leaf_json_in_its_three_forms(tmp_path: Path) -> None:
    def leaf(x: list[object]) -> str:
        return json.dumps({"users": ["u"], "num_samples": [len(x)], "user_data": {"u": {"x": x, "y": []}}})

    for x, texts in (
        (["to be"], ("to be",)),
        (
            [["1467", "Mon Apr 06 22:19:45 PDT 2009 and a longer date", "NO_QUERY", "u", "so happy", "training"]],
            ("so happy",),
        ),
        ([[["<BOS>", "hi", "there"], ["you", "<EOS>", "<PAD>"]]], ("hi there you",)),
    ):
        assert data.load(write(tmp_path / "leaf.json", leaf(list(x)))).users == {"u": texts}
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "one.json", leaf(["a"]))
    assert data.load(str(folder)).users == {"u": ("a",)}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "not JSON"),
        ("[]", "not LEAF"),
        ('{"user_data": {"u": {}}}', "user 'u' needs a list"),
        ('{"user_data": {"u": {"x": ["ok", 3]}}}', "sample 1 of user 'u'"),
    ],
)
def test_malformed_leaf_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(CorpusError, match=problem):
        data.load(write(tmp_path / "bad.json", content))


def test_what_does_not_exist_or_has_no_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such file"):
        data.load("nowhere.jsonl")
    with pytest.raises(CorpusError, match="unknown format"):
        data.load(write(tmp_path / "c.csv", "a,b"))


def conversation(messages: list[tuple[str, str, str]]) -> dict[str, object]:
    return {"messages": [[{"sender": s, "timestamp": t, "text": x} for s, t, x in messages]]}


def test_chitchat_cleaning(tmp_path: Path) -> None:
    burst = [("bot", f"2018-05-02T19:38:{i:02}Z", f"pasted line {i}") for i in range(20)]
    typed = [
        ("ann", "2018-05-02T19:40:00Z", "later"),
        ("ann", "2018-05-02T19:38:00Z", "Hello"),
        ("ann", "2018-05-02T19:38:05Z", "hello "),
        ("ann", "2018-05-02T19:38:06Z", "aaaaaaaaaaaaaaa"),
        ("ann", "2018-05-02T19:38:07Z", "asdfkjhasdfkjhasdfkjhasdfkjh"),
        ("ann", "2018-05-02T19:38:08Z", "see https://example.org/a/very/long/path/to/something"),
        ("ann", "2018-05-02T19:38:09Z", "  "),
        ("bot", "2018-05-02T19:50:00Z", "typed"),
    ]
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"one": conversation(burst), "two": conversation(typed)}))
    assert chitchat.load(path).users == {
        "ann": ("Hello", "see https://example.org/a/very/long/path/to/something", "later"),
        "bot": ("typed",),
    }


def test_a_damaged_chitchat_is_refused(tmp_path: Path) -> None:
    for content in ('{"a": {}}', '{"a": 3}', '{"a": {"messages": [[{"sender": "x"}]]}}'):
        path = tmp_path / "dataset.json"
        path.write_text(content)
        with pytest.raises(CorpusError, match="reinstall"):
            chitchat.load(path)


def test_the_installed_chitchat_is_the_published_one() -> None:
    corpus = data.load("chitchat")
    parts = data.split(corpus)
    assert (len(corpus.users), corpus.messages) == (1315, 250_482)
    assert (len(parts.seed), len(parts.train), len(parts.held_out)) == (95, 554, 164)


def windows(text: str, length: int) -> dict[str, list[str]]:
    starts = range(len(text) - length)
    return {"x": [text[i : i + length] for i in starts], "y": [text[i + length] for i in starts]}


def test_leaf_windows_of_shakespeare_become_the_sentences_they_were_cut_from(tmp_path: Path) -> None:
    first, second = "To be, or not to be. That is the question! Is it?", "Words, words. More words follow here."
    data_of = {name: windows(first, 20)[name] + windows(second, 20)[name] for name in ("x", "y")}
    path = write(tmp_path / "all_data.json", json.dumps({"users": ["HAMLET"], "user_data": {"HAMLET": data_of}}))
    assert data.load(path).users == {
        "HAMLET": (
            "To be, or not to be.",
            "That is the question!",
            "Is it?",
            "Words, words.",
            "More words follow here.",
        )
    }


def test_the_folder_that_leaf_writes_is_read_with_its_train_and_test_parts(tmp_path: Path) -> None:
    folder = tmp_path / "sent140" / "data"
    for part, text in (("train", "first"), ("test", "second")):
        (folder / part).mkdir(parents=True)
        document = {"users": ["u"], "num_samples": [1], "user_data": {"u": {"x": [text], "y": [1]}}}
        write(folder / part / f"all_data_niid_0_keep_0_{part}_9.json", json.dumps(document))
    (folder / "all_data").mkdir()
    write(folder / "all_data" / "all_data.json", "{}")  # the same once more
    corpus = data.load(str(folder))
    assert (corpus.name, corpus.users) == ("sent140", {"u": ("first", "second")})
    assert data.load(str(folder / "train")).users == {"u": ("first",)}


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    line = json.dumps({"user": "a", "text": "hello"})
    leaf = json.dumps({"user_data": {"a": {"x": ["hello"]}}})
    for name, content in (("c.jsonl", line), ("c.json", leaf)):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content.encode())
        assert data.load(str(tmp_path / name)).users == {"a": ("hello",)}


@pytest.mark.parametrize("name", ["c.jsonl", "c.json", "c.xml", "c.sqlite", "c.toml"])
def test_bytes_that_are_not_text_are_refused_with_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(range(256)) * 10)
    with pytest.raises(CorpusError) as caught:
        data.select(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["c.jsonl", "c.json"])
def test_json_without_end_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CorpusError, match="nested too deeply"):
        data.load(write(tmp_path / name, "[" * 200_000))


def test_a_sample_of_users_is_whole_and_the_same_from_every_format(tmp_path: Path) -> None:
    messages = [(f"u{number % 50}", f"message {number}") for number in range(500)]
    lines = "".join(json.dumps({"user": user, "text": text}) + "\n" for user, text in messages)
    whole = data.load(write(tmp_path / "c.jsonl", lines))
    sample = data.load(str(tmp_path / "c.jsonl"), max_users=7)
    assert len(sample.users) == 7
    assert all(texts == whole.users[user] for user, texts in sample.users.items())
    assert (sample.users_there, whole.users_there) == (50, 50)
    rows = [(user, {"tokens": text}) for user, text in messages]
    assert data.load(sqlite_corpus(tmp_path / "c.sqlite", rows), max_users=7).users == sample.users
    backwards = "".join(reversed(lines.splitlines(keepends=True)))
    assert set(data.load(write(tmp_path / "d.jsonl", backwards), max_users=7).users) == set(sample.users)
