"""Patches `moto.backends.list_of_moto_modules`: moto lists its own folder again at every request to its server."""

from __future__ import annotations

from moto import backends

_list = backends.list_of_moto_modules


def install() -> None:
    names = tuple(_list())
    backends.list_of_moto_modules = lambda: names
