"""The pages before sign-in, as plain HTML: they work without the bundle and without scripts, and password managers know them."""

from __future__ import annotations

from html import escape

from sync_core.errors import Refusal
from sync_core.services.accounts import MIN_PASSWORD

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Cyphera Sync</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<script src="/theme.js"></script>
<link rel="stylesheet" href="/app.css">
</head>
<body>
<main class="door">
<div class="door-card">
<span class="brand"><img src="/favicon.svg" alt="" width="26" height="26">Cyphera Sync</span>
{body}
</div>
</main>
</body>
</html>
"""


def sign_in_page(*, after: str = "/", email: str = "", refusal: Refusal | None = None) -> str:
    body = (
        '<div><h1>Sign in</h1><p class="muted">To the workspace that your Stripe account is synced into.</p></div>'
        f'<form method="post" action="/auth/sign-in">{_hidden("next", after)}'
        + _field("email", "Email", "email", "username", value=email, refusal=refusal, focused=not email)
        + _field("password", "Password", "password", "current-password", refusal=refusal, focused=bool(email))
        + '<button class="button primary" type="submit">Sign in</button></form>'
    )
    return _PAGE.format(title="Sign in", body=body)


def setup_page(*, token: str, name: str = "", email: str = "", refusal: Refusal | None = None) -> str:
    hint = f"At least {MIN_PASSWORD} characters. A few words in a row are good."
    body = (
        "<div><h1>Set up Cyphera Sync</h1>"
        '<p class="muted">You are the first here: this makes you the owner of the Default workspace.</p></div>'
        f'<form method="post" action="/auth/setup">{_hidden("token", token)}'
        + _field("name", "Name", "text", "name", value=name, refusal=refusal, focused=not email, optional=True)
        + _field("email", "Email", "email", "username", value=email, refusal=refusal)
        + _field("password", "Password", "password", "new-password", hint=hint, refusal=refusal, focused=bool(email))
        + '<button class="button primary" type="submit">Create owner account</button></form>'
    )
    return _PAGE.format(title="Set up", body=body)


def closed_page(refusal: Refusal) -> str:
    body = (
        f'<div><h1>This link is closed</h1><p class="muted">{escape(refusal.message)}</p></div>'
        '<a class="button" href="/auth/sign-in">To sign-in</a>'
    )
    return _PAGE.format(title="Closed", body=body)


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{escape(value)}">'


def _field(
    name: str,
    label: str,
    kind: str,
    filled_by: str,
    *,
    value: str = "",
    hint: str = "",
    refusal: Refusal | None = None,
    focused: bool = False,
    optional: bool = False,
) -> str:
    error = refusal.message if refusal is not None and refusal.field == name else ""
    ids = " ".join(part for part in (f"{name}-hint" if hint else "", f"{name}-error" if error else "") if part)
    described = f' aria-describedby="{ids}"' if ids else ""
    wrong = ' aria-invalid="true"' if error else ""
    below = f'<p class="hint" id="{name}-hint">{escape(hint)}</p>' if hint else ""
    said = f'<p class="error" id="{name}-error" role="alert">{escape(error)}</p>' if error else ""
    return (
        f'<div class="field"><label for="{name}">{label}{" (optional)" if optional else ""}</label>'
        f'<input class="input" id="{name}" name="{name}" type="{kind}" autocomplete="{filled_by}" value="{escape(value)}"'
        f' maxlength="254"{"" if optional else " required"}{" autofocus" if focused else ""}{described}{wrong}>{below}{said}</div>'
    )
