"""The pilot's table: four hospitals' heart patients, and how it was mended.

Source: UCI Machine Learning Repository, id 45, "Heart Disease" (Janosi, Steinbrunn, Pfisterer, Detrano), CC BY
4.0. The vendored file stands as it was found; what is mended is mended here, while reading, and the data card
says so.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from importlib import resources
from typing import Any, Final

from tallystick.errors import DefectError
from tallystick.models import Column, Table

FILE: Final = "heart_disease_uci.csv"
HEART_TARGET: Final = "heart disease (a vessel narrowed by more than half)"
MISFILED_ID: Final = "304"  # age 28, trestbps 130, thalach 185: filed under Cleveland, belongs to Hungary

_COLUMNS: Final = (
    # name in the file, kind, title
    ("age", "numeric", "age (years)"),
    ("sex", "category", "sex"),
    ("cp", "category", "chest pain"),
    ("trestbps", "numeric", "resting blood pressure (mm Hg)"),
    ("chol", "numeric", "cholesterol (mg/dl)"),
    ("fbs", "category", "fasting blood sugar over 120 mg/dl"),
    ("restecg", "category", "resting ECG"),
    ("thalch", "numeric", "highest heart rate in exercise (per minute)"),
    ("exang", "category", "chest pain in exercise"),
    ("oldpeak", "numeric", "ST depression in exercise (mm)"),
    ("slope", "category", "slope of the ST segment in exercise"),
    ("ca", "numeric", "large vessels seen in fluoroscopy (0 to 3)"),
    ("thal", "category", "thallium scan"),
)
_ZERO_IS_MISSING: Final = frozenset({"chol", "trestbps"})
_SPELLING: Final = {
    "TRUE": "yes",
    "FALSE": "no",
    "reversable defect": "reversible defect",
    "lv hypertrophy": "left ventricular hypertrophy",
    "st-t abnormality": "ST-T abnormality",
}


def load_heart() -> Table:
    """Read the vendored table, mended: 920 patients of four hospitals."""
    raw = _raw()
    mended: Counter[str] = Counter()
    rows = []
    for record in raw:
        cells = [_cell(name, record[name], mended) for name, _, _ in _COLUMNS]
        rows.append(tuple(cells))
    places = {name: index for index, (name, _, _) in enumerate(_COLUMNS)}
    columns = tuple(
        Column(
            name=name,
            kind="numeric" if kind == "numeric" else "category",
            title=title,
            categories=_codes(rows, places[name]) if kind == "category" else (),
        )
        for name, kind, title in _COLUMNS
    )
    return Table(
        name="heart",
        columns=columns,
        rows=tuple(rows),
        sites=tuple("Hungary" if record["id"] == MISFILED_ID else record["dataset"] for record in raw),
        targets=tuple(int(int(record["num"]) > 0) for record in raw),
        target=HEART_TARGET,
        notes=(
            f"row {MISFILED_ID} (age 28, blood pressure 130, heart rate 185) moved from Cleveland to Hungary",
            f"cholesterol of 0 taken as missing in {mended['chol']} rows, all 123 of Switzerland among them",
            f"blood pressure of 0 taken as missing in {mended['trestbps']} row",
            "TRUE and FALSE spelt yes and no, and three codes spelt out; no value changed by that",
            "target: num of 1 to 4 means disease, 0 means none",
        ),
    )


def data_card(table: Table) -> dict[str, Any]:
    """Describe a table: where it comes from, what was mended, what is missing where, what looks wrong.

    Returns:
        Plain data. Counts are exact: keep the card of private data at home (`assess` gives buckets).
    """
    known = table.name == "heart"
    return {
        "name": table.name,
        "source": _SOURCE if known else "your own file",
        "licence": "CC BY 4.0" if known else "yours",
        "target": table.target,
        "rows": len(table),
        "sites": {
            site: {"rows": len(part), "yes": sum(part.targets)}
            for site, part in ((site, table.at(site)) for site in table.site_names)
        },
        "mended": list(table.notes),
        "missing": _missing(table),
        "problems": problems(table),
    }


def card_text(card: dict[str, Any]) -> str:
    """Write a data card as plain text of at most 80 columns where names allow."""
    lines = [
        f"Data card: {card['name']}",
        f"source   {card['source']}",
        f"licence  {card['licence']}",
        f"target   {card['target']}",
        f"rows     {card['rows']}",
        "",
        "sites (rows, of them yes)",
        *(f"  {site:<20} {of['rows']:>6} {of['yes']:>6}" for site, of in card["sites"].items()),
        "",
        "read with care",
        *(f"  - {note}" for note in card["mended"]),
        "",
        "problems found",
        *(f"  - {problem}" for problem in card["problems"]),
        "",
        "missing cells by site",
    ]
    sites = list(card["sites"])
    lines.append("  " + " " * 12 + "".join(f"{site[:13]:>14}" for site in sites))
    for column, counts in card["missing"].items():
        lines.append(f"  {column[:12]:<12}" + "".join(f"{counts[site]:>14}" for site in sites))
    return "\n".join(lines) + "\n"


def problems(table: Table) -> list[str]:
    """Name what a reader of the results should know about the table, the worst first."""
    found = []
    missing = _missing(table)
    sizes = Counter(table.sites)
    for column in table.columns:
        empty = [site for site in table.site_names if missing[column.name][site] == sizes[site]]
        share = sum(missing[column.name].values()) / len(table)
        if empty:
            found.append(f"{column.title}: never recorded at {', '.join(empty)}")
        elif share >= 0.25:
            found.append(f"{column.title}: missing in {share:.0%} of all rows")
    for site in table.site_names:
        targets = table.at(site).targets
        share = sum(targets) / len(targets)
        if not 0.1 <= share <= 0.9:
            found.append(
                f"{site}: {share:.0%} of {len(targets)} rows are yes, too one-sided to judge ranking by"
            )
    copies = len(table) - len(set(zip(table.sites, table.rows, table.targets, strict=True)))
    if copies:
        found.append(f"{copies} rows repeat another row of the same site exactly; they were kept")
    return found


_SOURCE: Final = (
    "UCI Machine Learning Repository, id 45, Heart Disease: Janosi, Steinbrunn, Pfisterer, Detrano (1988); "
    "doi 10.24432/C52P4X"
)


def _raw() -> list[dict[str, str]]:
    text = resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    if len(rows) != 920:
        raise DefectError(f"the vendored table must have 920 rows, got {len(rows)}")
    return rows


def _cell(name: str, text: str, mended: Counter[str]) -> str | None:
    if not text:
        return None
    if name in _ZERO_IS_MISSING and float(text) == 0:
        mended[name] += 1
        return None
    return _SPELLING.get(text, text.lower() if name == "sex" else text)


def _codes(rows: list[tuple[str | None, ...]], place: int) -> tuple[str, ...]:
    return tuple(sorted({cell for cell in (row[place] for row in rows) if cell is not None}))


def _missing(table: Table) -> dict[str, dict[str, int]]:
    result = {}
    for column in table.columns:
        gaps = Counter(
            site for site, cell in zip(table.sites, table.column(column.name), strict=True) if cell is None
        )
        result[column.name] = {site: gaps[site] for site in table.site_names}
    return result
