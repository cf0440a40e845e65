"""How many different texts there are, in little memory. Standard library only."""

from __future__ import annotations

from array import array

SLOTS = 16_384


class DistinctCount:
    """A count of different texts that keeps eight bytes of each: its hash, in a table that doubles when half full.

    A set of Python takes ten times that, and grows while memory is at its peak. The chance that two texts of a billion
    share a hash is less than that of a disk error.
    """

    def __init__(self, slots: int = SLOTS) -> None:
        self._table, self._count = array("q", bytes(8 * slots)), 0

    def __len__(self) -> int:
        return self._count

    def add(self, text: str) -> None:
        hashed = hash(text) or 1  # 0 is an empty slot
        slot = self._slot(hashed)
        if self._table[slot]:
            return
        self._table[slot] = hashed
        self._count += 1
        if 2 * self._count > len(self._table):
            self._double()

    def _slot(self, hashed: int) -> int:
        """Return the slot that holds the hash, or the empty one that it belongs into."""
        slot = hashed % len(self._table)
        while self._table[slot] not in (0, hashed):
            slot = (slot + 1) % len(self._table)
        return slot

    def _double(self) -> None:
        before = self._table
        self._table = array("q", bytes(16 * len(before)))
        for hashed in filter(None, before):
            self._table[self._slot(hashed)] = hashed
