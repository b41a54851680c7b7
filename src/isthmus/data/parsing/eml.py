"""E-mail (RFC 5322, MIME): who wrote to whom about what, the body, and attachments where they can be read."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart

from isthmus.data.parsing.clean import clean_line
from isthmus.data.parsing.html import write_html
from isthmus.data.parsing.parsed import Parsed, Writer
from isthmus.data.parsing.raw import Raw, decode
from isthmus.data.parsing.registry import NAMED, NO, Parsers
from isthmus.data.parsing.text import write_paragraphs
from isthmus.errors import DocumentRejected

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_MAX_ATTACHMENTS = 100


class Email:
    def claims(self, raw: Raw) -> int:
        return NAMED if raw.extension in ("eml", "mht", "mhtml") and raw.text is not None else NO

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        message = message_from_bytes(raw.data, policy=policy.default)
        writer = Writer()
        writer.add("\n".join(f"{name}: {message[name]}" for name in _HEADERS if message[name]))
        _write_body(writer, message)
        for place, attachment in enumerate(message.iter_attachments()):
            if place == _MAX_ATTACHMENTS:
                writer.note(f"Only the first {_MAX_ATTACHMENTS} attachments were read.")
                break
            _write_attachment(writer, attachment, parsers)
        return writer.finish(str(message["Subject"] or ""), "message/rfc822")


def _write_body(writer: Writer, message: EmailMessage) -> None:
    body = message.get_body(preferencelist=("plain", "html"))
    if body is None:
        return
    text = _content(body)
    if body.get_content_type() == "text/html":
        write_html(writer, text)
    else:
        write_paragraphs(writer, text)


def _content(part: MIMEPart) -> str:
    """In the charset that the part names, where it is one."""
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    try:
        return data.decode(part.get_content_charset() or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return decode(data)


def _write_attachment(writer: Writer, part: MIMEPart, parsers: Parsers) -> None:
    name = clean_line(part.get_filename() or "") or f"without a name ({part.get_content_type()})"
    writer.heading(f"Attachment: {name}", 1)
    try:
        writer.splice(parsers.nested(Raw(_bytes(part), name)), level=2)
    except DocumentRejected as error:
        writer.note(f"The attachment {name} was not read. {error.message}")


def _bytes(part: MIMEPart) -> bytes:
    """The attachment's own bytes; a message within the message is written out again."""
    if part.get_content_type() == "message/rfc822":
        return b"".join(inner.as_bytes() for inner in part.iter_parts() if isinstance(inner, EmailMessage))
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""
