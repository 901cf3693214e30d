"""Room on the phone, measured against two independent implementations."""

import re
from itertools import accumulate

import gsm0338
import pytest
import smsutil
from hypothesis import given
from hypothesis import strategies as st

from menus import encoding
from menus.encoding import Encoding, PageSize, TooLong

KHMER = "".join(chr(code) for code in range(0x1780, 0x17DE))
GSM7 = encoding.GSM7_BASIC + encoding.GSM7_EXTENSION
PAGE = PageSize()

gsm7_texts = st.text(st.sampled_from(GSM7), max_size=500)
khmer_texts = st.text(st.sampled_from(KHMER + " 019\n"), max_size=300)
any_texts = st.one_of(
    gsm7_texts,
    khmer_texts,
    st.text(st.sampled_from("aé€[`ç\u2026ក្ខ\U0001f600"), max_size=300),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
)


def table_of(codec):
    """The characters that the reference codec can write, with the septets each costs."""
    table = {}
    for code in range(0x3000):
        try:
            table[chr(code)] = len(codec.encode(chr(code))[0])
        except (UnicodeError, KeyError):
            continue
    return table


def test_the_tables_are_those_of_the_reference():
    reference = table_of(gsm0338.Codec())
    reference.pop("\x1b", None)  # the escape itself is no character
    assert {character: encoding.septets(character) for character in GSM7} == reference


@given(gsm7_texts)
def test_septets_equal_the_bytes_of_the_reference_codec(text):
    assert encoding.septets(text) == len(gsm0338.Codec().encode(text)[0])


@given(any_texts)
def test_units_are_the_code_units_of_utf_16(text):
    assert encoding.ucs2_units(text) == len(text.encode("utf-16-be")) // 2


@given(any_texts)
def test_a_text_is_gsm7_exactly_when_all_its_characters_are(text):
    expected = Encoding.GSM7 if set(text) <= set(GSM7) else Encoding.UCS2
    assert encoding.encoding_of(text) is expected


@pytest.mark.parametrize(
    "character", ["`", "ç", "\u2019", "\u2026", "៛", "\x1b", "ក", "\U0001f600"]
)
def test_these_characters_force_ucs2(character):
    assert encoding.encoding_of("a" + character) is Encoding.UCS2
    with pytest.raises(ValueError, match="not a GSM-7 text"):
        encoding.septets("a" + character)


@pytest.mark.parametrize(
    ("text", "size"), [("", 0), ("abc", 3), ("a€", 3), ("[]", 4), ("ក្", 2), ("\U0001f600", 2)]
)
def test_size_counts_in_the_texts_own_encoding(text, size):
    assert encoding.size(text) == size


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("a" * 160, True),
        ("a" * 161, False),
        ("a" * 158 + "€", True),
        ("a" * 159 + "€", False),
        ("ក" * 80, True),
        ("ក" * 81, False),
        ("a" * 79 + "ក", True),
        ("a" * 80 + "ក", False),
        ("\U0001f600" * 40, True),
        ("\U0001f600" * 41, False),
    ],
)
def test_a_page_holds_160_septets_or_80_units(text, fit):
    assert encoding.fits(text, PAGE) is fit


def test_a_carrier_may_allow_larger_pages():
    assert encoding.fits("a" * 182, PageSize(septets=182))
    assert encoding.fits("ក" * 91, PageSize(units=91))


# --- SMS segments ---------------------------------------------------------------------------


@given(any_texts)
def test_segments_join_to_the_text_and_each_fits_its_sms(text):
    parts = encoding.segments(text)
    assert "".join(parts) == text
    gsm7 = encoding.encoding_of(text) is Encoding.GSM7
    measure = encoding.septets if gsm7 else encoding.ucs2_units
    single, joined = (160, 153) if gsm7 else (70, 67)
    assert all(measure(part) <= (single if len(parts) == 1 else joined) for part in parts)
    assert (len(parts) == 1) == (measure(text) <= single)


@given(st.one_of(gsm7_texts, st.text(st.sampled_from("aក0 ខ\U0001f600"), max_size=300)))
def test_without_clusters_segments_are_those_of_the_reference(text):
    # `smsutil` takes an empty text for UCS-2 and forgets its one segment.
    if text:
        assert encoding.segments(text) == [part.content for part in smsutil.split(text).parts]


