import copy
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfu.__main__ import main
from tests.api.objects import CLASS, INFERENCE, LLAMA, POLICY, TRAINING

COMMON = {
    "mfu",
    "mfuLow",
    "mfuHigh",
    "hfu",
    "mfuFullAttention",
    "boundBy",
    "modelFlopsPerToken",
    "peakFlopsPerAccelerator",
    "memory",
    "terms",
    "assumptions",
}
OF_TRAINING = {"stepSeconds", "tokensPerSecondPerAccelerator"}
OF_INFERENCE = {
    "outputTokensPerSecondPerAccelerator",
    "totalTokensPerSecondPerAccelerator",
    "timeToFirstTokenSeconds",
    "timePerOutputTokenSeconds",
    "concurrency",
}


def _file(folder: Path, *bodies: object, name: str = "workloads.yaml") -> str:
    path = folder / name
    path.write_text("---\n".join(yaml.safe_dump(body, sort_keys=False) for body in bodies), encoding="utf-8")
    return str(path)


def _json(capsys: pytest.CaptureFixture[str], *files: str) -> tuple[int, list[dict[str, Any]], str]:
    status = main(["estimate", *(part for file in files for part in ("-f", file)), "-o", "json"])
    written = capsys.readouterr()
    return status, json.loads(written.out), written.err


@pytest.mark.parametrize(("body", "keys"), [(TRAINING, OF_TRAINING), (INFERENCE, OF_INFERENCE)], ids=["training", "inference"])
def test_the_json_has_what_the_contract_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: dict[str, Any], keys: set[str]
) -> None:
    status, (entry,), complaints = _json(capsys, _file(tmp_path, body))
    assert (status, complaints) == (0, "")
    assert (entry["name"], entry["namespace"]) == (body["metadata"]["name"], body["metadata"]["namespace"])
    expected = entry["expected"]
    assert expected.keys() >= COMMON | keys
    assert 0 < expected["mfuLow"] <= expected["mfu"] <= expected["mfuHigh"] < 1
    assert expected["memory"].keys() >= {"requiredBytes", "capacityBytes", "fits"}
    assert sum(term["share"] for term in expected["terms"]) == pytest.approx(1.0)
    if "stepSeconds" in expected:
        assert sum(term["seconds"] for term in expected["terms"]) == pytest.approx(expected["stepSeconds"], rel=1e-6)


def test_one_bad_document_does_not_stop_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typo = copy.deepcopy(TRAINING)
    typo["spec"]["training"]["microBatch"] = 1
    unknown = copy.deepcopy(TRAINING)
    unknown["metadata"] = {"name": "other"}
    unknown["spec"]["accelerators"]["class"] = "h100-sxm-81gb"
    path = tmp_path / "mixed.yaml"
    texts = [yaml.safe_dump(TRAINING), yaml.safe_dump(typo), "a: b: c\n", "[1, 2]\n", yaml.safe_dump(unknown), json.dumps(INFERENCE)]
    path.write_text("---\n".join(text if text.endswith("\n") else text + "\n" for text in texts), encoding="utf-8")
    status, entries, complaints = _json(capsys, str(path))
    assert status == 1
    assert ["error" in entry for entry in entries] == [False, True, True, True, True, False]
    assert "spec.training.microBatch: is not a known field; did you mean microBatchSize?" in entries[1]["error"]
    assert (entries[4]["name"], entries[4]["namespace"]) == ("other", "default")
    assert "h100-sxm-80gb" in entries[4]["error"]
    lines = complaints.splitlines()
    assert len(lines) == 4
    assert all(line.startswith(f"mfu: {path}: document {number}") for line, number in zip(lines, (2, 3, 4, 5), strict=True))


def test_a_precision_that_the_gpu_lacks_is_an_error_and_no_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = copy.deepcopy(TRAINING)
    body["spec"]["precision"] = {"compute": "nvfp4"}
    status, (entry,), _ = _json(capsys, _file(tmp_path, body))
    assert status == 1 and "nvfp4" in entry["error"] and "expected" not in entry


def test_what_else_a_tenant_keeps_in_the_file_is_passed_over_and_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = copy.deepcopy(TRAINING)
    body["spec"]["model"] = {"configMapRef": {"name": "llama"}}
    body["spec"]["accelerators"]["class"] = "h100-ours"
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "llama", "namespace": "research"},
        "data": {"config.json": json.dumps(LLAMA)},
    }
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "llama-8b"}}
    status, entries, complaints = _json(capsys, _file(tmp_path, body, job, POLICY), _file(tmp_path, config_map, CLASS, name="beside.yaml"))
    assert (status, complaints, len(entries)) == (0, "", 1)
    assert entries[0]["expected"]["peakFlopsPerAccelerator"] == pytest.approx(900e12)


