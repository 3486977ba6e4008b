"""What little of CSS decides whether a person sees a text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from selectolax.lexbor import LexborNode

from intake.vocabulary import words

SHEET_CHARACTERS = 200_000  # longer style sheets are read this far
STYLE_CHARACTERS = 5_000

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_SIMPLE_SELECTOR = re.compile(r"[a-z0-9]*[.#][\w-]+\Z", re.IGNORECASE)
_ZERO = re.compile(r"0*(?:\.0*)?(?:px|pt|em|rem|ex|ch|%|vh|vw|cm|mm|in)?\Z")
_WHITE = words(
    """
    #fff #ffffff white rgb(255,255,255) rgba(255,255,255,1) #fefefe #fffffe
    """
)
_BLACK = frozenset(["#000", "#000000", "black", "rgb(0,0,0)"])


@dataclass(frozen=True)
class Look:
    """How text in an element looks; None means that the element does not say."""

    gone: bool = False  # the element and all in it: no descendant can undo this
    no_size: bool | None = None
    invisible: bool | None = None
    colour: str | None = None
    background: str | None = None
    preformatted: bool | None = None

    @property
    def visible(self) -> bool:
        """Say whether a person would see text that looks like this."""
        if self.gone or self.no_size or self.invisible:
            return False
        # Only white on white: for other pairs a background picture is too often the reason
        return not (self.colour == "white" and self.background in (None, "white"))


def inherit(outer: Look, inner: Look) -> Look:
    """Return the look of an element within another."""
    return Look(
        gone=outer.gone or inner.gone,
        no_size=outer.no_size if inner.no_size is None else inner.no_size,
        invisible=outer.invisible if inner.invisible is None else inner.invisible,
        colour=inner.colour or outer.colour,
        background=inner.background or outer.background,
        preformatted=outer.preformatted if inner.preformatted is None else inner.preformatted,
    )


def look_of(node: LexborNode, hidden: frozenset[str]) -> Look:
    """Return what an element itself says about its look."""
    attributes = node.attributes
    if not attributes:
        return Look()
    style = declarations((attributes.get("style") or "")[:STYLE_CHARACTERS])
    gone = (
        "hidden" in attributes
        or _is_gone(style)
        or ("display" not in style and bool(hidden) and _is_selected(node, attributes, hidden))
    )
    size = style.get("font-size")
    visibility = style.get("visibility")
    opacity = style.get("opacity")
    space = style.get("white-space")
    return Look(
        gone=gone or (opacity is not None and bool(_ZERO.match(opacity))),
        no_size=None if size is None else bool(_ZERO.match(size) and size[:1] in "0."),
        invisible=None if visibility is None else visibility in ("hidden", "collapse"),
        colour=_colour(style.get("color") or attributes.get("color")),
        background=_background(style, attributes),
        preformatted=None if space is None else space.startswith(("pre", "break-spaces")),
    )


def _is_gone(style: dict[str, str]) -> bool:
    if style.get("display") == "none" or style.get("mso-hide") == "all":
        return True
    if not style.get("overflow", "").startswith(("hidden", "clip")):
        return False
    return any(
        (value := style.get(name)) is not None and bool(_ZERO.match(value)) and value != ""
        for name in ("max-height", "height", "max-width", "width")
    )


def _is_selected(
    node: LexborNode, attributes: dict[str, str | None], hidden: frozenset[str]
) -> bool:
    tag = (node.tag or "").lower()
    keys = [f".{name}" for name in (attributes.get("class") or "").split()[:50]]
    if identity := attributes.get("id"):
        keys.append(f"#{identity.strip()}")
    return any(key in hidden or tag + key in hidden for key in keys)


def declarations(style: str) -> dict[str, str]:
    """Return a style's properties, lower case, `!important` taken off; the last one counts."""
    found: dict[str, str] = {}
    for declaration in style.split(";"):
        name, colon, value = declaration.partition(":")
        if colon:
            found[name.strip().lower()] = value.lower().replace("!important", "").strip()
    return found


def _colour(value: str | None) -> str | None:
    if not value:
        return None
    value = value.strip().lower().replace(" ", "")
    if value in ("inherit", "initial", "transparent", "currentcolor"):
        return None
    return "white" if value in _WHITE else "black" if value in _BLACK else value


def _background(style: dict[str, str], attributes: dict[str, str | None]) -> str | None:
    if attributes.get("background") or "background-image" in style:
        return "picture"
    shorthand = style.get("background")
    if shorthand and ("url(" in shorthand or "gradient" in shorthand):
        return "picture"
    value = style.get("background-color") or shorthand or attributes.get("bgcolor")
    return _colour(value)


def hidden_selectors(sheet: str) -> frozenset[str]:
    """Return the plain class and id selectors that a style sheet hides on every screen.

    Rules within `@media` and the like are left out: they hide on some screens only.
    """
    if "none" not in sheet:
        return frozenset()
    sheet = _COMMENT.sub(" ", sheet[:SHEET_CHARACTERS])
    hidden: set[str] = set()
    shown: set[str] = set()
    depth, start, selector = 0, 0, ""
    for brace in re.finditer(r"[{}]", sheet):
        if brace[0] == "{":
            depth += 1
            if depth == 1:
                selector = sheet[start : brace.start()].replace("<!--", "").strip()
        else:
            depth = max(depth - 1, 0)
            if depth == 0 and not selector.startswith("@"):
                _file_rule(selector, declarations(sheet[start : brace.start()]), hidden, shown)
        start = brace.end()
    return frozenset(hidden - shown)


def _file_rule(selector: str, style: dict[str, str], hidden: set[str], shown: set[str]) -> None:
    if "display" not in style:
        return
    for part in selector.split(","):
        name = part.strip()
        if _SIMPLE_SELECTOR.match(name):
            name = re.sub(r"^[a-zA-Z0-9]+", lambda tag: tag[0].lower(), name)
            (hidden if style["display"] == "none" else shown).add(name)
