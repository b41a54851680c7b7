"""How often reuse of a labelled text is recognised, and how often ordinary text is taken for it.

    python -m benchmarks.provenance [--data ../shared/data]

Sources: the passages of one public collection, taken as confidential. Recall: a passage's sentences come back quoted,
trimmed at both ends, lightly edited (every eighth word changed), and shuffled by halves. False positives: questions
and instructions of other collections, which repeat nothing of it but common phrases. The rule is in
`isthmus.data.fingerprints`; its thresholds were chosen on these same prompts, so the second figure is optimistic.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from isthmus.data.database import Database
from isthmus.data.provenance import StoredProvenance
from isthmus.labels import PUBLIC, Label, Level

CONFIDENTIAL = Label(Level.CONFIDENTIAL)
_KEY = b"b" * 32


def rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf8") as lines:
        yield from map(json.loads, lines)


def trimmed(words: list[str]) -> list[str]:
    return words[len(words) // 4 : -len(words) // 4 or None]


def edited(words: list[str]) -> list[str]:
    return ["indeed" if number % 8 == 7 else word for number, word in enumerate(words)]


def halved(words: list[str]) -> list[str]:
    return words[len(words) // 2 :] + words[: len(words) // 2]


EDITS: dict[str, Callable[[list[str]], list[str]]] = {
    "quoted": lambda words: words,
    "trimmed": trimmed,
    "edited": edited,
    "halved": halved,
}


def main(data: Path) -> None:
    collections = {
        "financebench": [row["text"] for row in rows(data / "rag/financebench/pages.jsonl")],
        "cranfield": [row["text"] for row in rows(data / "rag/cranfield/corpus.jsonl")],
    }
    prompts = {
        name: [row["prompt"] for row in rows(data / f"routing/{name}.jsonl")][:1000]
        for name in ("routellm_mmlu", "routellm_gsm8k", "alpacaeval_mixtral_vs_gpt4")
    }
    for name, texts in collections.items():
        with tempfile.TemporaryDirectory() as folder:
            database = Database(Path(folder, "isthmus.db"))
            provenance = StoredProvenance(database, _KEY, lambda: datetime.now(UTC))
            with database.write() as connection:
                for number, text in enumerate(texts, 1):
                    provenance.index(connection, number, [(text, CONFIDENTIAL)])
            measure(name, texts, prompts, provenance)
            database.close()


def measure(name: str, texts: list[str], prompts: dict[str, list[str]], provenance: StoredProvenance) -> None:
    chance = random.Random(7)
    sentences = [part.split() for text in texts for part in text.split(". ") if 12 <= len(part.split()) <= 40]
    sample = chance.sample(sentences, min(300, len(sentences)))
    for edit, change in EDITS.items():
        found = sum(provenance.recognise(" ".join(change(words))) != PUBLIC for words in sample)
        print(f"{name:13} recall, {edit:8} {found}/{len(sample)}")
    for kind, asked in prompts.items():
        raised = sum(provenance.recognise(text) != PUBLIC for text in asked)
        print(f"{name:13} raised, {kind:27} {raised}/{len(asked)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    main(parser.parse_args().data)
