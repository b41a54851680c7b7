"""``isthmus audit``: read the log, check it, and take it away to check it elsewhere. One file per kind of command."""

from __future__ import annotations

from isthmus.cli.audit import checking, content, database, events, keys, search, sent, story, witness
from isthmus.cli.terminal import group

app = group("The audit log: read it, verify it, export it.")

app.command("list")(search.list_entries)
app.command("search")(search.search)
app.command("show")(story.show_request)
app.command()(sent.sent)
app.command()(events.events)
app.command()(checking.verify)
app.command()(checking.checkpoint)
app.command()(checking.export)
app.command()(content.content)
app.command()(content.disclose)
app.command()(content.expire)
app.command()(content.erase)
app.command("rotate-key")(keys.rotate_key)
app.command("witness")(witness.witness)
app.command("schema")(database.schema)
