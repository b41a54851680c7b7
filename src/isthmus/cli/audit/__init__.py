"""``isthmus audit``: read the log, check it, and take it away to check it elsewhere. One file per kind of command."""

from __future__ import annotations

from isthmus.cli.audit import checking, content, database, events, keys, search, sent, story, witness
from isthmus.cli.terminal import group

app = group("The audit log: ask it what happened, check that it was not changed, take it elsewhere.")

# the list of commands says which question each answers, in an order in which they are needed
app.command("list", short_help="What happened last? The newest entries.")(search.list_entries)
app.command("show", short_help="What happened in this request, or in entry N?")(story.show_request)
app.command("search", short_help="Which entries are of this person, model, rule, time?")(search.search)
app.command(short_help="What did this model or vendor receive? With proofs.")(sent.sent)
app.command(short_help="What is new? JSON Lines for a log collector.")(events.events)
app.command(short_help="Was anything changed since it was signed?")(checking.verify)
app.command(short_help="What is signed now? To keep somewhere else.")(checking.checkpoint)
app.command(short_help="With which public key is it checked?")(checking.vkey)
app.command(short_help="All of it, in a folder that a stranger can check.")(checking.export)
app.command(short_help="What was kept of a request? Opening it is recorded.")(content.content)
app.command(short_help="Is this the text? What a stranger needs to check it.")(content.disclose)
app.command(short_help="Destroy content that is older than it may be.")(content.expire)
app.command(short_help="Destroy all content that was kept of somebody.")(content.erase)
app.command("rotate-key", short_help="Give the log a new signing key.")(keys.rotate_key)
app.command("witness", short_help="Watch over others' logs: serve a witness.")(witness.witness)
app.command("schema", short_help="The tables of a log that replicas share, as SQL.")(database.schema)
