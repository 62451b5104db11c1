"""What ``GET /v1/account`` shows."""

from __future__ import annotations

from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Json

_REQUIREMENTS: Json = {
    "alternatives": [],
    "current_deadline": None,
    "currently_due": [],
    "disabled_reason": None,
    "errors": [],
    "eventually_due": [],
    "past_due": [],
    "pending_verification": [],
}


def account_object(account: Account) -> Json:
    return {
        "id": account.id,
        "object": "account",
        "business_profile": {
            "mcc": "5734",
            "name": "Sandbox Industries",
            "product_description": "Software for teams",
            "support_email": "help@example.com",
            "support_phone": None,
            "support_url": None,
            "url": "https://www.example.com",
        },
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "DE",
        "created": account.created,
        "default_currency": "eur",
        "details_submitted": True,
        "email": "owner@example.com",
        "external_accounts": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/accounts/{account.id}/external_accounts",
        },
        "future_requirements": _REQUIREMENTS,
        "metadata": {},
        "payouts_enabled": True,
        "requirements": _REQUIREMENTS,
        "settings": {
            "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
            "dashboard": {"display_name": "Sandbox Industries", "timezone": "Europe/Berlin"},
            "payments": {"statement_descriptor": "SANDBOX IND"},
        },
        "tos_acceptance": {"date": account.created, "ip": None, "user_agent": None},
        "type": "standard",
    }
