"""Secrets at rest: what opens where, after which rotation, and how the key file is made."""

from __future__ import annotations

import stat
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr

from sync_core.errors import ConfigError
from sync_core.settings import Settings
from sync_core.store.crypto import KeyRing, Purpose, load_keyring

WORKSPACE, OTHER = UUID(int=1), UUID(int=2)
CONNECTION, ANOTHER = UUID(int=3), UUID(int=4)
SECRET = "rk_test_only_for_this_test_4f1c"
OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def seal(ring: KeyRing) -> bytes:
    return ring.seal(SECRET, workspace_id=WORKSPACE, connection_id=CONNECTION, purpose=Purpose.API_KEY)


def unseal(ring: KeyRing, envelope: bytes) -> str:
    return ring.open(envelope, workspace_id=WORKSPACE, connection_id=CONNECTION, purpose=Purpose.API_KEY)


def settings(tmp_path: Path, keys: str | None = None) -> Settings:
    return Settings(data_dir=tmp_path, encryption_keys=None if keys is None else SecretStr(keys))


def test_an_envelope_opens_again_and_shows_nothing() -> None:
    ring = KeyRing([NEW])
    envelope = seal(ring)

    assert unseal(ring, envelope) == SECRET
    assert SECRET.encode() not in envelope
    assert b"4f1c" not in envelope
    assert seal(ring) != envelope


@pytest.mark.parametrize(
    ("workspace", "connection", "purpose"),
    [
        pytest.param(OTHER, CONNECTION, Purpose.API_KEY, id="another workspace"),
        pytest.param(WORKSPACE, ANOTHER, Purpose.API_KEY, id="another connection"),
        pytest.param(WORKSPACE, CONNECTION, Purpose.WEBHOOK_SECRET, id="another purpose"),
    ],
)
def test_an_envelope_does_not_open_elsewhere(workspace: UUID, connection: UUID, purpose: Purpose) -> None:
    ring = KeyRing([NEW])

    with pytest.raises(ConfigError, match="can't be decrypted"):
        ring.open(seal(ring), workspace_id=workspace, connection_id=connection, purpose=purpose)


def flipped(envelope: bytes, at: int) -> bytes:
    return envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1 :]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda _: b"", id="empty, as after a disconnect"),
        pytest.param(lambda envelope: envelope[:40], id="cut off"),
        pytest.param(lambda envelope: flipped(envelope, 0), id="version"),
        pytest.param(lambda envelope: flipped(envelope, 2), id="key id"),
        pytest.param(lambda envelope: flipped(envelope, 20), id="wrapped key"),
        pytest.param(lambda envelope: flipped(envelope, len(envelope) - 1), id="secret"),
    ],
)
def test_a_spoilt_envelope_is_refused(spoil: Callable[[bytes], bytes]) -> None:
    ring = KeyRing([NEW])

    with pytest.raises(ConfigError, match="can't be decrypted"):
        unseal(ring, spoil(seal(ring)))


def test_the_newest_key_encrypts_and_every_key_decrypts() -> None:
    before, after = seal(KeyRing([OLD])), seal(KeyRing([NEW, OLD]))
    rotated = KeyRing([NEW, OLD])

    assert [unseal(rotated, envelope) for envelope in (before, after)] == [SECRET, SECRET]
    assert [rotated.is_newest(envelope) for envelope in (before, after)] == [False, True]
    assert unseal(KeyRing([NEW]), after) == SECRET
    with pytest.raises(ConfigError, match="ENCRYPTION_KEYS"):
        unseal(KeyRing([NEW]), before)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="none"),
        pytest.param("not base64 ÿ", id="not base64"),
        pytest.param(b64encode(b"short").decode(), id="short"),
        pytest.param(f"{b64encode(NEW).decode()},{b64encode(b'short').decode()}", id="one of two short"),
    ],
)
def test_a_wrong_ring_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigError, match="32 bytes") as raised:
        KeyRing.parse(text)

    assert not text or text not in str(raised.value)


def test_the_ring_comes_from_the_environment(tmp_path: Path) -> None:
    ring = load_keyring(settings(tmp_path, f"{b64encode(NEW).decode()}, {b64encode(OLD).decode()}"))

    assert unseal(ring, seal(KeyRing([OLD]))) == SECRET
    assert not list(tmp_path.iterdir())


def test_a_key_is_generated_once_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: load_keyring(settings(folder)), range(8)))

    envelope = seal(rings[0])
    assert [unseal(ring, envelope) for ring in rings] == [SECRET] * 8
    assert [path.name for path in folder.iterdir()] == ["encryption.key"]
    assert stat.S_IMODE((folder / "encryption.key").stat().st_mode) == 0o600