def test_a_list_of_kubectl_is_taken_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, entries, _ = _json(capsys, _file(tmp_path, {"apiVersion": "v1", "kind": "List", "items": [TRAINING, INFERENCE]}))
    assert status == 0
    assert [entry["name"] for entry in entries] == ["llama-8b-pretrain", "chat"]


def test_a_minus_reads_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = "# two documents\n---\n" + json.dumps(TRAINING) + "\n---\n" + yaml.safe_dump(INFERENCE) + "---\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    status, entries, _ = _json(capsys, "-")
    assert status == 0 and len(entries) == 2


def test_yaml_says_the_same_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _file(tmp_path, TRAINING, INFERENCE)
    _, entries, _ = _json(capsys, file)
    assert main(["estimate", "-f", file, "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == entries


def test_the_table_of_one_workload_shows_where_the_time_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "-f", _file(tmp_path, TRAINING)]) == 0
    out = capsys.readouterr().out
    assert "research/llama-8b-pretrain" in out
    assert "matmul" in out and "SHARE" in out
    assert all(line == line.rstrip() for line in out.splitlines())


def test_the_table_of_several_is_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "-f", _file(tmp_path, TRAINING, INFERENCE)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def _binary(folder: Path) -> Path:
    path = folder / "binary"
    path.write_bytes(bytes(range(256)))
    return path


def _empty(folder: Path) -> Path:
    path = folder / "empty.yaml"
    path.write_text("# nothing\n---\n", encoding="utf-8")
    return path


def _huge(folder: Path) -> Path:
    path = folder / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(65 * 2**20)
    return path


def _other(folder: Path) -> Path:
    return Path(_file(folder, POLICY))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "absent.yaml", "cannot be read: No such file"),
        (lambda folder: folder, "cannot be read: Is a directory"),
        (_binary, "is not a text file"),
        (_empty, "holds no document"),
        (_huge, "is larger than 64 MiB"),
        (_other, "no ModelWorkload to estimate"),
    ],
    ids=["absent", "a folder", "binary", "empty", "huge", "a policy"],
)
def test_a_file_that_cannot_be_used_is_one_line_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Any, said: str
) -> None:
    path = make(tmp_path)
    assert main(["estimate", "-f", str(path)]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.count("\n") == 1 and str(path) in written.err and said in written.err


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "aliases stand for more than"),
        ("a: &a [*a]", "nested too deeply"),
        ("[" * 50_000, "nested more than 100 levels deep"),
        ("{" * 50_000, "nested more than 100 levels deep"),
        ("- " * 50_000 + "x", "nested more than 100 levels deep"),
        ("a: !!python/object:os.system x", "is not YAML"),
        ("kind: 3", "apiVersion: must be mfu.dev/v1alpha1"),
        ("spec: {a: 1}\nkind: x\nspec: {b: 2}", "key 'spec' is given twice in line 3"),
        ('{"spec": {"a": 1, "a": 2}}', "key 'a' is given twice"),
        ("b: &b {x: 1}\nc: &c\n  <<: *b\n  x: 2\nd:\n  <<: *c\n  x: 3", "apiVersion: must be mfu.dev/v1alpha1"),
        ("? [1, 2]\n: 3", "is not YAML"),
        ("a: 2026-13-45", ""),
    ],
    ids=[
        "aliases of aliases",
        "an alias of itself",
        "brackets",
        "braces",
        "dashes",
        "a Python object",
        "no kind",
        "a key given twice",
        "a key given twice in JSON",
        "keys that go before merged ones",
        "a list as a key",
        "no date",
    ],
)
def test_a_hostile_document_is_an_error_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_text(f"{text}\n---\n{json.dumps(TRAINING)}\n", encoding="utf-8")
    status, entries, _ = _json(capsys, str(path))
    assert status == 1
    assert said in entries[0]["error"]
    assert "expected" in entries[1]


@pytest.mark.parametrize(
    "argv",
    [[], ["estmate"], ["estimate"], ["estimate", "-f"], ["estimate", "-f", "x", "-o", "xml"], ["estimate", "--unheard-of"]],
    ids=lambda argv: " ".join(argv) or "nothing",
)
def test_a_command_line_that_cannot_be_understood_is_one_line(capsys: pytest.CaptureFixture[str], argv: Sequence[str]) -> None:
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("mfu: ") and err.count("\n") == 1 and "--help" in err
