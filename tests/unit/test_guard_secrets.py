"""What the secrets guard finds on the way in: one real worker for the module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from guard_texts import ORDINARY

from isthmus.guardrails.pool import Pool
from isthmus.guardrails.secrets import SECRET, Secrets
from isthmus.labels import PUBLIC

pytestmark = pytest.mark.asyncio(loop_scope="module")
BODY = "aB3dE6gH9jK2mN5pQ8sT1vW4xY7z"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def guard() -> AsyncIterator[Secrets]:
    pool = Pool(timeout=60)
    yield Secrets(pool)
    await pool.stop()


SECRETS = {
    "openai": f"sk-proj-{BODY}{BODY}",
    "aws": "AKIAIOSFODNN7EXAMPL3",
    "github": f"ghp_{BODY}aB3dE6gH9",
    "hidden": f"ghp_{BODY[:9]}\u200b{BODY}aB3dE",
    "full width": f"ｇｈｐ_{BODY}aB3dE6gH9",
    "pem": f"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq{BODY}\n-----END PRIVATE KEY-----",
    "password": "DB_PASSWORD=Xy9kkq28Zpqa77",
    "our own": f"isk_{BODY}{BODY}",
}


@pytest.mark.parametrize("name", SECRETS)
async def test_a_secret_never_leaves(guard: Secrets, name: str) -> None:
    text = f"Why does this not work?\n  {SECRETS[name]}\nThanks – müde."
    verdict = await guard.check(text, "input")
    assert (verdict.action, verdict.label) == ("allow", SECRET)
    first = verdict.findings[0]
    assert text[first.start : first.end] in SECRETS[name]
    assert first.end - first.start >= 12


async def test_in_an_answer_it_is_redacted(guard: Secrets) -> None:
    assert (await guard.check(f"Use {SECRETS['github']}.", "output")).action == "redact"


@pytest.mark.parametrize(
    "text",
    [
        *ORDINARY,
        'login("user@example.org", "password")',
        "api_key = os.environ['API_KEY']",
        "Set OPENAI_API_KEY=sk-... and restart.",
        "PEM files begin with `-----BEGIN PRIVATE KEY-----` and end with `-----END PRIVATE KEY-----`.",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "The class sk-learn-internationalization-helpers does not exist.",
    ],
)
async def test_ordinary_text_holds_none(guard: Secrets, text: str) -> None:
    assert (await guard.check(text, "input")).label == PUBLIC
