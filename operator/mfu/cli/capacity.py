"""`mfu capacity`: what of today's work and a forecast fits in a fleet, and what to buy; from files, without a cluster."""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mfu.api.figures import percent
from mfu.cli.documents import Document, read_documents
from mfu.cli.fleet_file import read_fleet
from mfu.cli.output import complain, write_data, write_rows
from mfu.cli.workloads import classes_of, declared_workloads
from mfu.errors import IntentError, MfuError
from mfu.estimate.workload import Workload
from mfu.hardware.accelerator import Accelerator
from mfu.judge.capacity import Capacity, Purchase, Shortfall, plan_capacity
from mfu.judge.capacity_demand import Demand, Origin
from mfu.judge.money import money_text
from mfu.judge.prices import MICROS
from mfu.missing import Missing

__all__ = ["add_arguments", "run"]

_REPLICAS = "mfu.dev/replicas"
_SHOWN = 20  # lines of a table; JSON has all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        required=True,
        metavar="FILE",
        help="today's ModelWorkloads (`kubectl get mw -A -o yaml`), with the classes and ConfigMaps they use; - is standard input",
    )
    parser.add_argument(
        "--fleet",
        action="append",
        required=True,
        metavar="FILE",
        help="Node documents (`kubectl get nodes -o yaml`), or `classes: {h100-sxm-80gb: {count: 512, perNode: 8}}` and `prices`",
    )
    parser.add_argument("--planned", action="append", default=[], metavar="FILE", help="ModelWorkloads that are to come")
    parser.add_argument(
        "--growth",
        action="append",
        default=[],
        metavar="FAMILY=FACTOR",
        help="how many times as much a family of models (config.json's model_type; * for all others) will do: llama=1.5",
    )
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")


def run(args: argparse.Namespace) -> int:
    """0 where everything fits, 1 where it does not or a document is wrong. Raises MfuError for files that cannot be used."""
    documents = read_documents(args.filename)
    planned = read_documents(args.planned) if args.planned else []
    fleet = read_fleet(read_documents(args.fleet), classes_of([*documents, *planned]))
    beside = [document for document in documents if document.kind in ("AcceleratorClass", "ConfigMap")]
    today, wrong = _demands(documents, Origin.TODAY, fleet.classes)
    plans, also_wrong = _demands([*beside, *planned], Origin.PLANNED, fleet.classes) if planned else ([], [])
    if not today and not plans:
        complained = "; ".join([*wrong, *also_wrong][:3])
        raise MfuError(f"{', '.join(args.filename)}: no ModelWorkload can be planned{': ' + complained if complained else ''}")
    capacity = plan_capacity(fleet.pools, today, growth=_growth(args.growth), planned=plans)
    if args.output == "json":
        write_data(_data(capacity, fleet.currency), "json")
    else:
        _write(capacity, fleet.currency)
    for message in [*wrong, *also_wrong, *fleet.problems]:
        complain(message)
    return 1 if capacity.shortfalls or wrong or also_wrong else 0


def _demands(documents: Sequence[Document], origin: str, classes: Mapping[str, Accelerator]) -> tuple[list[Demand], list[str]]:
    """The demands, and what is wrong with the documents that give none."""
    found: list[Demand] = []
    wrong: list[str] = []
    for item in declared_workloads(documents):
        place = f"{item.document.place}{f' ({item.name})' if item.name else ''}"
        if isinstance(item.workload, Workload):
            try:
                instances = _instances(item.document, item.workload)
            except IntentError as error:
                wrong.append(f"{place}: {error}")
                continue
            shape = json.dumps((item.document.body or {}).get("spec"), sort_keys=True, default=str)
            demand = Demand(
                namespace=item.namespace, name=item.name, workload=item.workload, instances=instances, origin=origin, shape=shape
            )
            found.append(demand)
        else:
            wrong.append(f"{place}: {item.workload}")
    return found, wrong


