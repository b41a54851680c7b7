"""Makes the binary documents of examples/organisation. Run it again and every byte is the same.

The texts stand here, the formats come from reportlab, python-docx and openpyxl. Usage: python tools/make_examples.py
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).resolve().parents[1] / "examples" / "organisation"
WRITTEN = datetime(2026, 9, 1)  # noqa: DTZ001 - Office files keep local times
#: A heading ("# …", "## …"), a paragraph, a bullet ("- …") or the rows of a table, the first of them its header.
Part: TypeAlias = str | list[list[str]]

EXPENSES: list[Part] = [
    "# Handbook: travel and expenses",
    "## Hotels",
    "A night may cost up to 118 euros, breakfast included. In Geneva and London it is 164 euros.",
    "## Meals",
    "The daily allowance is paid without receipts.",
    [["Country", "Whole day (EUR)", "Half day (EUR)"], ["Sweden", "31", "15"], ["Germany", "28", "14"],
     ["Switzerland", "64", "32"]],
    "## How to claim",
    "- Hand the claim in within 40 days of coming home; later claims need the signature of the head of finance.",
    "- Photographs of receipts are enough. Keep the paper for one year.",
    "- Claims above 2,500 euros are signed by two people.",
]  # fmt: skip

IT_RULES: list[list[Part]] = [
    [
        "# IT rules",
        "## Passwords",
        "Use the password manager on every machine. A passphrase has at least five words. Nobody from IT will ever ask"
        " you for it.",
        "## Remote access",
        "Work from outside goes through the gateway called Kattegat. It ends a session after nine hours, also if you"
        " are still typing.",
    ],
    [
        "## A lost or stolen device",
        "Call extension 4411 within two hours, day or night. The device is wiped at once, and you get a loan machine"
        " from the yellow shelf.",
        "## Replacement",
        "Laptops are replaced every five years. Measuring computers stay with their instrument.",
    ],
]

AGREEMENT: list[list[Part]] = [
    [
        "# Betriebsvereinbarung Mobile Arbeit",
        "zwischen der Lindqvist Instruments GmbH, Göttingen, und ihrem Betriebsrat, gültig ab 1. Februar 2026.",
        "## § 1 Umfang",
        "Beschäftigte können an bis zu drei Tagen pro Woche mobil arbeiten. Die Schleiferei und die Endprüfung sind"
        " ausgenommen. Der Mittwoch ist für alle Präsenztag.",
        "## § 2 Erreichbarkeit",
        "Zwischen 10:00 und 14:30 Uhr sind alle erreichbar. Nach 19:00 Uhr muss niemand antworten.",
    ],
    [
        "## § 3 Ausstattung",
        "Der Arbeitgeber zahlt einmalig 420 Euro für Stuhl und Bildschirm. Das Geld wird nicht zurückgefordert, wenn"
        " das Arbeitsverhältnis länger als ein Jahr besteht.",
        "## § 4 Kündigung",
        "Die Vereinbarung kann mit einer Frist von vier Monaten zum Jahresende gekündigt werden.",
    ],
]

HERON: list[Part] = [
    "# Memo: project Heron",
    "Confidential. For the management only.",
    "## What we want to buy",
    "Project Heron is the purchase of Bergqvist Optik AB in Kalmar, 46 people, maker of cylindrical lenses.",
    "## Price",
    "The fixed price is 84 million kronor, paid at closing on 19 June 2027. On top come two earn-outs: 6 million if"
    " deliveries to us stay on time in 2027, and 3 million if the plant manager stays until the end of 2028.",
    "## Risks",
    "- The lease of the Kalmar plant ends in 2030 and the landlord has not answered.",
    "- One customer, a maker of barcode scanners, stands for 38 % of the sales.",
]

BOARD: list[list[Part]] = [
    [
        "# Minutes of the board, 14 October 2026",
        "Present: Maja Lindqvist (chair), Henrik Sand, Oluwaseun Adeyemi, Katrin Vogt.",
        "## Dividend",
        "The board proposes a dividend of 3.20 kronor a share.",
        "## Depot in Gävle",
        "The depot in Gävle closes on 31 August 2027. Its nine people are offered work in Ystad.",
        "## Vote",
        "All decisions were unanimous, but for the depot, where Katrin Vogt voted against.",
    ]
]

LETTER: list[Part] = [
    "# On-site clinic: findings",
    "Restricted: health data. For the occupational physician.",
    "Patient: Ingrid Solberg, born 17 August 1979, grinding shop.",
    "## Findings",
    "The lung test of 11 May 2026 shows a forced expiratory volume of 71 %. In 2024 it was 83 %. The X-ray is clear.",
    "## Advice",
    "No work with glass dust for six months, then a new test. Until then a place in final inspection is suitable.",
]

SPARE_PARTS = [
    ["Part", "Name", "Fits", "Price (EUR)", "Delivery (weeks)"],
    ["SP-113", "Lamp module", "LS-40, LS-60", 412, 2],
    ["SP-127", "Toothed belt for the carousel", "LS-40", 38, 1],
    ["SP-140", "Carousel, 36 positions", "LS-60", 1290, 5],
    ["SP-152", "Reference tile in cedar box", "LS-40, LS-60", 675, 9],
    ["SP-160", "Dust filter, pack of ten", "LS-40, LS-60", 54.5, 1],
]
SERVICE_RATES = [
    ["Service", "Price (EUR)", "Remarks"],
    ["Calibration in our laboratory", 530, "Certificate included, six working days"],
    ["Calibration at the customer's", 940, "Travel included within 300 km of Ystad or Göttingen"],
    ["Technician, one hour", 145, "Half hours are charged"],
    ["Telephone advice", 0, "Free for the life of the instrument"],
]


def main() -> None:
    word(ROOT / "internal" / "handbook-expenses.docx", EXPENSES)
    pdf(ROOT / "internal" / "it-rules.pdf", "IT rules", IT_RULES)
    pdf(ROOT / "internal" / "betriebsvereinbarung-mobile-arbeit.pdf", "Betriebsvereinbarung Mobile Arbeit", AGREEMENT)
    excel(ROOT / "internal" / "prices.xlsx", {"Spare parts": SPARE_PARTS, "Service rates": SERVICE_RATES})
    word(ROOT / "confidential" / "memo-heron.docx", HERON)
    pdf(ROOT / "confidential" / "board-minutes.pdf", "Minutes of the board, 14 October 2026", BOARD)
    word(ROOT / "restricted" / "clinic-letter.docx", LETTER)


def word(path: Path, parts: Sequence[Part]) -> None:
    import docx

    document = docx.Document()
    for part in parts:
        if isinstance(part, list):
            _word_table(document, part)
        elif part.startswith("#"):
            marks, _, text = part.partition(" ")
            document.add_heading(text, len(marks))
        elif part.startswith("- "):
            document.add_paragraph(part[2:], style="List Bullet")
        else:
            document.add_paragraph(part)
    about = document.core_properties
    about.title, about.author = str(parts[0]).lstrip("# "), "Lindqvist Instruments"
    about.created = about.modified = WRITTEN
    _save(path, document)


def _word_table(document: Any, rows: list[list[str]]) -> None:
    table = document.add_table(len(rows), len(rows[0]), style="Table Grid")
    for row, cells in zip(rows, table.rows, strict=True):
        for text, cell in zip(row, cells.cells, strict=True):
            cell.text = text


def excel(path: Path, sheets: dict[str, list[list[Any]]]) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.properties.title, book.properties.creator = "Prices 2026", "Lindqvist Instruments"
    book.properties.created = WRITTEN
    _save(path, book)


def pdf(path: Path, title: str, pages: Sequence[Sequence[Part]]) -> None:
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

    styles = getSampleStyleSheet()
    flow: list[Any] = []
    for page in pages:
        flow += [PageBreak()] if flow else []
        for part in page:
            marks, _, text = str(part).partition(" ")
            heading = set(marks) == {"#"}
            style = styles[f"Heading{len(marks)}"] if heading else styles["BodyText"]
            flow.append(Paragraph(text if heading else str(part), style))
    SimpleDocTemplate(str(path), title=title, author="Lindqvist Instruments", invariant=1).build(flow)


def _save(path: Path, document: Any) -> None:
    """Save an Office file with the same times in its directory whenever it is made."""
    buffer = io.BytesIO()
    document.save(buffer)
    with zipfile.ZipFile(buffer) as made, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as kept:
        for name in made.namelist():
            content = made.read(name)
            if name == "docProps/core.xml":
                content = _dated(content)
            kept.writestr(zipfile.ZipInfo(name, (2026, 9, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)


def _dated(core: bytes) -> bytes:
    """openpyxl writes the time of saving as ``modified``, whatever it was told."""
    from lxml import etree

    root = etree.fromstring(core)
    for element in root.iter("{http://purl.org/dc/terms/}modified", "{http://purl.org/dc/terms/}created"):
        element.text = f"{WRITTEN.isoformat()}Z"
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True))


if __name__ == "__main__":
    main()
