"""What identifies a person, found by form: checksummed numbers, numbers and birth dates behind their label, names
behind a title. English, German, French and Spanish. Rows of data over re2: linear in the text, whatever it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from isthmus.guardrails import checksums
from isthmus.guardrails.frames import Row


@dataclass(frozen=True, slots=True)
class Number:
    """A number that its own form gives away. ``check`` gets it without separators, in capitals."""

    kind: str
    pattern: str
    check: Callable[[str], bool]


NUMBERS = (
    Number("CREDIT_CARD", r"\b\d(?:[ -]?\d){12,18}\b", checksums.card),
    Number("IBAN", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", checksums.iban),
    Number("US_SSN", r"\b\d{3}-\d{2}-\d{4}\b", checksums.ssn),
    Number("DE_HEALTH_INSURANCE", r"\b[A-Z]\d{3} ?\d{3} ?\d{3}\b", checksums.kvnr),
    Number("DE_PENSION", r"\b\d{2} ?[0-3]\d[01]\d{3} ?[A-Z] ?\d{3}\b", checksums.pension),
    Number("FR_NIR", r"\b[12] ?\d{2} ?[0-9]{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}\b", checksums.nir),
    Number("ES_DNI", r"\b(?:\d{8}|[XYZ][ -]?\d{7})[ -]?[A-Z]\b", checksums.dni),
    Number("CH_AHV", r"\b756\.?\d{4}\.?\d{4}\.?\d{2}\b", checksums.ahv),
    Number("UK_NINO", r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b", lambda _: True),
)

_NO = r"(?:\s?-?\s?(?:n(?:umm?e|ume)?ros?|numbers?|nummer|num\.?|no\.?|nr\.?|n[°.]|id(?:entifier)?|code|#))"
_OF = r"(?:n(?:umé|úme|ume)ro|n[°o]\.?|núm\.?|num\.?)\s?(?:de\s|d'|d’|du\s)?(?:la\s|l'|l’)?"

#: Words that announce a number, by what the number is. It must follow at once.
LABELLED = {
    "INSURANCE_ID": (
        rf"(?:health\s)?insurance(?:\s(?:policy|member))?{_NO}",
        rf"(?:member|subscriber|policy|medicare|medicaid|mbi){_NO}",
        r"(?:kranken)?versicherten-?\s?(?:nummer|nr\.?|id)",
        r"(?:kranken)?(?:kassen|versicherungs)-?\s?(?:nummer|nr\.?)",
        r"(?:kv|vers)\.?-?\s?(?:nummer|nr\.?)",
        r"kvnr",
        rf"{_OF}(?:sécurité\ssociale|sécu|assurée?|seguridad\ssocial|afiliación|asegurad[oa]|póliza|tarjeta\ssanitaria)",
        r"\b(?:nir|nss|nuss|cip|tsi|tarjeta\ssanitaria)",
    ),
    "MEDICAL_RECORD": (
        rf"(?:medical\srecord|patient|hospital|chart|nhs){_NO}",
        r"mrn",
        r"(?:patienten|fall|aufnahme)-?\s?(?:nummer|nr\.?|id)",
        rf"{_OF}(?:dossier|patiente?|paciente|historia(?:\sclínica)?)",
        r"\b(?:ipp|nhc)",
    ),
    "NATIONAL_ID": (
        r"(?:ssn|itin)",
        rf"(?:social\ssecurity|passport|national\sinsurance|national\sid|identity\scard|tax(?:payer)?){_NO}",
        rf"(?:tax(?:payer)?\sidentification){_NO}",
        rf"driver'?s?\slicen[cs]e{_NO}",
        r"(?:reise)?pass-?\s?(?:nummer|nr\.?)",
        r"(?:personal)?ausweis-?\s?(?:nummer|nr\.?)",
        r"steuer-?\s?(?:id|nummer|nr\.?|identifikationsnummer)",
        r"(?:sozial|renten)versicherungs-?\s?(?:nummer|nr\.?)",
        r"sv-?\s?(?:nummer|nr\.?)",
        rf"{_OF}(?:passeport|carte\sd'identité|pasaporte)",
        r"\b(?:dni|nif)(?:/nie)?",
    ),
    "ACCOUNT": (rf"(?:bank\s)?account{_NO}", r"konto-?\s?(?:nummer|nr\.?)"),
}
_VALUE = (
    r"[\s|]{0,4}(?:(?:is|was|ist|lautet|est|es)\s)?[\s:;.#=|*\"'()\[\]>-]{0,10}"
    r"((?:[A-Z]{1,4}[ -]?)?\d(?:[ ./-]?[A-Z0-9]){4,24})"
)

_MONTH = (
    r"(?:jan|feb|fév|fev|mar|mär|apr|avr|abr|may|mai|jun|juin|jul|juil|aug|aoû|aou|ago|sep|oct|okt|nov|dec|dez|déc|dic|"
    r"ene)[a-zéûúä]{0,7}\.?"
)
_NUMERIC = (
    r"(?:\d{1,2}\s?[./-]\s?\d{1,2}\s?[./-]\s?(?:19|20)?\d{2}|(?:19|20)\d{2}[./-]\d{1,2}[./-]\d{1,2}"
    r"|\d{1,2}-[a-z]{3}-\d{2,4})"
)
_SPELT = (
    rf"(?:\d{{1,2}}(?:st|nd|rd|th|er|\.)?\s?(?:of\s|de\s)?{_MONTH},?\s(?:de\s|del\s)?(?:19|20)\d{{2}}"
    rf"|{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?,?\s(?:19|20)\d{{2}})"
)
_BIRTH = (
    r"(?:date[\s_-]of[\s_-]birth|birth[\s_-]?date|birthday|d\.?\s?o\.?\s?b\b\.?|geburts-?(?:datum|tag)|geb\b\.?(?:-datum)?"
    r"|date\sde\snaissance|ddn|fecha\sde\snacimiento|f\.?\s?(?:de\s)?nac(?:imiento)?\b\.?)"
)
_BORN = r"(?:born|geboren|née?|né\(e\)|nacid[oa])(?:\s(?:on|am|le|el))?(?:\sthe)?"

_TITLE = (
    r"\b(?:mrs?|ms|miss|mx|herrn?|frau|mme|madame|monsieur|mlle|sra?|señora?|don|doña|(?:der|die)\spatient(?:in)?"
    r"|(?:the\s)?patient|paciente|patiente|pt|(?:patient(?:en)?\s?-?)?name|nom|nombre|vorname|nachname|surname|apellidos?)"
)
_NAME = r"[\s.:,*|-]{1,5}(?:(?:dr|prof|med)\.?\s){0,3}"
_CAPITALISED = r"(\p{Lu}[\p{L}'’-]+(?:,?\s(?:(?:de|del|la|von|van|der|den|zu|di|da)\s){0,2}\p{Lu}[\p{L}'’-]+){0,3})"


def find(text: str) -> Iterator[Row]:
    """Identifiers in normalised text, in no order. ``BIRTH_DATE`` stands for a date that a record labels so,
    ``BORN`` for one in running prose, as in a biography."""
    for number in NUMBERS:
        for start, end in spans(rf"(?i)({number.pattern})", text):
            if number.check(_bare(text[start:end])):
                yield number.kind, start, end, 1.0
    for kind, labels in LABELLED.items():
        words = "|".join(labels)
        for start, end in spans(rf"(?i)(?:^|[^\pL])(?:{words}){_VALUE}", text):
            if sum(map(str.isdigit, text[start:end])) >= 5:
                yield kind, start, end, 0.9
    yield from _dates(text)
    for start, end in spans(rf"(?i:{_TITLE}){_NAME}{_CAPITALISED}", text):
        yield "PERSON", start, end, 0.7


def _dates(text: str) -> Iterator[Row]:
    # A label and its date may stand in different rows of a table: other words between them, but no other number.
    for start, end in spans(rf"(?i)\b{_BIRTH}[^0-9]{{0,80}}({_NUMERIC}|{_SPELT})", text):
        yield "BIRTH_DATE", start, end, 0.9
    for start, end in spans(rf"(?i)\b{_BORN}[\s:]{{1,3}}({_NUMERIC})", text):
        yield "BIRTH_DATE", start, end, 0.9
    for start, end in spans(rf"(?i)\b{_BORN}[\s:]{{1,3}}({_SPELT})", text):
        yield "BORN", start, end, 0.6


def _bare(number: str) -> str:
    return "".join(filter(str.isalnum, number)).upper()


def spans(pattern: str, text: str) -> Iterator[tuple[int, int]]:
    """Where the first group of each match stands."""
    for match in _compiled(pattern).finditer(text):
        yield match.span(1)


@cache
def _compiled(pattern: str) -> Any:
    import re2

    return re2.compile(pattern)
