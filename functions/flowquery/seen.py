"""Which texts were there before, in little memory. Standard library only."""

from __future__ import annotations

from array import array
from bisect import bisect_left

_PARTS = 256


class Seen:
    """A set of texts as eight bytes each: their hashes, sorted, in parts so that putting one between others is cheap.

    A set of Python takes ten times that, and while it grows as much again. Two texts of a billion that share a hash are
    less likely than a broken disk.
    """

    def __init__(self) -> None:
        self._parts = tuple(array("q") for _ in range(_PARTS))

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def add(self, text: str) -> bool:
        """Tell whether the text is new."""
        hashed = hash(text)
        part = self._parts[hashed % _PARTS]
        place = bisect_left(part, hashed)
        if place < len(part) and part[place] == hashed:
            return False
        part.insert(place, hashed)
        return True
