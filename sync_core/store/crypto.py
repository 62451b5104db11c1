"""Secrets at rest: envelopes of AES-256-GCM under a ring of keys.

Each secret has a data key of its own, wrapped by the ring's newest key. Both layers are bound to (workspace, connection, purpose), so
that an envelope copied to another row does not open there.

    version 1 | wrapping key's id 4 | nonce 12 | wrapped data key 48 | nonce 12 | secret and tag
"""

from __future__ import annotations

import binascii
import hashlib
import os
import secrets
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sync_core.errors import ConfigError
from sync_core.settings import Settings

_VERSION: Final = b"\x01"
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_WRAPPED_BYTES: Final = _KEY_BYTES + 16
_HEAD_BYTES: Final = 1 + _ID_BYTES + _NONCE_BYTES + _WRAPPED_BYTES + _NONCE_BYTES
_FILE: Final = "encryption.key"


class Purpose(StrEnum):
    API_KEY = "api_key"
    WEBHOOK_SECRET = "webhook_secret"  # noqa: S105 - what it is for, not one


class KeyRing:
    """The newest key, which is the first, encrypts; every key decrypts."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise ConfigError("ENCRYPTION_KEYS: each key is 32 bytes in base64, separated by commas, the newest first.")
        self._keys = {_key_id(key): key for key in keys}
        self._newest = _key_id(keys[0])

    @classmethod
    def parse(cls, text: str) -> Self:
        """From base64 keys separated by commas, the newest first. Raises ConfigError, without showing any of them."""
        return cls([_decoded(part.strip()) for part in text.split(",") if part.strip()])

    def seal(self, secret: str, *, workspace_id: UUID, connection_id: UUID, purpose: Purpose) -> bytes:
        bound = _bound(workspace_id, connection_id, purpose)
        data_key = AESGCM.generate_key(_KEY_BYTES * 8)
        wrap_nonce, nonce = secrets.token_bytes(_NONCE_BYTES), secrets.token_bytes(_NONCE_BYTES)
        wrapped = AESGCM(self._keys[self._newest]).encrypt(wrap_nonce, data_key, bound)
        sealed = AESGCM(data_key).encrypt(nonce, secret.encode(), bound)
        return b"".join((_VERSION, self._newest, wrap_nonce, wrapped, nonce, sealed))

    def open(self, envelope: bytes, *, workspace_id: UUID, connection_id: UUID, purpose: Purpose) -> str:
        """Raises ConfigError when no key of the ring opens it: the ring lost a key, or the row was tampered with."""
        bound = _bound(workspace_id, connection_id, purpose)
        key = self._keys.get(envelope[1 : 1 + _ID_BYTES])
        if len(envelope) < _HEAD_BYTES or envelope[:1] != _VERSION or key is None:
            raise _unreadable()
        at = 1 + _ID_BYTES
        wrap_nonce, wrapped = envelope[at : at + _NONCE_BYTES], envelope[at + _NONCE_BYTES : _HEAD_BYTES - _NONCE_BYTES]
        try:
            data_key = AESGCM(key).decrypt(wrap_nonce, wrapped, bound)
            nonce = envelope[_HEAD_BYTES - _NONCE_BYTES : _HEAD_BYTES]
            return AESGCM(data_key).decrypt(nonce, envelope[_HEAD_BYTES:], bound).decode()
        except InvalidTag:
            raise _unreadable() from None

    def is_newest(self, envelope: bytes) -> bool:
        """Whether the envelope needs no sealing anew after a rotation."""
        return envelope[1 : 1 + _ID_BYTES] == self._newest


def load_keyring(settings: Settings) -> KeyRing:
    """ENCRYPTION_KEYS, or else the key in DATA_DIR, made at first use and readable by its owner only."""
    if settings.encryption_keys is not None and settings.encryption_keys.get_secret_value().strip():
        return KeyRing.parse(settings.encryption_keys.get_secret_value())
    path = settings.data_dir / _FILE
    if not path.exists():
        _generate(path)
    return KeyRing.parse(path.read_text("ascii").replace("\n", ","))


def _generate(path: Path) -> None:
    """Written whole under another name first: of two processes that start together, both read the first one's key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n")
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _decoded(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.replace("+", "-").replace("/", "_").encode("ascii"))
    except (binascii.Error, UnicodeEncodeError):
        return b""


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"cyphera key id\0" + key).digest()[:_ID_BYTES]


def _bound(workspace_id: UUID, connection_id: UUID, purpose: Purpose) -> bytes:
    return b"\0".join((b"cyphera", workspace_id.bytes, connection_id.bytes, purpose.value.encode()))


def _unreadable() -> ConfigError:
    return ConfigError(
        "A stored secret can't be decrypted: ENCRYPTION_KEYS (or encryption.key in DATA_DIR) lacks the key it was written with."
    )
