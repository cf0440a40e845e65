"""Which texts were there before, in little memory. Standard library only."""

from __future__ import annotations

from array import array

SLOTS = 16_384


class Seen:
    """A set of texts as eight bytes each: their hashes, in a table that is made at once and doubles when half full.

    A set of Python takes ten times that, and grows while memory is at its peak. Two texts of a billion that share a
    hash are less likely than a broken disk.
    """

    def __init__(self, slots: int = SLOTS) -> None:
        self._table, self._count = array("q", bytes(8 * slots)), 0

    def __len__(self) -> int:
        return self._count

    def add(self, text: str) -> bool:
        """Tell whether the text is new."""
        hashed = hash(text) or 1  # 0 is an empty slot
        place = self._place(hashed)
        if self._table[place]:
            return False
        self._table[place], self._count = hashed, self._count + 1
        if 2 * self._count > len(self._table):
            self._double()
        return True

    def _place(self, hashed: int) -> int:
        """Return the slot of the hash, or the empty one that it belongs into."""
        place = hashed % len(self._table)
        while self._table[place] not in (0, hashed):
            place = (place + 1) % len(self._table)
        return place

    def _double(self) -> None:
        before, self._table = self._table, array("q", bytes(16 * len(self._table)))
        for hashed in filter(None, before):
            self._table[self._place(hashed)] = hashed
