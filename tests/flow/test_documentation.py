"""Documentation that cannot lie: its Python is run, its configuration is parsed, its links and commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from flow.conftest import World
from isthmus import config
from isthmus.cli.main import application
from isthmus.errors import IsthmusError

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def blocks(language: str) -> list:
    return [
        pytest.param(code, id=f"{page.name}-{number}")
        for page in PAGES
        for number, (found, code) in enumerate(BLOCK.findall(page.read_text(encoding="utf8")))
        if found == language
    ]


@pytest.mark.model
@pytest.mark.parametrize("code", blocks("python"))
def test_python_in_the_documentation_runs(world: World, code: str, capsys):
    path = world.site.home / "leave.md"
    path.write_text("# Leave\n\nEveryone has 27 days of holiday a year.\n", encoding="utf8")
    world.site.run("ingest", str(path), "--collection", "handbook", "--level", "internal")
    code = code.replace("http://127.0.0.1:8787", world.site.url).replace("isk_…", world.keys["ada"])
    exec(compile(code, "documentation", "exec"), {"client": world.client()})
    if "print(" in code:
        assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("code", blocks("yaml"))
def test_configuration_in_the_documentation_is_valid(code: str):
    try:
        config.parse(code)
    except IsthmusError as error:
        pytest.fail(error.message)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_in_the_documentation_lead_somewhere(page: Path):
    for target in LINK.findall(page.read_text(encoding="utf8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def commands(command, name: str = "isthmus") -> set[str]:
    below = getattr(command, "commands", {})
    return {name}.union(*(commands(child, f"{name} {word}") for word, child in below.items()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_documentation_exist(page: Path):
    known = commands(typer.main.get_command(application()))
    for line in re.findall(r"^(?:\$ |    )(isthmus [^\n#]*)", page.read_text(encoding="utf8"), re.MULTILINE):
        words = [word for word in line.split() if not word.startswith("-")]
        assert " ".join(words[:2]) in known, f"{page.name}: {line}"
