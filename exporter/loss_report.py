"""What an export wrote and lost, for machines (JSON) and for people (a table in plain text).

The JSON is specified in `exporter/schemas/export_report.schema.json`.
"""

import textwrap
from pathlib import Path
from typing import Any

from exporter.export import ExportReport
from formats.avatar import Meta
from formats.codecs.json_file import write_json
from formats.files import write_bytes

FORMAT = "flameport.export-report/1"
COLUMNS = (64, 40)
"""Widths of the table's columns of what and how much; longer texts go on below."""


def as_dict(report: ExportReport, target: str, out: Path, meta: Meta) -> dict[str, Any]:
    """Return everything as JSON values.

    Args:
        report: What `exporter.export.export` returned.
        target: Its name.
        out: The file or folder that was asked for; files are named from its folder on, so that no path of somebody's
            machine is in the report.
        meta: The avatar's.
    """
    files = [{"path": _name(path, Path(out)), "bytes": path.stat().st_size} for path in report.paths]
    return {
        "format": FORMAT, "target": target,
        "avatar": {"name": meta.name, "system": meta.system, "source": meta.source, "paper": meta.paper, "tool": meta.tool},
        "files": files, "bytes": report.bytes,
        "lossless": not report.losses, "looks_and_moves_the_same": not any(loss.blocking for loss in report.losses),
        "losses": [{"what": loss.what, "amount": loss.amount, "blocking": loss.blocking} for loss in report.losses],
        "license_notices": list(meta.license_notices)}


def table(values: dict[str, Any]) -> str:
    """Return the report `as_dict` made as text: files, what is lost (what changes the avatar first), and the terms."""
    lines = [f"{values['avatar']['name']} as {values['target']}: {_size(values['bytes'])}", "", *_rows(
        [("file", "size"), *((each["path"], _size(each["bytes"])) for each in values["files"])])]
    for title, blocking in (("lost: our players show or move it differently", True),
                            ("not carried, or changed a little", False)):
        rows = [(loss["what"], loss["amount"]) for loss in values["losses"] if loss["blocking"] is blocking]
        if rows:
            lines += ["", *_rows([(title, "how much"), *rows])]
    if values["lossless"]:
        lines += ["", "Nothing is lost."]
    if values["license_notices"]:
        lines += ["", "Terms that come with it:"]
        for notice in values["license_notices"]:
            lines += textwrap.wrap(notice, sum(COLUMNS), initial_indent="- ", subsequent_indent="  ")
    return "\n".join(lines) + "\n"


def write(report: ExportReport, path: Path, target: str, out: Path, meta: Meta) -> list[Path]:
    """Write the JSON to `path` and the table beside it, with the ending .txt, and return both; arguments as `as_dict`."""
    values = as_dict(report, target, out, meta)
    beside = path.with_suffix(".txt") if path.suffix != ".txt" else path.with_name(f"{path.name}.txt")
    return [write_json(values, path), write_bytes(beside, table(values).encode())]


def _name(path: Path, out: Path) -> str:
    try:
        return path.relative_to(out.parent).as_posix()
    except ValueError:
        return path.name


def _size(count: int) -> str:
    return f"{count} bytes" if count < 10_000 else f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _rows(rows: list[tuple[str, str]]) -> list[str]:
    """Return rows as aligned lines, a rule under the first."""
    left = min(COLUMNS[0], max(len(what) for what, _ in rows))
    right = min(COLUMNS[1], max(len(amount) for _, amount in rows))
    lines = []
    for i, (what, amount) in enumerate(rows):
        parts = [textwrap.wrap(what, left) or [""], textwrap.wrap(amount, right) or [""]]
        for k in range(max(map(len, parts))):
            first, second = (part[k] if k < len(part) else "" for part in parts)
            lines.append(f"{first:<{left}}  {second}".rstrip())
        if i == 0:
            lines.append(f"{'-' * left}  {'-' * right}")
    return lines
