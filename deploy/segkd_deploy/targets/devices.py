"""``devices.yaml``: names for devices."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from segkd.errors import SegkdError, unknown_name
from segkd.files.yaml_lines import read_yaml_file
from segkd_deploy.targets.spec import LOCAL, TargetSpec, parse_address, parse_url

FILE_NAME = "devices.yaml"
FILE_VARIABLE = "SEGKD_DEVICES"


class Device(BaseModel):
    """An entry of the file; see ``TargetSpec``."""

    model_config = ConfigDict(extra="forbid")

    host: str
    user: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    python: str = "python3"
    runtime: Literal["onnxruntime", "tensorrt", "tensorrt_rtx"] | None = None
    provider: str | None = None
    dependencies: Literal["auto", "wheels", "found"] = "auto"
    folder: str | None = None
    env: dict[str, str] = Field(default_factory=dict)

    @field_validator("host")
    @classmethod
    def _is_a_host(cls, host: str) -> str:
        try:
            user, name, port = parse_address(f"[{host}]" if host.count(":") > 1 else host)
        except SegkdError as error:
            raise ValueError(f"{host!r} is no host name or address") from error
        if user is not None or port is not None:
            raise ValueError(f"{host!r}: user and port have keys of their own")
        return name

    @field_validator("env", mode="before")
    @classmethod
    def _numbers_are_text(cls, env: Any) -> Any:
        if not isinstance(env, dict):
            return env
        return {key: str(value) if type(value) in (int, float) else value for key, value in env.items()}


def find_devices_file(path: Path | None = None) -> Path | None:
    """The file: the one given, else ``$SEGKD_DEVICES``, ``./devices.yaml``, ``~/.config/segkd/devices.yaml``."""
    named = path or (Path(os.environ[FILE_VARIABLE]) if os.environ.get(FILE_VARIABLE) else None)
    if named is not None:
        return named
    config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return next((p for p in (Path(FILE_NAME), config / "segkd" / FILE_NAME) if p.is_file()), None)


def load_devices(path: Path) -> dict[str, Device]:
    """Read the file.

    Raises:
        SegkdError: if it cannot be read, or naming the device and key that is wrong.
    """
    content, _ = read_yaml_file(path)
    entries = content.get("devices") if isinstance(content, dict) else None
    if not isinstance(entries, dict) or not entries or set(content) != {"devices"}:
        raise SegkdError(f"{path}: expected one key, devices, with NAME: {{host: ...}} below it")
    devices = {}
    for name, entry in entries.items():
        if name == LOCAL or "/" in str(name):
            raise SegkdError(f"{path}: a device cannot be called {name!r}")
        try:
            devices[str(name)] = Device.model_validate(entry)
        except ValidationError as error:
            raise SegkdError(f"{path}: devices.{name}{_first_problem(error)}") from error
    return devices


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f": {unknown_name('key', place, Device.model_fields)}"
    return f".{place}: {problem['msg']}" if place else f": {problem['msg']}"


def resolve_targets(
    texts: Sequence[str], *, devices_file: Path | None = None, accept_new_host_key: bool = False
) -> list[TargetSpec]:
    """The devices behind ``local``, ``ssh://...`` and names of ``devices.yaml``.

    Raises:
        SegkdError: for a malformed address, an unknown name, or a device that is named twice.
    """
    specs = [_resolve(text, devices_file) for text in texts]
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise SegkdError(f"target {name} is named twice")
    return [dataclasses.replace(spec, accept_new_host_key=accept_new_host_key) for spec in specs]


def _resolve(text: str, devices_file: Path | None) -> TargetSpec:
    spec = parse_url(text)
    if spec is not None:
        return spec
    path = find_devices_file(devices_file)
    if path is None:
        raise SegkdError(
            f"unknown target {text!r}: give local, ssh://user@host[:port], or a name from {FILE_NAME}, which is "
            "neither here nor in ~/.config/segkd"
        )
    devices = load_devices(path)
    if text not in devices:
        raise unknown_name("target", text, [LOCAL, *devices])
    return TargetSpec(text, **devices[text].model_dump())
