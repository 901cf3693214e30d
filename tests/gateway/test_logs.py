"""Logs never hold a whole phone number, wherever it hides."""

import pytest

from gateway.logs import mask_numbers


@pytest.mark.parametrize(
    ("value", "logged"),
    [
        ("+85512345601", "..601"),
        ("85512345601@bank", "..601@bank"),
        ("85512345601_2@bank", "..601_2@bank"),
        ("85512345602@bank/opened", "..602@bank/opened"),
        ("ATUid_0123456789abcdef", "ATUid_0123456789abcdef"),
        ("REF12345", "REF12345"),
        ("a04f730264731bc0", "a04f730264731bc0"),
    ],
)
def test_a_number_keeps_its_last_three_digits(value, logged):
    assert mask_numbers(None, "info", {"event": "x", "what": value, "height": 123456789}) == {
        "event": "x",
        "what": logged,
        "height": 123456789,
    }
