"""Conflicts out to a spreadsheet and decisions back in: no formula gets out, no nonsense gets in."""

from __future__ import annotations

import csv
import io
import json
from uuid import UUID, uuid4

import pytest

from sync_core.domain.vocabulary import Role
from sync_core.errors import Refusal
from sync_core.services import conflicts_bulk, conflicts_files
from sync_core.services.actor import Actor
from sync_core.services.conflict_bulk_views import BulkPreview, BulkResult
from sync_core.services.conflicts import ConflictQuery
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts, person
from tests.support import rows


async def exported(database: Database, actor: Actor) -> str:
    return "".join([line async for line in conflicts_files.export_csv(database, actor, ConflictQuery())])


async def test_an_export_filled_in_comes_back_as_decisions(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 3)).actor
    # A write that changes nothing is no reason to leave a row out.
    await rows(database, workspace_id, "UPDATE customers SET name = name RETURNING id")
    lines = list(csv.DictReader(io.StringIO(await exported(database, actor))))
    assert [(line["label"], line["field"]) for line in lines[:2]] == [("Ours 3", "name"), ("Ours 3", "phone")]
    lines[0]["choice"] = "custom"
    lines[0]["value"] = "'=1+1"
    lines[2]["choice"] = "Stripe"
    out = io.StringIO()
    writer = csv.DictWriter(out, conflicts_files.HEADER)
    writer.writeheader()
    writer.writerows(lines)
    preview = await conflicts_files.import_preview(database, actor, out.getvalue())
    assert isinstance(preview, BulkPreview)
    assert preview.rows == 2
    result = await conflicts_bulk.bulk_resolve(database, actor, preview.id, preview.hash)
    assert isinstance(result, BulkResult)
    assert result.resolved == 2
    names = {row["name"] for row in await rows(database, workspace_id, "SELECT name FROM customers")}
    assert names == {"=1+1", "Stripe 2", "Ours 1"}


async def test_choices_for_single_keys_go_out_and_come_back(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    await rows(
        database,
        workspace_id,
        'UPDATE payment_sync_conflicts SET fields = \'{metadata}\', theirs = local || \'{"metadata": {"plan": "silver", "new": "x"}}\','
        ' base = base || \'{"metadata": {"plan": "wood"}}\', choices = \'{"metadata.plan": {"take": "stripe", "by": "Ann"}}\' RETURNING id',
    )
    text = await exported(database, actor)
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [(one["field"], one["local"], one["stripe"], one["choice"]) for one in lines[1:]] == [
        ("metadata.plan", "gold", "silver", "stripe")
    ]
    preview = await conflicts_files.import_preview(database, actor, text)
    assert isinstance(preview, BulkPreview)
    result = await conflicts_bulk.bulk_resolve(database, actor, preview.id, preview.hash)
    assert isinstance(result, BulkResult)
    assert result.resolved == 1
    (record,) = await rows(database, workspace_id, "SELECT metadata FROM customers")
    assert record["metadata"] == {"plan": "silver", "new": "x"}


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
async def test_no_cell_of_an_export_is_a_formula(database: Database, workspace_id: UUID, text: str) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    await rows(
        database,
        workspace_id,
        "UPDATE payment_sync_conflicts SET label = :text, theirs = theirs || jsonb_build_object('name', cast(:text AS text))"
        " RETURNING id",
        text=text,
    )
    for line in csv.reader(io.StringIO(await exported(database, actor))):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in line)


async def test_the_other_export_is_an_object_a_line(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 2)).actor
    lines = [json.loads(one) async for one in conflicts_files.export_json(database, actor, ConflictQuery())]
    assert [line["local"]["name"] for line in lines] == ["Ours 2", "Ours 1"]


FILES = {
    "nothing": "",
    "no column": "id,field,choice\n",
    "no decision": "id,revision,field,choice\n",
    "an unknown side": f"id,revision,field,choice\n{uuid4()},1,name,sideways",
    "no id": "id,revision,field,choice\nx,1,name,stripe",
    "no revision": f"id,revision,field,choice\n{uuid4()},one,name,stripe",
    "broken JSON": '{"id": ',
    "no object": "[1]",
    "half a revision": '{"id": "ID", "revision": 1.5, "field": "name", "choice": "stripe"}',
    "a revision beyond all": '{"id": "ID", "revision": 99999999999999999999, "field": "name", "choice": "stripe"}',
    "an own value without one": "id,revision,field,choice\nID,1,name,custom",
    "an own value that was cut off": "id,revision,field,choice,value\nID,1,name,custom",
    "an own value that is not in the object": '{"id": "ID", "revision": 1, "field": "name", "choice": "custom"}',
    "two lines about one field": "id,revision,field,choice\nID,1,name,stripe\nID,1,name,local",
    "a number that is none": '{"id": "ID", "revision": 1, "field": "name", "choice": "custom", "value": NaN}',
    "NUL in a value": '{"id": "ID", "revision": 1, "field": "name", "choice": "custom", "value": "\\u0000"}',
    "NUL in a field": '{"id": "ID", "revision": 1, "field": "metadata.\\u0000", "choice": "stripe"}',
    "half a character": '{"id": "ID", "revision": 1, "field": "metadata", "choice": "custom", "value": {"a": "\\ud800"}}',
}


async def test_a_file_that_makes_no_sense_is_refused_whole(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    (conflict,) = await rows(database, workspace_id, "SELECT id FROM payment_sync_conflicts")
    for name, text in FILES.items():
        refused = await conflicts_files.import_preview(database, actor, text.replace("ID", str(conflict["id"])))
        assert isinstance(refused, Refusal), name
        assert (refused.code, refused.field) == ("file_invalid", "decisions"), name


async def test_what_a_file_comes_too_late_for_is_said_beforehand(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 3)).actor
    moved = "UPDATE payment_sync_conflicts SET revision = 2 WHERE label = 'Ours 2' RETURNING id"
    await rows(database, workspace_id, moved)
    found = await rows(database, workspace_id, "SELECT id FROM payment_sync_conflicts ORDER BY created_at")
    ids = [*(row["id"] for row in found), uuid4()]
    text = json.dumps([{"id": str(one), "revision": 1, "field": "name", "choice": "stripe"} for one in ids])
    preview = await conflicts_files.import_preview(database, actor, text)
    assert isinstance(preview, BulkPreview)
    assert preview.rows == 2
    assert [(one.rows, one.reason) for one in preview.not_covered] == [
        (1, "They are settled already, or not of this workspace."),
        (1, "They have changed since the file was written: line 2."),
    ]


async def test_a_viewer_brings_nothing_in(database: Database, workspace_id: UUID) -> None:
    viewer = person(workspace_id, "Vic", Role.VIEWER)
    refused = await conflicts_files.import_preview(database, viewer, "id,revision,field,choice\n")
    assert isinstance(refused, Refusal)
    assert refused.status == 403
