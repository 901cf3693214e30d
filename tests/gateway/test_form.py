"""A callback's form, read by our own hand: as the standard library reads it, and no more of it."""

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.http import FIELDS_MAX, read_form

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.tuples(TEXT, TEXT), max_size=FIELDS_MAX))
def test_what_was_written_is_read(fields):
    assert read_form(urlencode(fields)) == fields


@given(st.text("ab%2BCE8+=&;é0Fg", max_size=40))
def test_whatever_came_is_read_as_the_standard_library_reads_it(body):
    if body.count("&") < FIELDS_MAX:
        assert read_form(body) == parse_qsl(body, keep_blank_values=True, errors="replace")


def test_too_many_fields_are_refused():
    assert len(read_form("&".join(["a=1"] * FIELDS_MAX))) == FIELDS_MAX
    with pytest.raises(ValueError, match="many"):
        read_form("&".join(["a=1"] * (FIELDS_MAX + 1)))
