import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.perform import Answer, Difference, perform
from sim.templates import fill, literal, match
from sim.transcript import (
    Dial,
    End,
    ExpectSms,
    Expire,
    Note,
    Page,
    Phone,
    SendSms,
    Transcript,
    TranscriptError,
    Type,
    parse,
    write,
)

SEND = """\
# Send money, well
# money moves within three seconds
phone +85512345601 en
dial *855#
  | 1 Send money
  | ...
1
  | Send to which number?
  | 0 Back
012345602
730264
  | Sent {amount}. Ref {ref}
  (end)
sms to +85512345602 | You received {amount}.
  | Ref {ref}. {time}
sms YES {ref} 730264
> end
end
expire
"""


def test_a_file_is_read_into_steps():
    assert parse(SEND) == Transcript(
        "Send money, well",
        (
            Note("money moves within three seconds"),
            Phone("+85512345601", "en"),
            Dial("*855#", Page(("1 Send money", "..."))),
            Type("1", Page(("Send to which number?", "0 Back"))),
            Type("012345602"),
            Type("730264", Page(("Sent {amount}. Ref {ref}",), ended=True)),
            ExpectSms("+85512345602", ("You received {amount}.", "Ref {ref}. {time}")),
            SendSms("YES {ref} 730264"),
            Type("end"),
            End(),
            Expire(),
        ),
    )


def test_steps_know_their_lines():
    assert [step.line for step in parse(SEND).steps][:4] == [2, 3, 4, 7]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "begins with its title"),
        ("dial *855#", 1, "begins with its title"),
        ("# t\n\ndial *855#", 3, "which phone acts first"),
        ("# t\n  | page", 2, "needs `dial`"),
        ("# t\nphone 012345601", 2, "written +85512345601"),
        ("# t\nphone +85512345601 English", 2, "`en` or `km`"),
        ("# t\nphone +85512345601\ndial hello", 3, "digits, * and #"),
        ("# t\nphone +85512345601\n1\n  page", 4, "`  | text`"),
        ("# t\nphone +85512345601\n1\n  (end)\n  | more", 5, "closes a page"),
        ("# t\nphone +85512345601\nsms to 855 | hi", 3, "sms to +85512345602 | text"),
        ("# t\nphone +85512345601\nsms to the moon", 3, "`sms > to …`"),
    ],
)
def test_a_mistake_is_named_with_its_line(text, line, words):
    with pytest.raises(TranscriptError) as error:
        parse(text, "f.txt")
    assert error.value.line == line
    assert words in str(error.value)
    assert str(error.value).startswith(f"f.txt:{line}: ")


anything = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
one_line = anything.map(literal)
numbers = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)
pages = st.none() | st.builds(Page, st.lists(one_line, min_size=1).map(tuple), st.booleans())
codes = st.from_regex(r"[*#0-9]{1,20}", fullmatch=True)
steps = st.one_of(
    st.builds(Note, one_line),
    st.builds(Phone, numbers, st.none() | st.just("km")),
    st.builds(Dial, codes, pages),
    st.builds(Type, one_line, pages),
    st.builds(SendSms, one_line),
    st.builds(ExpectSms, numbers, st.lists(one_line, min_size=1).map(tuple)),
    st.just(End()),
    st.just(Expire()),
)
transcripts = st.builds(
    lambda title, rest: Transcript(title, (Phone("+85512345601"), *rest)), one_line, st.lists(steps)
)


@given(transcripts)
def test_what_is_written_reads_back_as_it_was(transcript):
    assert parse(write(transcript)) == transcript


@given(anything)
def test_a_literal_matches_its_text_and_says_it(text):
    assert fill(literal(text), {}) == text
    lines = [literal(line) for line in text.split("\n")]
    assert match(lines, text, {}) == {}


@given(anything, anything)
def test_a_literal_matches_nothing_else(text, other):
    def seen(shown):
        return [line.rstrip(" ") for line in shown.split("\n")]

    lines = [literal(line) for line in text.split("\n")]
    assert (match(lines, other, {}) is not None) == (seen(text) == seen(other))


@pytest.mark.parametrize(
    ("lines", "text", "holes"),
    [
        (["Ref {ref}."], "Ref A1.", {"ref": "A1"}),
        (["{a} to {b}"], "5,000 KHR to S*** D***", {"a": "5,000 KHR", "b": "S*** D***"}),
        (["{a} {a}"], "x x", {"a": "x"}),
        (["{a} {a}"], "x y", None),
        (["{_} {_}"], "x y", {}),
        (["..."], "any\nthing", {}),
        (["..."], "", {}),
        (["a", "..."], "a", {}),
        (["a", "..."], "a\nb\nc", {}),
        (["a", "..."], "ab", None),
        (["...", "c"], "a\nb\nc", {}),
        (["...", "c"], "c", {}),
        (["a", "...", "c"], "a\nc", {}),
        (["a", "...", "c"], "a\nb\nb\nc", {}),
        (["\\..."], "...", {}),
        (["\\..."], "a", None),
        (["a"], "a\nb", None),
        (["a "], "a", {}),
    ],
)
def test_holes_and_any_lines(lines, text, holes):
    assert match(lines, text, {}) == holes


def play(text, answers, holes=None):
    """The texts of all cues; answers are given in order."""
    cues = []
    playing = perform(parse(text), holes)
    try:
        cue = next(playing)
        while True:
            cues.append(cue.text)
            cue = playing.send(answers.pop(0) if answers else None)
    except StopIteration as done:
        return cues, done.value


def test_a_hole_seen_once_is_typed_and_expected_again():
    text = (
        "# t\nphone +85512345601\nsms SEND 5\nsms to +85512345601 | YES {code} PIN, ref {ref}\n"
        "sms YES {code} {pin}\nsms to +85512345601 | Ref {ref}"
    )
    inbox = ("YES 42 PIN, ref R1",)
    answers = [None, Answer(inbox=inbox), None, Answer(inbox=(*inbox, "Ref R1"))]
    cues, holes = play(text, answers, {"pin": "730264"})
    assert cues == ["SEND 5", "", "YES 42 730264", ""]
    assert holes == {"pin": "730264", "code": "42", "ref": "R1"}


def test_a_different_page_is_told_with_its_line():
    text = "# t\nphone +85512345601\ndial *855#\n  | 1 Send"
    with pytest.raises(Difference) as error:
        play(text, [Answer("1 Balance")])
    assert error.value.line == 3
    assert "| 1 Send\n" in str(error.value)
    assert "| 1 Balance" in str(error.value)


def test_a_session_that_should_have_ended_is_told():
    with pytest.raises(Difference, match="it goes on"):
        play("# t\nphone +85512345601\n1\n  | Bye\n  (end)", [Answer("Bye")])


def test_an_sms_serves_one_expectation_only():
    text = "# t\nphone +85512345601\nsms to +85512345602 | a\nsms to +85512345602 | a"
    with pytest.raises(Difference, match="no SMS like that"):
        play(text, [Answer(inbox=("a",)), Answer(inbox=("a",))])


def test_a_hole_never_seen_cannot_be_typed():
    with pytest.raises(Difference, match=r"a value for \{code\}"):
        play("# t\nphone +85512345601\nsms YES {code} 1", [])