@given(khmer_texts)
def test_segments_never_end_inside_a_khmer_cluster(text):
    clusters = encoding.clusters(text)
    if max(map(len, clusters), default=0) <= encoding.UNITS_JOINED:
        assert ends(encoding.segments(text)) - {0} <= ends(clusters)


def ends(parts):
    """Where parts end in the joined text."""
    return set(accumulate(map(len, parts)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ផ្ញើប្រាក់", ["ផ្ញើ", "ប្រា", "ក់"]),
        ("ស្ត្រី", ["ស្ត្រី"]),  # two coeng pairs and a vowel
        ("អន្តរ", ["អ", "ន្ត", "រ"]),
        ("ធម៌៖", ["ធ", "ម៌", "៖"]),
        ("e\u0301a", ["e\u0301", "a"]),
        ("", []),
    ],
)
def test_clusters_are_what_a_reader_sees_as_one_thing(text, expected):
    assert encoding.clusters(text) == expected


def test_an_escaped_pair_moves_whole_to_the_next_sms():
    first, second = encoding.segments("a" * 152 + "€" + "b" * 10)
    assert (first, second) == ("a" * 152, "€" + "b" * 10)


def test_a_surrogate_pair_moves_whole_to_the_next_sms():
    first, second = encoding.segments("ក" * 66 + "\U0001f600" + "ក" * 10)
    assert (first, second) == ("ក" * 66, "\U0001f600" + "ក" * 10)


def test_a_khmer_cluster_moves_whole_to_the_next_sms():
    first, second = encoding.segments("ក" * 65 + "ផ្ញើ" + "ក" * 10)
    assert (first, second) == ("ក" * 65, "ផ្ញើ" + "ក" * 10)


def test_a_cluster_longer_than_an_sms_is_divided_all_the_same():
    text = "ក" + "\u17b6" * 200
    assert "".join(encoding.segments(text)) == text


# --- pages ----------------------------------------------------------------------------------

COMMANDS = {"head": "Choose", "foot": "0 Back", "foot_more": "0 Back\n9 More"}


def lines_of(pages):
    return [line for page in pages for line in page.split("\n")[1:] if not re.match("[09] ", line)]


def test_what_fits_is_one_page():
    assert encoding.paged(["1 Riel", "2 Dollars"], PAGE, **COMMANDS) == [
        "Choose\n1 Riel\n2 Dollars\n0 Back"
    ]


def test_a_page_without_head_or_foot_has_no_empty_lines():
    assert encoding.paged(["1 Riel"], PAGE) == ["1 Riel"]


lists = st.lists(
    st.one_of(
        st.text(st.sampled_from("abc XYZ€"), min_size=1, max_size=60),
        st.text(st.sampled_from("កខគ្ា"), min_size=1, max_size=40),
    ).map(lambda line: f"- {line}"),
    min_size=1,
    max_size=30,
)


@given(lists)
def test_pages_hold_every_line_whole_and_in_order(lines):
    pages = encoding.paged(lines, PAGE, **COMMANDS)
    assert lines_of(pages) == lines
    assert all(encoding.fits(page, PAGE) for page in pages)
    assert all(page.endswith(COMMANDS["foot_more"]) for page in pages[:-1])
    assert pages[-1].endswith("\n0 Back")


@given(lists)
def test_no_page_could_have_held_another_line(lines):
    pages = encoding.paged(lines, PAGE, **COMMANDS)
    seen = 0
    for page in pages[:-1]:
        count = len(lines_of([page]))
        taken = [*lines[seen : seen + count + 1]]
        seen += count
        fuller = "\n".join([COMMANDS["head"], *taken, COMMANDS["foot_more"]])
        assert not encoding.fits(fuller, PAGE) or seen + 1 == len(lines)


def test_a_line_that_fits_no_page_is_an_error_and_never_cut():
    with pytest.raises(TooLong, match="takes 171 GSM-7, a page holds 160"):
        encoding.paged(["1 Riel", "a" * 150], PAGE, **COMMANDS)
