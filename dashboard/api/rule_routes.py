"""/sync/stripe/conflicts/rules"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field, StrictBool, StrictInt, StrictStr

from dashboard.api.access import CallingActor, OpenDatabase
from dashboard.api.answers import noes
from dashboard.api.errors import granted
from dashboard.api.models import Body
from sync_core.domain.conflict_rules import Take
from sync_core.domain.vocabulary import Choice, Facet
from sync_core.errors import Refusal
from sync_core.services import conflict_rules
from sync_core.services.actor import Actor
from sync_core.store.database import Database

router = APIRouter(prefix="/sync/stripe/conflicts/rules", tags=["conflict rules"])


class RuleWhen(Body):
    """All facets must fit, any value of each; those in `excluded` are meant the other way round."""

    facets: dict[Facet, list[StrictStr]] = Field(
        default_factory=dict, description="entity, field, reason, transition, severity, customer"
    )
    excluded: list[Facet] = Field(default_factory=list)


class RuleThen(Body):
    take: Take | None = Field(default=None, description="For every field that differs.")
    fields: dict[str, Take] = Field(default_factory=dict, description="Fields with an answer of their own.")
    record: Choice | None = Field(default=None, description="Where the record itself is in question: local or stripe.")
    money: StrictBool = Field(default=False, description="Whether it may change what somebody pays.")


class RuleBody(Body):
    name: StrictStr = Field(min_length=1, max_length=conflict_rules.NAME_LENGTH)
    when: RuleWhen = Field(default_factory=RuleWhen)
    then: RuleThen


class RulesFile(Body):
    rules: list[RuleBody] = Field(max_length=conflict_rules.MOST_RULES)


class RuleChange(Body):
    """What is left out stays as it is."""

    enabled: StrictBool | None = None
    position: StrictInt | None = Field(
        default=None, ge=1, le=1_000, description="Its place in the order: 1 is the first; past the end is the last."
    )


class ConflictRule(BaseModel):
    id: str
    object: Literal["conflict_rule"]
    name: str
    enabled: bool
    when: dict[str, Any]
    then: dict[str, Any]
    hits: int
    last_hit_at: int | None
    matches: int
    settles: int


class RuleList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ConflictRule]


class DeletedRule(BaseModel):
    id: str
    object: Literal["conflict_rule"] = "conflict_rule"
    deleted: bool = True


@router.get("", response_model=RuleList, responses=noes(), summary="Standing rules, in their order")
async def list_rules(actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """The first that fits a new conflict decides it. Each with how many open ones fit it, and how many of them it would settle."""
    rules = granted(await conflict_rules.listed(database, actor))
    return {"object": "list", "data": [one.to_json() for one in rules]}


@router.post("", status_code=201, response_model=ConflictRule, responses=noes(403, 409), summary="Add a standing rule")
async def add_rule(body: RuleBody, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """Behind the others, and off: it decides nothing until it is enabled."""
    return await _shown(database, actor, await conflict_rules.create(database, actor, body.model_dump(mode="json")))


@router.get("/export", response_model=RulesFile, responses=noes(), summary="All rules as a file")
async def export_rules(actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    return granted(await conflict_rules.exported(database, actor))


@router.post(
    "/import", status_code=201, response_model=RuleList, responses=noes(403, 409), summary="Add the rules of a file"
)
async def import_rules(body: RulesFile, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """As exported, behind the others, all of them off; a rule that makes no sense refuses the whole file."""
    given = body.model_dump(mode="json")["rules"]
    granted(await conflict_rules.add(database, actor, given))
    return await list_rules(actor, database)


@router.patch(
    "/{rule_id}", response_model=ConflictRule, responses=noes(403), summary="Enable, disable or move a standing rule"
)
async def change_rule(rule_id: UUID, body: RuleChange, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    refused = await conflict_rules.change(database, actor, rule_id, enabled=body.enabled, position=body.position)
    return await _shown(database, actor, refused or rule_id)


@router.delete("/{rule_id}", response_model=DeletedRule, responses=noes(403), summary="Delete a standing rule")
async def delete_rule(rule_id: UUID, actor: CallingActor, database: OpenDatabase) -> dict[str, Any]:
    """What it decided stands."""
    granted(await conflict_rules.remove(database, actor, rule_id))
    return {"id": str(rule_id)}


async def _shown(database: Database, actor: Actor, rule_id: UUID | Refusal) -> dict[str, Any]:
    return granted(await conflict_rules.get(database, actor, granted(rule_id))).to_json()
