"""Keeps schemathesis from waiting: for what need not happen, and for streams that do not end."""

import schemathesis

STREAMS = ("/v1/components/{id}/logs", "/v1/events")


@schemathesis.hook
def before_call(context, case, kwargs):
    query = case.query if isinstance(case.query, dict) else {}
    if case.path in STREAMS:
        query.pop("follow", None)
        if isinstance(case.headers, dict) or hasattr(case.headers, "pop"):
            case.headers.pop("Accept", None)
    elif case.method.upper() == "POST" or "wait" in query:
        query.setdefault("timeout", 0.05)
        if isinstance(query["timeout"], (int, float)) and query["timeout"] > 0.05:
            query["timeout"] = 0.05
    case.query = query
