from __future__ import annotations

from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_deploy.targets.devices import find_devices_file, resolve_targets
from segkd_deploy.targets.spec import TargetSpec


def write(folder: Path, text: str) -> Path:
    path = folder / "devices.yaml"
    path.write_text(text)
    return path


def test_every_key(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "devices:\n"
        "  orin: {host: 10.0.0.4, user: nvidia, port: 2222, python: ~/py, runtime: tensorrt, provider: 'cuda:0',\n"
        "         dependencies: found, folder: /ssd, env: {OMP_NUM_THREADS: 4, NAME: x}}\n",
    )
    (spec,) = resolve_targets(["orin"], devices_file=path, accept_new_host_key=True)
    assert spec == TargetSpec(
        "orin",
        host="10.0.0.4",
        user="nvidia",
        port=2222,
        python="~/py",
        runtime="tensorrt",
        provider="cuda:0",
        dependencies="found",
        folder="/ssd",
        env={"OMP_NUM_THREADS": "4", "NAME": "x"},
        accept_new_host_key=True,
    )


def test_order_and_mixture(tmp_path: Path) -> None:
    path = write(tmp_path, "devices: {a: {host: a}, b: {host: '::1'}}")
    specs = resolve_targets(["ssh://u@c:7", "b", "local", "a"], devices_file=path)
    assert [(spec.name, spec.host) for spec in specs] == [("u@c:7", "c"), ("b", "::1"), ("local", None), ("a", "a")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("devices: {orin: {user: x}}", r"devices\.orin\.host: Field required"),
        ("devices: {orin: {host: x, pyton: y}}", r"devices\.orin: unknown key 'pyton'; did you mean 'python'"),
        ("devices: {orin: {host: x, port: 99999}}", r"devices\.orin\.port: .*65535"),
        ("devices: {orin: {host: -oProxyCommand=x}}", r"devices\.orin\.host: .*no host name"),
        ("devices: {orin: {host: me@x}}", r"devices\.orin\.host: .*keys of their own"),
        ("devices: {orin: {host: x, runtime: torch}}", r"devices\.orin\.runtime: .*onnxruntime"),
        ("devices: {local: {host: x}}", "cannot be called 'local'"),
        ("devices: []", "expected one key, devices"),
        ("hosts: {}", "expected one key, devices"),
        ("a: [", "not valid YAML"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        resolve_targets(["orin"], devices_file=write(tmp_path, text))


def test_wrong_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "devices: {orin: {host: x}}")
    with pytest.raises(SegkdError, match="unknown target 'orni'; did you mean 'orin'"):
        resolve_targets(["orni"], devices_file=path)
    with pytest.raises(SegkdError, match="target orin is named twice"):
        resolve_targets(["orin", "local", "orin"], devices_file=path)
    with pytest.raises(SegkdError, match=r"gone\.yaml: cannot be read"):
        resolve_targets(["orin"], devices_file=tmp_path / "gone.yaml")
    monkeypatch.chdir(tmp_path.parent)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    with pytest.raises(SegkdError, match=r"unknown target 'orin': give local, ssh://"):
        resolve_targets(["orin"])


def test_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "config/segkd", "named"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert find_devices_file() is None
    configured = write(tmp_path / "config" / "segkd", "")
    assert find_devices_file() == configured
    write(tmp_path / "here", "")
    assert find_devices_file() == Path("devices.yaml")
    monkeypatch.setenv("SEGKD_DEVICES", str(tmp_path / "named" / "d.yaml"))
    assert find_devices_file() == tmp_path / "named" / "d.yaml"
    assert find_devices_file(Path("given.yaml")) == Path("given.yaml")
