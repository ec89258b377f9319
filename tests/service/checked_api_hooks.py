"""Lets some of what schemathesis hands in be a document that is there: else nobody would look at a result."""

import os

import schemathesis


@schemathesis.hook.apply_to(method="POST", path="/v1/jobs")
def map_body(_, body):
    source = body.get("source") if isinstance(body, dict) else None
    if isinstance(source, dict) and source.get("kind") == "path" and isinstance(source.get("path"), str):
        return {**body, "source": {"kind": "path", "path": os.environ["CELERIAC_CHECKED_DOCUMENT"]}}
    return body