def _instances(document: Document, workload: Workload) -> int:
    """Replicas: what the annotation says, else what the status says is held, else one."""
    said = document.annotations.get(_REPLICAS)
    if said is not None:
        if not said.isdecimal() or not 1 <= int(said) <= 1_000_000:
            raise IntentError(f"metadata.annotations[{_REPLICAS}]", f"must be a number of replicas from 1, not {said!r}")
        return int(said)
    status: Any = (document.body or {}).get("status")
    observed = status.get("observed") if isinstance(status, Mapping) else None
    held = observed.get("accelerators") if isinstance(observed, Mapping) else None
    return max(1, held // workload.fabric.count) if isinstance(held, int) else 1


def _growth(texts: Sequence[str]) -> dict[str, float]:
    found = {}
    for text in texts:
        family, equals, factor = text.partition("=")
        try:
            if not equals or not family:
                raise ValueError
            found[family] = float(factor)
        except ValueError as error:
            raise MfuError(f"--growth {text}: give a family of models and a factor, like llama=1.5") from error
    return found


def _write(capacity: Capacity, currency: str) -> None:
    write_rows(
        ("GPU TYPE", "GPUS", "WANTED", "ADMITTED", "FREE"),
        [(use.accelerator_class, *(str(n) for n in (use.total, use.wanted, use.admitted, use.free))) for use in capacity.classes],
        right=("GPUS", "WANTED", "ADMITTED", "FREE"),
    )
    if capacity.shortfalls:
        print()
        _rows(
            ("DOES NOT FIT", "FROM", "INSTANCES", "GPUS", "WHY", "INSTEAD"),
            [
                (short.demand.label, short.demand.origin, str(short.instances), str(short.accelerators), short.reason, short.instead or "-")
                for short in capacity.shortfalls
            ],
        )
    if capacity.purchases:
        print()
        _rows(
            ("BUY", "GPUS", "NODES", "COST/H", "FOR", "WHY"),
            [
                (
                    buy.accelerator_class,
                    str(buy.accelerators),
                    str(buy.nodes),
                    _money(buy.micros_per_hour, currency),
                    f"{len(buy.serves)} workloads",
                    buy.reason,
                )
                for buy in capacity.purchases
            ],
        )
    print()
    _rows(
        ("GPU TYPE", "GPUS", "MFU OF ALL WORK", "USEFUL PFLOP/GPU-H", f"{currency}/USEFUL PFLOP", "RUNS"),
        [
            (
                value.accelerator_class,
                str(value.total),
                "unknown" if isinstance(value.mix_mfu_ratio, Missing) else percent(value.mix_mfu_ratio),
                "unknown" if isinstance(value.useful_petaflop_per_hour, Missing) else f"{value.useful_petaflop_per_hour:,.0f}",
                "unknown" if isinstance(value.dollars_per_useful_petaflop, Missing) else f"{value.dollars_per_useful_petaflop:.6f}",
                percent(value.runs_ratio),
            )
            for value in capacity.values
        ],
    )
    if capacity.upgrades:
        print()
        _rows(
            ("UPGRADE FIRST", "TO", "GPUS", "SAVES/H", "WHY"),
            [
                (up.from_class, up.to_class, str(up.accelerators), _money(up.saves_micros_per_hour, currency), up.reason)
                for up in capacity.upgrades
            ],
        )


def _rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    write_rows(columns, rows[:_SHOWN])
    if len(rows) > _SHOWN:
        print(f"and {len(rows) - _SHOWN} more; -o json has all")


def _data(capacity: Capacity, currency: str) -> dict[str, Any]:
    """Unknown figures are null beside the reason."""
    return {
        "currency": currency,
        "fits": not capacity.shortfalls,
        "classes": [
            {"class": use.accelerator_class, "total": use.total, "wanted": use.wanted, "admitted": use.admitted, "free": use.free}
            for use in capacity.classes
        ],
        "admitted": [
            {
                **_named(item.demand),
                "instances": item.instances,
                "accelerators": item.accelerators,
                **_figure("expectedMfu", item.expected_ratio),
            }
            for item in capacity.admitted
        ],
        "shortfalls": [_shortfall(short) for short in capacity.shortfalls],
        "purchases": [_purchase(buy) for buy in capacity.purchases],
        "classValues": [
            {
                "class": value.accelerator_class,
                "total": value.total,
                **_figure("mfu", value.mix_mfu_ratio),
                **_figure("usefulPetaflopPerAcceleratorHour", value.useful_petaflop_per_hour),
                **_figure("costPerUsefulPetaflop", value.dollars_per_useful_petaflop),
                "runs": value.runs_ratio,
            }
            for value in capacity.values
        ],
        "upgrades": [
            {
                "from": up.from_class,
                "to": up.to_class,
                "accelerators": up.accelerators,
                "replacedBy": up.replaced_by,
                "speed": up.speed_ratio,
                **_figure("savesPerHour", _units(up.saves_micros_per_hour)),
                "reason": up.reason,
            }
            for up in capacity.upgrades
        ],
    }


def _shortfall(short: Shortfall) -> dict[str, Any]:
    return {
        **_named(short.demand),
        "instances": short.instances,
        "accelerators": short.accelerators,
        "reason": short.reason,
        "instead": short.instead,
    }


def _purchase(buy: Purchase) -> dict[str, Any]:
    return {
        "class": buy.accelerator_class,
        "accelerators": buy.accelerators,
        "nodes": buy.nodes,
        **_figure("costPerHour", _units(buy.micros_per_hour)),
        "serves": list(buy.serves),
        "reason": buy.reason,
    }


def _named(demand: Demand) -> dict[str, Any]:
    return {
        "namespace": demand.namespace,
        "name": demand.name,
        "origin": demand.origin,
        "class": demand.workload.fabric.accelerator.name,
        "family": demand.family,
    }


def _figure(name: str, value: float | Missing) -> dict[str, Any]:
    return {name: None, f"{name}Unknown": value.message} if isinstance(value, Missing) else {name: value}


def _units(micros: int | Missing) -> float | Missing:
    return micros if isinstance(micros, Missing) else micros / MICROS


def _money(micros: int | Missing, currency: str) -> str:
    return "unknown" if isinstance(micros, Missing) else money_text(micros, currency)
