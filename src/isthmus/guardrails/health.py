"""Words of a medical record, in English, German, French and Spanish: enough to tell a letter from a letter's topic.

Three strengths: ``RECORD`` marks the form of a record about one person, ``CLEAR`` words are medical wherever they
stand, ``VAGUE`` ones have other meanings too.
"""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.guardrails.frames import Row
from isthmus.guardrails.identifiers import spans

RECORD = (
    r"(?:discharge|referral|clinic|medical)\s(?:letter|summary|report|note)",
    r"(?:entlass(?:ungs)?|arzt|befund|op-?)-?(?:brief|bericht)",
    r"(?:compte[\s-]rendu|lettre)\s(?:de\s|d')(?:sortie|hospitalisation|consultation)",
    r"informe\s(?:de\salta|médico|clínico)",
    r"(?:pt|patient(?:in|e)?|paciente)\s?:",
    r"(?:diagnos[ei]s|diagnosen?|befund|anamnese|medikation|diagnostic|antécédents|diagnóstico|antecedentes|motivo)\s?:",
    r"(?:icd|cim|cie)-?10\b",
    r"[A-TV-Z]\d{2}\.\d{1,2}[A-Z]?\b",
    r"\d+\s?(?:mg|µg|mcg|iu|i\.e\.)(?:/d|\s(?:od|bd|tds|daily|once|twice|tägl|täglich|morgens|par\sjour|al\sdía|cada))",
    r"(?:b\.i\.d|t\.i\.d|q\.d|p\.o)\.",
    r"\d-\d-\d(?:-\d)?\b",
)
CLEAR = (
    r"diagnos(?:ed|is|es|en?|tic|tiqué|ticad)",
    r"diagnóstic",
    r"chemotherap|chimiothérapie|quimioterapia|radiotherap",
    r"cancer|carcinom|karzinom|tumou?r|cáncer|leuk(?:a?emia|ämie)|leucémie|lymphom",
    r"diabet|diabèt",
    r"hypertens|hypertonie|hipertens|blood\spressure|blutdruck",
    r"\bhiv\b|\bvih\b|\baids\b|hepatiti",
    r"pneumonia|pneumonie|neumonía|asthma|copd\b|bronchit|appendi[cx]|apendicitis|appendektomie|blinddarm",
    r"depressi(?:on|ve\sepi)|depresión|dépressi|schizophren|psychiatr|bipolar",
    r"myocardial|herzinfarkt|infarct|infarto|vorhofflimmern|fibrillation|angina|stroke|schlaganfall|fra[ck]tur",
    r"medication|medikation|medikament|médicament|medicación|medicamento|arzneimittel|prescri(?:bed|ption)|ordonnance",
    r"hospitali[sz]|hôpital|krankenhaus|stationär|\bklinik|clínica|hospital\b",
    r"anamnes|befund|antécédents|posologie|biops|metformin|ibuprofen|ramipril|amoxicillin|insulin",
    r"allerg|alergia|symptom|síntoma|surgery|chirurg|cirugía|pregnan|schwanger|enceinte|embaraz",
)
VAGUE = (
    r"patient",
    r"pacient",
    r"treat(?:ed|ment)|behand(?:elt|lung)|traitement|tratamiento|therap|terapia",
    r"discharge|entlass|sortie|dado\sde\salta|dada\sde\salta|\balta\b",
    r"admitted|admission|aufnahme|aufgenommen|ingres(?:o|ad)|admise?\b",
    r"doctor|physician|\barzt|ärzt|médecin|médico|\bdr\.",
    r"\bdose|dosis|\bmg\b|tablet|injection|\bop\b",
    r"\bpain\b|schmerz|douleur|dolor\b|fever|fieber|fièvre|fiebre",
    r"follow-up|kontrolle|nachsorge|suivi|revisión|history\sof",
    r"\bward\b|\bclinic\b|overweight|obes|surgeon|nurse",
)


def find(text: str) -> Iterator[Row]:
    """One row for each distinct word, where it stands first: its kind, and the weight that it has."""
    for kind, words in (("HEALTH_RECORD", RECORD), ("HEALTH", CLEAR), ("HEALTH_VAGUE", VAGUE)):
        for word in words:
            for start, end in spans(f"(?i)(?:^|[^\\pL\\pN])({word.removeprefix(_BOUND)})", text):
                yield kind, start, end, 0.5
                break


_BOUND = r"\b"
