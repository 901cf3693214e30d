"""After everything people can do with a PIN, no store and no log knows one."""

from callers import Town
from evidence import no_secret_in, traces_of
from pins import no_carrier_text_in_logs, talk_with_pins


async def test_no_pin_is_in_database_or_log(town: Town):
    codes = await talk_with_pins(town)
    no_secret_in(town.stack)
    no_carrier_text_in_logs(town, codes)


async def test_the_search_would_find_what_it_looks_for(town: Town):
    """The same search, for something that is kept on purpose."""
    (phone,) = town.phones(1)
    await phone.dial()
    kept = phone.person.account_id.encode()
    database = b"".join(path.read_bytes() for path in town.stack.folder.glob("gateway.db*"))
    assert kept in database
    leaks = ("1*2*730264", "YES 4711 730264", '"pin": "730264"', b"730264".hex())
    assert all(any(traces_of(["730264"], leak.encode())) for leak in leaks)
    assert not any(traces_of(["730264"], b"a04f730264bc"))  # six digits of a hash
