"""Different texts are counted in little memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowquery.results.distinct import SLOTS, DistinctCount


@given(st.lists(st.text(max_size=20)), st.sampled_from([2, 4, 64, SLOTS]))
def test_each_text_is_counted_once(texts: list[str], slots: int) -> None:
    count = DistinctCount(slots)

    for number, text in enumerate(texts):
        count.add(text)
        assert len(count) == len(set(texts[: number + 1]))


def test_more_texts_than_slots_are_counted() -> None:
    count = DistinctCount()
    texts = [str(number) for number in range(2 * SLOTS)]

    for text in texts * 2:
        count.add(text)

    assert len(count) == 2 * SLOTS
