"""HTML by construction: text is escaped because only `Html` is not, and nothing but `tag` makes `Html` out of text.

Refuses attributes that run something: a page of ours has neither handlers nor styles in its markup, so the policy that forbids
them (guards.py) costs nothing.
"""

from collections.abc import Iterable
from html import escape
from typing import Union

# Of HTML. A shape of SVG that is not closed would swallow those after it.
VOID = frozenset({"meta", "link", "input", "br", "hr", "img"})
_FORBIDDEN = ("on", "style", "srcdoc")


class Html(str):
    """Markup already: goes into a page as it is."""

    __slots__ = ()


Child = Union[None, bool, str, int, float, Iterable["Child"]]  # noqa: UP007 -- it names itself
Attribute = None | bool | str | int | float


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Html:
    """class_ is class, data_live is data-live, True is an attribute without a value, None and False are left out."""
    head = name + "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None and value is not False
    )
    if name in VOID:
        return Html(f"<{head}>")
    return Html(f"<{head}>{_joined(children)}</{name}>")


def text(*children: Child) -> Html:
    """Children without an element around them."""
    return Html(_joined(children))


def _joined(children: Iterable[Child]) -> str:
    return "".join(map(_shown, children))


def _shown(child: Child) -> str:
    if child is None or isinstance(child, bool):
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str | int | float):
        return escape(str(child))
    return _joined(child)


def _attribute(key: str, value: Attribute) -> str:
    name = key.rstrip("_").replace("_", "-")
    if name.startswith(_FORBIDDEN):
        raise ValueError(f"the attribute {name} runs or styles something in the markup")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
