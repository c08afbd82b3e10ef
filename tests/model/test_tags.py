"""Tags as values: bounds, merging, and their form in the store (S-215, S-216)."""

import copy
import dataclasses
import pickle
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.model.errors import InvalidTask
from millrace.model.tags import MAX_TAGS, check_tags, decode_tags, encode_tags, merge_tags

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
TAGS = st.dictionaries(TEXT.filter(bool), TEXT, max_size=20)


@given(TAGS)
def test_the_store_keeps_them_as_they_are(tags: dict[str, str]) -> None:
    """S-215: nothing is added, changed or cut off; none at all is no text."""
    text = encode_tags(check_tags(tags))
    assert (text is None) is (not tags)
    assert decode_tags(text) == tags


@given(TAGS, TAGS, TAGS)
def test_merging(first: dict[str, str], second: dict[str, str], third: dict[str, str]) -> None:
    """S-216: the later of one key wins, the order of merging makes no difference, and what was merged is left alone."""
    before = copy.deepcopy((first, second, third))
    expected = {**first, **second, **third}
    if len(expected) > MAX_TAGS or len({**first, **second}) > MAX_TAGS or len({**second, **third}) > MAX_TAGS:
        with pytest.raises(InvalidTask, match=f"at most {MAX_TAGS}"):
            merge_tags(merge_tags(first, second), merge_tags(second, third))
    else:
        assert merge_tags(merge_tags(first, second), third) == expected
        assert merge_tags(first, merge_tags(second, third)) == expected
    assert (first, second, third) == before


def test_what_is_given_is_copied() -> None:
    """S-036: an application that goes on changing its dict changes no task."""
    mine = {"a": "1"}
    held = check_tags(mine)
    merged = merge_tags(mine, None)
    mine["a"] = "2"
    assert held == merged == {"a": "1"}
    assert check_tags(MappingProxyType(mine)) == {"a": "2"}


@pytest.mark.parametrize("count", [MAX_TAGS, MAX_TAGS + 1])
def test_the_number_of_them(count: int) -> None:
    """S-215: 32 are taken, one more is refused with the number that came."""
    tags = {str(n): "" for n in range(count)}
    if count <= MAX_TAGS:
        assert check_tags(tags) == tags
    else:
        with pytest.raises(InvalidTask, match="got 33"):
            check_tags(tags)


def test_records_that_hold_them_can_be_copied() -> None:
    """What is decoded is a plain dict: `dataclasses.asdict` and pickle take it, also where there are none."""

    @dataclasses.dataclass
    class Holder:
        tags: dict[str, str]

    for text in (None, '{"a":"1"}'):
        held = Holder(decode_tags(text))
        assert pickle.loads(pickle.dumps(dataclasses.asdict(held))) == {"tags": held.tags}
