"""The environment, read once. Every name is in README's table; a test compares the two."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    port: int = 3000
    public_url: str | None = None
    data_dir: Path = Path(".data")
    database_url: str | None = None
    stripe_api_base: str = "https://api.stripe.com"
    demo: bool = False
    sandbox_port: int = 12111
    owner_email: str | None = None
    owner_password: SecretStr | None = None
    encryption_keys: SecretStr | None = None
    stripe_secret_key: SecretStr | None = None
    stripe_webhook_secret: SecretStr | None = None
    rate_cap_share: float = Field(default=0.8, gt=0, le=1)
    monthly_reads: int = Field(default=10_000, ge=1)
    read_warning_share: float = Field(default=0.5, gt=0)
    rate_unlimited: bool = False
    max_runs: int = Field(default=4, ge=1)
    tick_seconds: float = Field(default=2.0, gt=0)
    lease_seconds: float = Field(default=20.0, gt=0)
    log_level: str = "INFO"

    @property
    def origin(self) -> str:
        """Where browsers find the dashboard, without a trailing slash."""
        return (self.public_url or f"http://localhost:{self.port}").rstrip("/")

    @property
    def sandbox_base(self) -> str:
        return f"http://127.0.0.1:{self.sandbox_port}"


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    return Settings()
