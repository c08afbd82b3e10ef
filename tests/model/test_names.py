"""Names, keys and labels: S-027, S-031, S-387."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.model.errors import InvalidTask
from millrace.model.names import check_group, check_key, check_label, check_task_name, check_text


@given(st.text())
def test_keys(key: str) -> None:
    """1 to 512 bytes of UTF-8 without NUL are a key, byte for byte; all else is InvalidTask."""
    size = len(key.encode(errors="surrogatepass"))
    has_surrogate = any("\ud800" <= character <= "\udfff" for character in key)
    if 1 <= size <= 512 and "\0" not in key and not has_surrogate:
        assert check_key(key) == key
    else:
        with pytest.raises(InvalidTask, match="key: expected"):
            check_key(key)


@pytest.mark.parametrize("key", ["", "x" * 513, "é" * 257, "a\0b", "\ud800", b"x", 5, None])
def test_refused_keys(key: object) -> None:
    """The bound counts bytes; other types are refused, too."""
    with pytest.raises(InvalidTask, match="key: expected"):
        check_key(key)


def test_longest_keys() -> None:
    """512 bytes are a key, and no normal form is applied."""
    for key in ("x" * 512, "é" * 256, "e\u0301", "\u00e9"):
        assert check_key(key) == key


@given(st.text(min_size=1))
def test_labels(label: str) -> None:
    """Any text is a label: cut to 512 characters, storable, not empty."""
    shown = check_label(label)
    assert 1 <= len(shown) <= 512
    assert "\0" not in shown
    shown.encode()


def test_label_forms() -> None:
    """Ordinary text stays; what cannot be stored is spelled out; an empty one stays empty for the caller to replace."""
    assert check_label("ok é") == "ok é"
    assert check_label("x" * 600) == "x" * 512
    assert check_label("a\udcffb\0") == "a\\udcffb\\x00"
    assert check_label("\ud800" * 600) == ("\\ud800" * 100)[:512]
    assert check_label("") == ""
    with pytest.raises(InvalidTask, match="label: expected text, got int"):
        check_label(5)


@pytest.mark.parametrize("name", ["a", "x" * 128, "thumb nail", "größe", "a:b", "a.b-c"])
def test_names(name: str) -> None:
    """1 to 128 characters are a name."""
    assert check_task_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 129, "a::b", "::", "a\nb", "a\0", "\x7f", "\x85", "\ud800", None, 5, b"a"])
def test_refused_names(name: object) -> None:
    """Control characters, "::", surrogates and other types are InvalidTask under the given word."""
    with pytest.raises(InvalidTask, match="domain: expected"):
        check_task_name(name, "domain")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=256))
def test_groups(group: str) -> None:
    """S-259: every text of 1 to 256 characters is a group, as it is: with case, wildcards and spaces."""
    assert check_group(group) == group


@pytest.mark.parametrize("group", ["", "g" * 257, "a\0b", "\udcff", None, 5, b"g"], ids=ascii)
def test_refused_groups(group: object) -> None:
    """S-259: none is empty, too long, or what the store cannot hold; the message says what was expected."""
    with pytest.raises(InvalidTask, match="group: expected"):
        check_group(group)


@given(st.text(), st.integers(0, 5), st.integers(0, 5))
def test_text_within_bounds(text: str, least: int, most: int) -> None:
    """A text is taken unchanged, or refused for its length, a NUL or a surrogate, naming the field before the colon."""
    is_storable = "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
    if least <= len(text) <= most and is_storable:
        assert check_text("field: part", text, least, most) == text
    else:
        with pytest.raises(InvalidTask, match="field: part: expected") as caught:
            check_text("field: part", text, least, most)
        assert caught.value.field == "field"
