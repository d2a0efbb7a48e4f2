"""Payloads that clients in other languages write, each a valid job: CLASS and JID are filled in."""

from __future__ import annotations

import base64
import json
import zlib

AT = "1795405727"


def _with(fields: str, args: str = "[1]", queue: str = ',"queue":"default"') -> str:
    return f'{{"class":"CLASS","args":{args},"jid":"JID"{queue}{fields and ","}{fields}}}'


FOREIGN: dict[str, str] = {
    "iso": _with(
        '"created_at":"2026-11-23T03:50:00Z","enqueued_at":"2026-11-23T03:50:00.5+02:00",'
        '"failed_at":"2026-11-23 03:50:00 UTC","retried_at":"2026-11-23 03:50:00 +0000 UTC"'
    ),
    "unreadable-times": _with(
        '"created_at":"soon","enqueued_at":[1],"failed_at":true,"retried_at":{},"retry_count":2'
    ),
    "null-times": _with('"created_at":null,"enqueued_at":null,"failed_at":null,"retried_at":null'),
    "whole-seconds": _with(f'"created_at":{AT},"enqueued_at":{AT}'),
    "milliseconds": _with(f'"created_at":{AT}000,"enqueued_at":{AT}000'),
    "nanoseconds": _with(f'"created_at":{AT}000000000,"enqueued_at":{AT}000000.5'),
    "no-queue": _with("", queue=""),
    "odd-queue": _with("", queue=',"queue":["default"]'),
    "empty-queue": _with("", queue=',"queue":""'),
    "tags-text": _with('"tags":"billing"'),
    "tags-mixed": _with('"tags":["a",1,null,{"b":2}]'),
    "context-text": _with('"cattr":"tenant-1","cattr_1":5'),
    "raw-backtrace": _with('"error_backtrace":["a.rb:1:in `x\'","b.rb:2"],"backtrace":false'),
    "text-backtrace": _with('"error_backtrace":"Traceback\\n  line"'),
    "odd-errors": _with('"error_message":{"a":1},"error_class":5'),
    "big-integers": _with(
        '"account":123456789012345678901234567890', args="[1180591620717411303424,-99999999999999999999999]"
    ),
    "exponents": _with('"x":1e5', args="[1.0e+20,1E-5,-0.0,1.00]"),
    "minus-one": _with('"retry_count":-1,"failed_at":1795405727.5'),
    "text-count": _with('"retry_count":"3","failed_at":1795405727.5'),
    "huge-args": _with("", args='["%s"]' % ("é" * 60_000)),
    "pretty": '{\n  "class": "CLASS",\n  "args": [ 1, "a b" ],\r\n\t"jid": "JID",\n  "queue": "default"\n}\n',
    "escapes": _with('"n\\u006fte":"\\u2028"', args='["\\u00e9\\ud83d\\ude00\\/\\u000a"]'),
    "duplicates": _with('"queue":"default","class":"CLASS","args":[1]', queue=',"queue":"other"'),
    "at-inside": _with('"at":1'),
    "at-null": _with('"at":null'),
    "odd-retry": _with('"retry":"5","dead":"no"'),
    "html": _with('"tags":["<b>"],"error_message":"<script>","locale":5,"bid":5'),
}


def foreign(kind: str, name: str, jid: str, **fields: object) -> bytes:
    """Return one of them as a job of a given class, with more fields if any."""
    text = FOREIGN[kind].replace("CLASS", name).replace("JID", jid).rstrip()
    more = "".join(f',"{key}":{json.dumps(value)}' for key, value in fields.items())
    return f"{text[:-1]}{more}}}".encode()


def lines_of(backtrace: str) -> list[str]:
    """Read a stored backtrace as Ruby does."""
    lines: list[str] = json.loads(zlib.decompress(base64.b64decode(backtrace, validate=True)))
    return lines
