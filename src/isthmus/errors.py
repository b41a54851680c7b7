"""Every error that Isthmus raises on purpose, in one tree.

Each has a stable ``code`` (what a program checks), an HTTP ``status``, a message (what happened) and a
``hint`` (what to do next). Nothing else reaches a user: no traceback, no vendor's text.

IsthmusError
├── InvalidRequest              400 invalid_request
│   ├── RequestTooLarge         413 request_too_large
│   ├── ContextTooLong          400 context_length_exceeded
│   └── ModelNotFound           404 model_not_found
├── Unauthenticated             401 invalid_api_key
├── Forbidden                   403 forbidden
├── NotFound                    404 not_found
│   └── ServerUnreachable       404 server_unreachable  (a command found no server to ask)
├── Refused                     403 (an answer of the policy, never an outage)
│   ├── PolicyDenied            403 policy_denied
│   ├── NoAdmissibleModel       403 no_admissible_model
│   ├── ReviewRequired          403 review_required
│   └── GuardBlocked            403 guard_blocked
├── LimitExceeded               429 limit_exceeded
│   └── BudgetExceeded          429 budget_exceeded
├── Upstream                    (a model's server, or the local runtime)
│   ├── UpstreamFailed          502 upstream_failed
│   ├── UpstreamTimeout         504 upstream_timeout
│   ├── UpstreamRateLimited     429 upstream_rate_limited
│   └── ModelUnavailable        503 model_unavailable
├── Unavailable                 (a stop of the pipeline that cannot do its work: it fails closed)
│   ├── AuditUnavailable        503 audit_unavailable
│   ├── GuardUnavailable        503 guard_unavailable
│   ├── PolicyUnavailable       503 policy_unavailable
│   └── StoreUnavailable        503 store_unavailable
├── ConfigInvalid               500 config_invalid      (command line: exit 2)
├── PolicyInvalid               500 policy_invalid
├── DigestMismatch              500 digest_mismatch
├── DocumentRejected            422 document_rejected   (one file; the rest of an ingest goes on)
└── VerificationFailed          500 verification_failed (the record does not add up)
"""

from __future__ import annotations

from collections.abc import Mapping


class IsthmusError(Exception):
    """The root. ``details`` holds machine-readable facts, such as the rule that refused."""

    code = "internal_error"
    status = 500
    hint = "This is a fault of Isthmus: look in the server's log for the request id."

    def __init__(self, message: str, *, hint: str | None = None, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint if hint is not None else type(self).hint
        self.details: dict[str, object] = dict(details or {})

    def as_dict(self) -> dict[str, object]:
        """The error as plain data: ``code``, ``message``, ``hint`` and the details."""
        return {"code": self.code, "message": self.message, "hint": self.hint, **self.details}


class InvalidRequest(IsthmusError):
    code, status = "invalid_request", 400
    hint = "Correct the request as the message says and send it again."


class RequestTooLarge(InvalidRequest):
    code, status = "request_too_large", 413
    hint = "Send less text, or raise server.max_body_bytes in isthmus.yaml."


class ContextTooLong(InvalidRequest):
    code, status = "context_length_exceeded", 400
    hint = "Shorten the conversation, or ask a model with a larger context."


class ModelNotFound(InvalidRequest):
    code, status = "model_not_found", 404
    hint = "List the models with GET /v1/models or `isthmus models list`."


class Unauthenticated(IsthmusError):
    code, status = "invalid_api_key", 401
    hint = "Send `Authorization: Bearer KEY`; an administrator makes keys with `isthmus keys create`."


class Forbidden(IsthmusError):
    code, status = "forbidden", 403
    hint = "Ask an administrator for a key with the role that this needs."


class NotFound(IsthmusError):
    code, status = "not_found", 404
    hint = "Check the address or the id."


class ServerUnreachable(NotFound):
    code = "server_unreachable"
    hint = "Start it with `isthmus serve`, or name its home folder with `isthmus --home DIR …`."


class Refused(IsthmusError):
    code, status = "policy_denied", 403
    hint = "See which rule refused with `isthmus policy explain`."


class PolicyDenied(Refused):
    code = "policy_denied"


class NoAdmissibleModel(Refused):
    code = "no_admissible_model"


class ReviewRequired(Refused):
    code = "review_required"
    hint = "A reviewer must approve this request first; the review's id is in the error."


class GuardBlocked(Refused):
    code = "guard_blocked"
    hint = "Remove what the guard found, or ask a reviewer if you think that it is wrong."


class LimitExceeded(IsthmusError):
    code, status = "limit_exceeded", 429
    hint = "Wait, then try again."


class BudgetExceeded(LimitExceeded):
    code = "budget_exceeded"
    hint = "Wait for the next period, or ask an administrator to raise the budget."


class Upstream(IsthmusError):
    code, status = "upstream_failed", 502
    hint = "The model's server failed. Try again, or name another model."


class UpstreamFailed(Upstream):
    code, status = "upstream_failed", 502


class UpstreamTimeout(Upstream):
    code, status = "upstream_timeout", 504
    hint = "The model's server did not answer in time. Try again, or raise the model's `timeout`."


class UpstreamRateLimited(Upstream):
    code, status = "upstream_rate_limited", 429
    hint = "The vendor limits the rate of calls. Wait, then try again."


class ModelUnavailable(Upstream):
    code, status = "model_unavailable", 503
    hint = "Run `isthmus doctor` to see what the model lacks."


class Unavailable(IsthmusError):
    code, status = "unavailable", 503
    hint = "Nothing was sent. Try again shortly; `isthmus doctor` says what is wrong."


class AuditUnavailable(Unavailable):
    code = "audit_unavailable"
    hint = "Nothing is answered that cannot be recorded. `isthmus doctor` says what is wrong with the log."


class GuardUnavailable(Unavailable):
    code = "guard_unavailable"


class PolicyUnavailable(Unavailable):
    code = "policy_unavailable"
    hint = "No valid policy is loaded: run `isthmus policy check`."


class StoreUnavailable(Unavailable):
    code = "store_unavailable"


class ConfigInvalid(IsthmusError):
    code, status = "config_invalid", 500
    hint = "Correct the configuration file; its JSON Schema is in docs/isthmus.schema.json."


class PolicyInvalid(IsthmusError):
    code, status = "policy_invalid", 500
    hint = "Correct the policy file; the policies that were in force stay in force."


class DigestMismatch(IsthmusError):
    code, status = "digest_mismatch", 500
    hint = "The file is not what its digest says; nothing of it was kept. Fetch it again."


class DocumentRejected(IsthmusError):
    code, status = "document_rejected", 422
    hint = "Convert the file to a format that is listed in docs/knowledge.md."


class VerificationFailed(IsthmusError):
    code, status = "verification_failed", 500
    hint = "The record does not add up: keep the files as they are and compare with a checkpoint you hold."
