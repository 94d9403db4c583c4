"""The terms that come with a head's tables, by edition. Nobody has to remember them: `Avatar` adds them to its own notices.

What FLAME's licences say is as third parties report it; nobody of us could open the licence pages. A system's own terms are
what its importer puts into `Meta.license_notices`, before these.
"""

from collections.abc import Iterable

_HOLDS = "The head holds tables of the FLAME model, edition '{edition}' (Max Planck Institute for Intelligent Systems)"
_CLOSED = _HOLDS + ", reported to be for non-commercial use only; its licence applies to them and to what is made with them."
_OPEN = (_HOLDS + ", reported to be under CC-BY-4.0: credit Li, Bolkart, Black, Li and Romero, Learning a model of facial shape "
         "and expression from 4D scans, ACM TOG 2017.")

TERMS = {"flame2019": _CLOSED, "flame2020": _CLOSED, "flame2023": _CLOSED, "flame2023-no-jaw": _CLOSED, "flame2023-open": _OPEN,
         "standin": "", "arkit-51": "", "arkit-52": "", "bfm09-64": ""}
"""Edition to its terms, for all of `head_model.EDITIONS`. None for our own stand-in (Apache-2.0), for names of coefficients
(ARKit's; LAM's terms come with its import), and where coefficients are a model's but no table is (Basel Face Model)."""


def table_notice(edition: str) -> str:
    """Return the terms of an edition's tables as one sentence; empty where there are none."""
    return TERMS[edition].format(edition=edition)


def with_tables(notices: Iterable[str], edition: str) -> tuple[str, ...]:
    """Return an avatar's notices and, last, those of its head's tables, each once.

    Args:
        notices: What is said already. A sentence about the same tables, as an earlier version worded it, gives way.
        edition: Of the head; one of `head_model.EDITIONS`.
    """
    own, about = table_notice(edition), _HOLDS.format(edition=edition)
    others = dict.fromkeys(notice for notice in notices if not (own and notice.startswith(about)))
    return (*others, *((own,) if own else ()))


def in_one_line(notices: Iterable[str]) -> str:
    """Return notices as the one line that commands end with."""
    return "Terms: " + (" ".join(notices) or "none come with it.")
