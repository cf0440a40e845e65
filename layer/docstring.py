"""In the layer this stands for botocore.docs and boto3.docs: no function reads the docstrings that they would write."""

from __future__ import annotations


class Docstring(str):
    """A docstring that stays empty."""

    __slots__ = ()

    def __new__(cls, *_: object, **__: object) -> Docstring:
        return super().__new__(cls)


def __getattr__(name: str) -> type[Docstring]:
    """Return the class, whichever the SDK asks for by name."""
    if name.endswith("Docstring"):
        return Docstring
    raise AttributeError(name)
