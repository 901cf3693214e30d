"""Texts are checked when they are read, and asked for exactly."""

import pytest

from menus.text.load import (
    BadText,
    LanguagesDiffer,
    TextError,
    Texts,
    UnknownKey,
    WrongHoles,
    load_texts,
    parse_language,
)


def texts(default="en", **languages):
    return Texts(
        {language: parse_language(language, tables) for language, tables in languages.items()},
        default,
    )


def test_a_text_is_said_in_the_language_asked_for():
    said = texts(en={"send": {"done": "Sent {amount}"}}, km={"send": {"done": "បានផ្ញើ {amount}"}})
    assert said.say("en", "send.done", amount="5,000 KHR") == "Sent 5,000 KHR"
    assert said.say("km", "send.done", amount="5,000 KHR") == "បានផ្ញើ 5,000 KHR"


@pytest.mark.parametrize("language", [None, "", "fr"])
def test_an_unknown_language_falls_back_to_the_default(language):
    said = texts("km", en={"hello": "Hello"}, km={"hello": "សួស្តី"})
    assert said.say(language, "hello") == "សួស្តី"
    assert said.languages == ("km", "en")


def test_an_unknown_key_is_an_error():
    with pytest.raises(UnknownKey) as caught:
        texts(en={"hello": "Hello"}).say("en", "goodbye")
    assert caught.value.key == "goodbye"


@pytest.mark.parametrize("holes", [{}, {"b": "x"}, {"a": "x", "b": "y"}])
def test_missing_and_unknown_holes_are_errors(holes):
    with pytest.raises(WrongHoles) as caught:
        texts(en={"hello": "Hello {a}"}).say("en", "hello", **holes)
    assert caught.value.wanted == {"a"}
    assert caught.value.given == frozenset(holes)


def test_a_value_is_never_read_as_a_text():
    said = texts(en={"hello": "Hello {name}"})
    assert said.say("en", "hello", name="{key} {0.__class__}") == "Hello {key} {0.__class__}"


def test_doubled_braces_are_braces():
    said = texts(en={"plain": "{{x}}", "holed": "{{x}} {a}"})
    assert said.say("en", "plain") == "{x}"
    assert said.say("en", "holed", a="1") == "{x} 1"


def test_a_language_that_lacks_a_key_or_hole_is_refused_with_every_difference():
    with pytest.raises(LanguagesDiffer) as caught:
        texts(
            en={"one": "1", "two": "{a}", "three": "3"},
            km={"one": "១", "two": "{b}", "four": "៤"},
        )
    assert caught.value.differences == (
        "km lacks three",
        "km has four, which en lacks",
        "km has the holes ['b'] in two, en has ['a']",
    )


def test_the_default_language_must_be_there():
    with pytest.raises(TextError, match="default language 'en'"):
        texts(km={"hello": "សួស្តី"})


@pytest.mark.parametrize(
    "value", ["", " ", 5, ["a"], "{", "{}", "{0}", "{a.b}", "{a[0]}", "{a!r}", "{a:>5}"]
)
def test_what_is_no_plain_text_is_refused(value):
    with pytest.raises(BadText) as caught:
        parse_language("en", {"table": {"key": value}})
    assert (caught.value.language, caught.value.key) == ("en", "table.key")


def test_files_are_read_by_their_language(tmp_path):
    (tmp_path / "en.toml").write_text('[a.b]\nc = "Hi {d}"\n', encoding="utf-8")
    (tmp_path / "km.toml").write_text('[a.b]\nc = "សួស្តី {d}"\n', encoding="utf-8")
    said = load_texts(tmp_path)
    assert said.languages == ("en", "km")
    assert said.keys() == {"a.b.c"}
    assert said.holes("a.b.c") == {"d"}
    assert said.say("km", "a.b.c", d="Dara") == "សួស្តី Dara"


def test_the_packaged_texts_load():
    assert "en" in load_texts().languages
