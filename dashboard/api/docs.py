"""The API's documentation as one page without a script: the usual viewers load theirs from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

_STYLE = """
:root{color-scheme:light dark;--line:#d9d9e0;--soft:#f4f4f8;--text:#1c2024;--quiet:#60646c;--accent:#3a5bc7}
@media(prefers-color-scheme:dark){:root{--line:#363a3f;--soft:#1c1d21;--text:#edeef0;--quiet:#b0b4ba;--accent:#9eb1ff}body{background:#111113}}
body{font:15px/1.55 system-ui,sans-serif;color:var(--text);margin:0;display:grid;grid-template-columns:minmax(0,17rem) minmax(0,52rem);gap:2.5rem;padding:2rem}
nav{position:sticky;top:2rem;align-self:start;font-size:13px;max-height:calc(100vh - 4rem);overflow:auto}
nav a{display:block;color:var(--quiet);text-decoration:none;padding:.2rem 0;overflow-wrap:anywhere}nav a:hover{color:var(--accent)}
h1{margin:0 0 .5rem;font-size:1.6rem}h2{margin:2.5rem 0 0;font-size:1rem;font-family:ui-monospace,monospace;overflow-wrap:anywhere}
h2 b{color:var(--accent);margin-right:.5rem}section{border-top:1px solid var(--line);margin-top:2rem}
p{margin:.4rem 0}small,.quiet{color:var(--quiet)}code,pre{font:13px/1.5 ui-monospace,monospace}
pre{background:var(--soft);border:1px solid var(--line);border-radius:8px;padding:.8rem 1rem;overflow:auto}
table{border-collapse:collapse;width:100%;margin:.6rem 0}td,th{text-align:left;border-bottom:1px solid var(--line);padding:.35rem .8rem .35rem 0;vertical-align:top}
@media(max-width:800px){body{grid-template-columns:minmax(0,1fr);padding:1rem}nav{position:static}}
"""


def docs_page(schema: dict[str, Any]) -> str:
    operations = [(path, method, one) for path, methods in schema["paths"].items() for method, one in methods.items()]
    base = schema["servers"][0]["url"]
    links = "".join(f'<a href="#{one["operationId"]}">{escape(one["summary"])}</a>' for _, _, one in operations)
    sections = "".join(_section(schema, base + path, method, one) for path, method, one in operations)
    title = escape(schema["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} API</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head><body>'
        f'<nav aria-label="Operations">{links}</nav><main><h1>{title} API</h1>'
        f"<p>{_code(schema['info']['description'])}</p>"
        f'<p><a href="{base}/openapi.json">openapi.json</a></p>{sections}</main></body></html>'
    )


def _section(schema: dict[str, Any], path: str, method: str, one: dict[str, Any]) -> str:
    about = f"<p class=quiet>{escape(one['description'])}</p>" if "description" in one else ""
    return (
        f'<section id="{one["operationId"]}"><h2><b>{method.upper()}</b>{escape(path)}</h2><p>{escape(one["summary"])}</p>'
        f"{about}{_parameters(one)}{_body(schema, one)}{_answers(schema, one)}</section>"
    )


def _parameters(one: dict[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{escape(given['name'])}</code></td><td>{given['in']}{'' if given.get('required') else ', optional'}</td>"
        f"<td>{escape(given.get('description', ''))}</td></tr>"
        for given in one.get("parameters", [])
    ]
    return _table(("Parameter", "In", ""), rows)


def _body(schema: dict[str, Any], one: dict[str, Any]) -> str:
    content = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if content is None:
        return ""
    properties = _resolved(schema, content).get("properties", {})
    rows = [
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_type(given))}</td><td>{escape(given.get('description', ''))}</td></tr>"
        for name, given in properties.items()
    ]
    return _table(("Body", "Type", ""), rows)


def _answers(schema: dict[str, Any], one: dict[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{status}</code></td><td>{escape(given['description'])}</td></tr>"
        for status, given in one["responses"].items()
    ]
    example = ""
    for status, given in one["responses"].items():
        content = given.get("content", {}).get("application/json", {}).get("schema")
        if status.startswith("2") and content:
            example = f"<pre>{escape(json.dumps(_shape(schema, content), indent=2))}</pre>"
    return _table(("Status", "Answer"), rows) + example


def _table(heads: tuple[str, ...], rows: list[str]) -> str:
    if not rows:
        return ""
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{''.join(rows)}</table>"


def _resolved(schema: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in given:
        given = given["anyOf"][0]
    if "$ref" not in given:
        return given
    found: dict[str, Any] = schema["components"]["schemas"][given["$ref"].rpartition("/")[2]]
    return found


def _type(given: dict[str, Any]) -> str:
    if "anyOf" in given:
        return " or ".join(_type(one) for one in given["anyOf"])
    if "$ref" in given:
        return str(given["$ref"].rpartition("/")[2])
    if given.get("type") == "array":
        return f"list of {_type(given['items'])}"
    return str(given.get("type", "any"))


def _shape(schema: dict[str, Any], given: dict[str, Any]) -> Any:
    """An answer with the types in the places of values."""
    found = _resolved(schema, given)
    if "properties" in found:
        return {name: _shape(schema, one) for name, one in found["properties"].items()}
    if found.get("type") == "array":
        return [_shape(schema, found["items"])]
    if isinstance(found.get("additionalProperties"), dict) and found["additionalProperties"]:
        return {"…": _shape(schema, found["additionalProperties"])}
    return found.get("const", _type(given))


def _code(text: str) -> str:
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if at % 2 else piece for at, piece in enumerate(pieces))
