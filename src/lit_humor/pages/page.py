"""HTML pages that need no network, in light and dark, for wide and narrow screens and for paper."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from lit_humor.core.errors import MissingExtraError


class Thumbnail(str):
    """A cell with a small picture.

    Args:
        text: What is read where the picture is not seen.
        source: Its address, a data URI.
    """

    source: str

    def __new__(cls, text: str, source: str) -> Self:
        """Make the cell."""
        cell = super().__new__(cls, text)
        cell.source = source
        return cell


@dataclass(frozen=True)
class Grid:
    """A table of a page.

    Attributes:
        caption: Title of the table.
        columns: Title of each column.
        rows: Cells as text, or thumbnails; columns of numbers are right-aligned.
        note: A sentence below the table.
        searchable: Whether it can be searched, and sorted by a click on a column title.
        texts: Indices of columns of long text.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""
    searchable: bool = False
    texts: tuple[int, ...] = ()

    @property
    def numeric(self) -> list[bool]:
        """Whether each column has only numbers."""
        return [
            any(row[i] for row in self.rows) and all(row[i][:1] in "-+0123456789" for row in self.rows)
            for i in range(len(self.columns))
        ]


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Attributes:
        caption: What the picture shows; the same numbers are in a table of the page.
        svg: The drawing, an ``<svg>`` element in the colour of the text around it.
    """

    caption: str
    svg: str


@dataclass
class Section:
    """A part of a page.

    Attributes:
        title: Its heading.
        parts: Paragraphs (text), grids and pictures, in order.
    """

    title: str
    parts: list[str | Grid | Picture] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Anchor of the section, for links."""
        return self.title.lower().replace(",", "").replace(" ", "-")


def render(template: str, **content: Any) -> str:
    """Fill ``<template>.j2`` of this folder; everything put into HTML is escaped.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, select_autoescape
    except ImportError:
        raise MissingExtraError("a page", package="jinja2", extra="report") from None
    loader = FileSystemLoader(Path(__file__).parent)
    escape = select_autoescape(enabled_extensions=("html.j2",))
    environment = Environment(loader=loader, autoescape=escape, trim_blocks=True)
    environment.tests["grid"] = lambda part: isinstance(part, Grid)
    environment.tests["picture"] = lambda part: isinstance(part, Picture)
    environment.tests["thumbnail"] = lambda cell: isinstance(cell, Thumbnail)
    return environment.get_template(f"{template}.j2").render(content)
