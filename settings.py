"""What a Mailroom process reads from its environment, once, when it starts.

The commands read it and hand values on; no room below them looks at the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import Field, PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting has a default that works on one machine; `MAILROOM_<NAME>` overrides it."""

    model_config = SettingsConfigDict(env_prefix="MAILROOM_", extra="ignore", frozen=True)

    # Where things are kept
    data_dir: Path = Field(default_factory=lambda: user_data_path("mailroom"))
    database_url: SecretStr | None = None  # None: SQLite in the data folder
    files_url: SecretStr | None = None  # None: data_dir/files; or s3://bucket/prefix
    s3_endpoint: str | None = None  # an S3-compatible server other than Amazon's
    broker_url: SecretStr | None = None  # None: the embedded server that `mailroom up` starts
    results_url: SecretStr | None = None  # of direct tasks; None: the second embedded server

    # Doors
    host: str = "127.0.0.1"
    port: int = Field(default=8025, ge=0, le=65535)
    smtp_host: str = "127.0.0.1"
    smtp_port: int = Field(default=2525, ge=0, le=65535)
    smtp_recipients: str = "*"  # comma-separated addresses or @domains that are taken; * any
    smtp_bytes: PositiveInt = 45_000_000  # of a mail: a 30 MB attachment is 41 MB in base64
    smtp_tls_certificate: Path | None = None  # PEM; with it STARTTLS is offered
    smtp_tls_key: Path | None = None  # None: the key lies in the certificate's file
    smtp_auth: bool = False  # ask senders for an API token as password, over TLS only
    connectors_file: Path | None = None  # None: connectors.toml in the data folder
    rules_file: Path | None = None  # None: rules.toml in the data folder
    public_url: str | None = None  # as people outside reach it
    behind_proxy: bool = False  # trust one proxy's X-Forwarded-* and send secure cookies only
    secret_key: SecretStr | None = None  # None: made once, kept in the data folder

    # Limits
    upload_bytes: PositiveInt = 30_000_000
    batch_bytes: PositiveInt = 2_000_000_000  # of a file that is read row by row
    batches_limit: PositiveInt = 100  # unfinished ones of a workspace, past which 429 is answered
    owed_limit: PositiveInt = 200_000  # documents waiting, past which intake answers 429
    parse_seconds: PositiveFloat = 30
    parse_memory_bytes: PositiveInt = 700_000_000
    text_characters: PositiveInt = 5_000_000
    task_seconds: PositiveInt = 120  # past this a batch is stopped and its documents tried alone
    lease_seconds: PositiveInt = 150  # longer than task_seconds, or living work is taken twice
    attempts: PositiveInt = 3
    chunk_rows: PositiveInt = 4096  # of a batch job's file, taken and committed together
    batch_items: PositiveInt = 128
    batch_characters: PositiveInt = 400_000

    # Workers
    device: Literal["auto", "cpu", "cuda"] = "auto"
    train_memory_bytes: PositiveInt = 8_000_000_000  # a training process may hold; past it it ends
    threads: int = Field(default=0, ge=0)  # 0: one to read with, one a core to train or forecast
    pulse_seconds: PositiveFloat = 10  # how often every queue is rung, work or none
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
