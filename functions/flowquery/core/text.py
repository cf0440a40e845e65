"""Text for names and messages."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def timestamp_text(moment: datetime) -> str:
    """Return ISO 8601 in UTC with a `Z`, the form of every timestamp in outputs and stored rows."""
    return moment.isoformat().replace("+00:00", "Z")


COMPACT_TIME = "%Y%m%dT%H%M%SZ"


def compact_time(moment: datetime) -> str:
    """Return the time for a name, in which `:` is not allowed."""
    return moment.strftime(COMPACT_TIME)


def short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def ascii_text(text: str) -> str:
    return "".join(character if character.isascii() and character.isprintable() else "?" for character in text)


def visible(text: object, most: int | None = None) -> str:
    """Return the text as one line of so many characters at most; a character that cannot be seen becomes its number.

    That takes in line breaks and controls, which a mail or a terminal would obey, lone surrogates, which no UTF-8 has,
    and the marks that turn the direction of what follows.
    """
    kept = str(text) if most is None else truncated(text, most)
    return "".join(one if one.isprintable() else f"⟨U+{ord(one):04X}⟩" for one in kept)


def truncated(value: object, most: int) -> str:
    """Return the value as text of so many characters at most."""
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"
