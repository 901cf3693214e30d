"""Whatever is posted: a proper page or a 4xx, never a 5xx, and nobody's balance has changed."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from secrets import token_hex
from urllib.parse import quote, urlencode

import pytest
from callers import Phone, Town
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from stack import SERVICE_CODE

VICTIM = "+85512346999"  # a number of nobody
GOOD = {
    "sessionId": "hostile-1",
    "phoneNumber": VICTIM,
    "networkCode": "45601",
    "serviceCode": SERVICE_CODE,
    "text": "",
}
GOOD_SMS = {"from": VICTIM, "to": "855", "text": "BAL", "date": "", "id": "hostile-sms"}
STRANGE = {
    "Khmer digits": "១*០១២៣៤៥៦០២*៥០០០",
    "Khmer words": "ផ្ញើប្រាក់ " * 30,
    "bidi override": "1*\u202e20654321\u202c*\u2066500\u2069",
    "zero width": "1\u200b*0123\u200d45602*5\ufeff000",
    "full width": "\uff11*\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff10\uff12"
    "*\uff15\uff10\uff10\uff10",
    "NUL": "1\x00*2\x00",
    "control characters": "".join(map(chr, range(1, 32))),
    "emoji": "💸" * 200 + "*👩‍👩‍👧‍👦",
    "combining": "1" + "\u0301" * 900,
    "lone surrogate, escaped": "%ED%A0%80",
    "private use and unassigned": "\ue000\U000e0001\ufffe",
    "stars": "*" * 500,
    "back and home": "*".join(["0", "00", "9"] * 100),
    "many choices": "*".join(["1"] * 400),
    "negative": "1*012345602*-5000",
    "negative, Khmer": "1*012345602*-៥០០០",
    "huge": f"1*012345602*{'9' * 300}",
    "exponent": "1*012345602*1e3",
    "hexadecimal": "1*012345602*0x10",
    "infinity": "1*012345602*inf",
    "not a number": "1*012345602*NaN",
    "plus": "1*012345602*+5000",
    "underscore": "1*012345602*5_000",
    "fraction": "1*012345602*½",
    "superscript": "1*012345602*5²",
    "two readings": "1*012345602*5.000",
    "SQL": "1*' OR 1=1; DROP TABLE wallet; --*1",
    "template": "{{7*7}}*{amount}*%s%n*${x}",
    "log forging": '1*\r\n{"level": "error"}*\x1b[2J',
    "path": "../../../../etc/passwd",
    "longest": "1" * 1024,
}
BODY_BYTES_MAX = 4096
TOO_MUCH = {"too long": "1" * 1025, "ten thousand digits": "5" * 10_000, "Khmer": "១" * 1300}


@pytest.fixture
async def unchanged(town: Town) -> AsyncIterator[Town]:
    """Whatever the test does, nobody has more or less afterwards, and nothing fell over."""
    before = await _money(town)
    pid = town.stack.gateways[0].pid
    yield town
    assert await _money(town) == before
    assert not town.faults()
    assert town.stack.gateways[0].running
    assert town.stack.gateways[0].pid == pid
    assert (await town.turn(VICTIM, token_hex(8), "")).page.startswith("CON ")


async def _money(town: Town) -> object:
    holdings = town.stack.rows("SELECT * FROM holding ORDER BY account_id, currency")
    counters = town.stack.rows("SELECT * FROM counter ORDER BY account_id, bucket, period")
    blocks = town.stack.rows("SELECT height FROM cursor")
    transfers = town.stack.rows("SELECT COUNT(*) AS n FROM transfer")
    return holdings, counters, blocks, transfers


class Poster:
    """Posts anything at all to the callbacks, and judges every answer the same way."""

    def __init__(self, town: Town) -> None:
        self._town = town

    async def form(self, name: str, fields: dict[str, str] | list[tuple[str, str]]) -> int:
        body = urlencode(fields, errors="surrogatepass").encode()
        return await self.raw(name, body, "application/x-www-form-urlencoded")

    async def raw(
        self, name: str, body: bytes, content_type: str | None, *, method: str = "POST"
    ) -> int:
        headers = {"Content-Type": content_type} if content_type else {}
        url = f"{self._town.stack.callbacks()}/{name}"
        async with self._town.http.request(method, url, data=body, headers=headers) as response:
            text = await response.text()
        proper = response.status == 200 and (name != "ussd" or text.startswith(("CON ", "END ")))
        assert proper or 400 <= response.status < 500, (response.status, text, body[:200])
        assert "Traceback" not in text
        if name == "ussd" and response.status == 200:
            assert len(text) <= 4 + 182, text
        return response.status


# --- a table


@pytest.mark.parametrize("kind", ["ussd", "sms"])
async def test_strange_characters_get_a_page(unchanged: Town, kind: str):
    post = Poster(unchanged)
    forms = []
    for number, text in enumerate(STRANGE.values()):
        if kind == "ussd":
            forms.append({**GOOD, "sessionId": f"strange-{number}", "text": text})
        else:
            forms.append({**GOOD_SMS, "id": f"strange-{number}", "text": text})
    statuses = await asyncio.gather(*(post.form(kind, form) for form in forms))
    refused = 413 if kind == "ussd" else 200  # an SMS that is too long is taken and dropped
    expected = [refused if len(urlencode(form)) > BODY_BYTES_MAX else 200 for form in forms]
    assert statuses == expected


async def test_strange_characters_inside_a_conversation_get_a_page(unchanged: Town):
    """At every question, also at the one for the PIN, and each answer of its own turn."""
    post = Poster(unchanged)
    payee = unchanged.stack.person()
    asked: list[list[str]] = [[], ["1"], ["1", payee.national], ["1", payee.national, "100"]]

    async def talk(payer: Phone, before: list[str]) -> None:
        for at, text in enumerate(STRANGE.values()):
            if len(before) == 3 and sum(map(str.isdecimal, text)) >= 6:
                continue  # may be read as a PIN, and three wrong ones are a lock
            session = f"inside-{payer.number}-{at}"
            form = {**GOOD, "sessionId": session, "phoneNumber": payer.number, "text": ""}
            assert await post.form("ussd", form) == 200
            for typed in before:
                form["text"] = f"{form['text']}*{typed}" if form["text"] else typed
                assert await post.form("ussd", form) == 200
            form["text"] = f"{form['text']}*{text}" if form["text"] else text
            assert await post.form("ussd", form) in (200, 400, 413)

    payers = unchanged.phones(len(asked))
    await asyncio.gather(
        *(talk(payer, before) for payer, before in zip(payers, asked, strict=True))
    )


NO_NUMBERS = ("", " ", "\x00", "é", "0", "+0123", "-85512345601", "1e9", "[]", "+" * 9, "METFONE")


async def test_missing_doubled_and_too_long_fields_are_refused(unchanged: Town):
    bad: list[dict[str, str] | list[tuple[str, str]]] = [{}, [("x", "y")] * 40]
    for name in ("sessionId", "phoneNumber"):
        bad.append({key: value for key, value in GOOD.items() if key != name})
        bad += [{**GOOD, name: value} for value in ("", " ", "\x00", "é", "x" * 5000)]
        bad.append([*GOOD.items(), (name, GOOD[name])])
    bad += [{**GOOD, "text": text} for text in TOO_MUCH.values()]
    bad += [{**GOOD, "phoneNumber": value} for value in (*NO_NUMBERS, "+855 12 345 601; DROP")]
    post = Poster(unchanged)
    statuses = await asyncio.gather(*(post.form("ussd", form) for form in bad))
    assert all(status >= 400 for status in statuses), list(zip(statuses, bad, strict=True))


async def test_an_sms_that_cannot_be_heard_is_taken_once_and_for_all(unchanged: Town):
    """The carrier would bring it again every minute for half a day."""
    useless = [{**GOOD_SMS, "from": value} for value in (*NO_NUMBERS, "x" * 5000)]
    useless.append({key: value for key, value in GOOD_SMS.items() if key != "from"})
    useless += [{**GOOD_SMS, "text": text} for text in ("5" * 1531, "5" * 10_000, "១" * 1300)]
    post = Poster(unchanged)
    statuses = await asyncio.gather(*(post.form("sms", form) for form in useless))
    assert set(statuses) == {200}
    heard = unchanged.stack.rows("SELECT message_id FROM heard")
    assert GOOD_SMS["id"] not in {row["message_id"] for row in heard}


async def test_an_sms_that_no_carrier_posts_like_that_is_refused(unchanged: Town):
    bad: list[dict[str, str] | list[tuple[str, str]]] = [{}, [("x", "y")] * 40]
    bad.append({key: value for key, value in GOOD_SMS.items() if key != "id"})
    bad += [{**GOOD_SMS, "id": value} for value in ("", " ", "\x00", "é", "x" * 200)]
    bad += [[*GOOD_SMS.items(), (name, GOOD_SMS[name])] for name in ("id", "from")]
    post = Poster(unchanged)
    statuses = await asyncio.gather(*(post.form("sms", form) for form in bad))
    assert all(status >= 400 for status in statuses), list(zip(statuses, bad, strict=True))


@pytest.mark.parametrize("name", ["ussd", "sms", "delivery", "events"])
async def test_other_methods_and_other_kinds_of_body_are_refused(unchanged: Town, name: str):
    post = Poster(unchanged)
    body = urlencode({**GOOD, **GOOD_SMS}).encode()
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert await post.raw(name, b"", None, method=method) == 405
    multipart = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n1\r\n--x--\r\n'
    for content, kind in (
        (json.dumps(GOOD).encode(), "application/json"),
        (multipart, "multipart/form-data; boundary=x"),
        (body, "text/plain"),
        (body, None),
        (body + b"&" + body, "application/x-www-form-urlencoded"),
        (b"a=1&" * 1000, "application/x-www-form-urlencoded"),
    ):
        assert await post.raw(name, content, kind) >= 400, (kind, content[:40])
    too_big = await post.raw(name, b"x" * 100_000, "application/x-www-form-urlencoded")
    assert too_big == (200 if name == "sms" else 413)


async def test_a_wrong_secret_is_not_found_and_a_chunked_body_is_refused(unchanged: Town):
    town = unchanged
    base = town.stack.gateway_url()
    for secret in ("local", "", "..", "x" * 3000, "%00", "é"):
        url = f"{base}/africastalking/{quote(secret)}/ussd"
        async with town.http.post(url, data=GOOD) as response:
            assert response.status in (400, 404), secret

    async def chunks() -> AsyncIterator[bytes]:
        yield urlencode(GOOD).encode()

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    url = f"{town.stack.callbacks()}/ussd"
    async with town.http.post(url, data=chunks(), headers=headers) as response:
        assert response.status == 411


async def test_broken_http_does_not_disturb_others(unchanged: Town):
    port = unchanged.stack.gateway_ports[0]
    for raw in (
        b"\x16\x03\x01\x02\x00",
        b"POST / HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10.0)
        assert b"HTTP/1.1 5" not in answer[:12] or answer == b"", answer[:200]
        writer.close()


# --- by chance

_pieces = st.one_of(
    st.sampled_from(["0", "00", "1", "2", "3", "4", "5", "9", "012345602", "5000", "100", "*", ""]),
    st.sampled_from([text for text in STRANGE.values() if len(text) < 60]),
    st.text(max_size=30),
    st.from_regex(r"[-+]?[0-9១២៣,.]{1,12}(e[0-9]{1,3})?", fullmatch=True),
)
_texts = st.lists(_pieces, max_size=6).map("*".join)
_sms_words = ["SEND", "send", "YES", "BAL", "HELP", "ផ្ញើ", "5000", "012345602", "-1", "1e9", "9999"]
_sms = st.one_of(
    st.lists(st.one_of(st.sampled_from(_sms_words), st.text(max_size=20)), max_size=6).map(
        " ".join
    ),
    _texts,
)


def _batches() -> Iterator[list[tuple[str, str, int]]]:
    """The same few hundred texts in every run: (kind, text, whose phone)."""
    found: list[tuple[str, str, int]] = []

    @settings(
        max_examples=320,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(kind=st.sampled_from(["ussd", "ussd", "sms"]), texts=st.data(), phone=st.integers(0, 5))
    def collect(kind: str, texts: st.DataObject, phone: int) -> None:
        found.append((kind, texts.draw(_texts if kind == "ussd" else _sms), phone))

    collect()
    for at in range(0, len(found), 40):
        yield found[at : at + 40]


async def test_hundreds_of_random_texts_in_parallel_get_a_page_and_move_nothing(unchanged: Town):
    """From people with money, in few sessions, so that turns of one session meet and diverge."""
    post = Poster(unchanged)
    phones = unchanged.phones(6)
    chance = random.Random(7)
    number = 0
    for batch in _batches():
        posts = []
        for kind, text, whose in batch:
            number += 1
            phone = phones[whose].number
            if kind == "ussd":
                session = f"random-{whose}-{chance.randrange(3)}"
                form = {**GOOD, "sessionId": session, "phoneNumber": phone, "text": text}
            else:
                form = {**GOOD_SMS, "from": phone, "id": f"random-{number}", "text": text}
            posts.append(post.form(kind, form))
        await asyncio.gather(*posts)


async def test_a_slow_sender_is_cut_off_and_others_do_not_wait(unchanged: Town):
    town = unchanged
    port = town.stack.gateway_ports[0]
    slow = []
    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /africastalking/{town.stack.callbacks().split('/')[-1]}/ussd HTTP/1.1\r\n"
        writer.write(
            f"{head}Host: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            "Content-Length: 400\r\n\r\nsessionId=".encode()
        )
        slow.append((reader, writer))
    answers = [await town.turn(VICTIM, f"quick-{at}", "") for at in range(20)]
    assert max(answer.seconds for answer in answers) < 1.5
    for reader, writer in slow:
        line = await asyncio.wait_for(reader.readline(), 10.0)
        assert line.startswith(b"HTTP/1.1 408"), line
        writer.close()


async def test_a_number_nobody_has_is_only_offered_a_wallet(unchanged: Town):
    answer = await unchanged.turn(VICTIM, "nobody", f"1*{unchanged.stack.person().national}*500")
    assert answer.page
    assert "PIN to confirm" not in answer.page
