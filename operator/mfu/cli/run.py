"""`mfu run`: the processes of the operator in a cluster. Every flag can be given as an environment variable MFU_<FLAG> instead."""

import argparse
import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mfu.errors import MfuError

__all__ = ["add_arguments", "controller_settings", "run", "webhook_settings"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_arguments(parser, os.environ)


def _add_arguments(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    processes = parser.add_subparsers(dest="process", required=True, metavar="{controller,webhook,release-holds}")
    _controller(processes.add_parser("controller", help="judge, gate and place workloads while holding the lease"), environment)
    _webhook(processes.add_parser("webhook", help="answer admission reviews"), environment)
    release = processes.add_parser("release-holds", help="open every gate of the operator once (before it is uninstalled)")
    _Flags(release, environment).logging()


class _Flags:
    """Adds flags whose defaults come from the environment."""

    def __init__(self, parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
        self._parser = parser
        self._environment = environment

    def add(self, flag: str, default: object, read: Callable[[str], Any], text: str) -> None:
        variable = "MFU_" + flag.removeprefix("--").upper().replace("-", "_")
        given = self._environment.get(variable)
        # argparse converts a default that is a string, and so reports a bad variable like a bad flag.
        self._parser.add_argument(flag, default=default if given is None else given, type=read, help=f"{text} [{variable}]")

    def logging(self) -> None:
        variable = self._environment.get("MFU_LOG_FORMAT", "json")
        self._parser.add_argument(
            "--log-format", choices=("json", "plain"), default=variable, help="one JSON object a line, or plain lines"
        )


def _controller(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    flags = _Flags(parser, environment)
    # Two candidates of one name would both lead: on one machine the process tells them apart.
    name = environment.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}"
    flags.add("--prometheus-url", "", str, "root of the Prometheus API; empty: nothing is observed")
    flags.add("--prometheus-token-file", None, Path, "bearer token for Prometheus, read again each time")
    flags.add("--prometheus-ca-file", None, Path, "CA certificates to trust for Prometheus")
    headers = [line for line in environment.get("MFU_PROMETHEUS_HEADER", "").splitlines() if line]
    parser.add_argument(
        "--prometheus-header",
        action="append",
        type=_header,
        default=[_header(line) for line in headers],
        metavar="NAME=VALUE",
        help="a header for every query (a tenant's, for example); may be repeated [MFU_PROMETHEUS_HEADER, one a line]",
    )
    flags.add("--query-timeout-seconds", 10.0, _positive, "longest wait for one query")
    flags.add("--tick-seconds", 30.0, _positive, "time between two looks at Prometheus")
    flags.add("--rate-window-seconds", 120.0, _positive, "window that rates are taken over")
    flags.add("--metrics-port", 8080, _port, "port of /metrics, /healthz and /readyz")
    flags.add("--bind-address", "0.0.0.0", str, "address that the port is bound to")
    flags.add("--lease-name", "mfu-operator", str, "Lease that candidates compete for")
    flags.add("--lease-namespace", environment.get("POD_NAMESPACE") or "default", str, "its namespace; POD_NAMESPACE when omitted")
    flags.add("--identity", name, str, "name of this candidate; POD_NAME, or host name and process id, when omitted")
    flags.add("--lease-seconds", 15.0, _lease, "how long after a crash nobody leads")
    flags.add("--max-hold-seconds", 3600.0, _positive, "longest hold where no policy says how long")
    flags.add("--writers", 8, _writers, "objects worked on at the same time, 1 to 16")
    flags.add("--topology-levels-file", None, Path, "YAML that maps topology levels to node label keys of this cluster")
    flags.add("--prices-file", None, Path, "YAML with prices by class, tenant and contract; they go before those of the classes")
    flags.add("--tenant-reports", False, _switch, "true: write a ConfigMap mfu-report into every namespace that holds accelerators")
    flags.logging()


def _webhook(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    flags = _Flags(parser, environment)
    flags.add("--port", 9443, _port, "HTTPS port of the reviews")
    flags.add("--bind-address", "0.0.0.0", str, "address that the ports are bound to")
    flags.add("--certificate-file", Path("/tls/tls.crt"), Path, "serving certificate (PEM), read again when it changes")
    flags.add("--key-file", Path("/tls/tls.key"), Path, "its key")
    flags.add("--metrics-port", 8081, _port, "port of /metrics, /healthz and /readyz")
    flags.logging()


def run(args: argparse.Namespace) -> int:
    """Runs the process until it is told to stop; MfuError when it cannot start with these arguments."""
    # What the processes need takes half a second to import, which no other verb should pay.
    from mfu.control.connection import find_connection
    from mfu.control.settings import configure_logging

    configure_logging(args.log_format)
    connection = find_connection()
    match args.process:
        case "controller":
            from mfu.control.controller import run_controller

            return asyncio.run(run_controller(controller_settings(args), connection))
        case "webhook":
            from mfu.control.webhook import run_webhook

            return asyncio.run(run_webhook(webhook_settings(args), connection))
        case _:
            from mfu.control.release import release_holds

            released, failed = asyncio.run(release_holds(connection))
            print(f"released {len(released)} held objects")
            if failed:
                raise MfuError(f"{len(failed)} objects are still held, {failed[0]} first; see the log, then run this again")
            return 0


def controller_settings(args: argparse.Namespace) -> Any:
    from mfu.control.settings import ControllerSettings, read_levels, read_price_list

    given: dict[str, Any] = {} if args.topology_levels_file is None else {"levels": read_levels(args.topology_levels_file)}
    if args.prices_file is not None:
        given["prices"] = read_price_list(args.prices_file)
    return ControllerSettings(
        prometheus_url=args.prometheus_url,
        prometheus_token_file=args.prometheus_token_file,
        prometheus_ca_file=args.prometheus_ca_file,
        prometheus_headers=tuple(args.prometheus_header),
        query_timeout_seconds=args.query_timeout_seconds,
        tick_seconds=args.tick_seconds,
        rate_window_seconds=args.rate_window_seconds,
        bind_address=args.bind_address,
        metrics_port=args.metrics_port,
        lease_name=args.lease_name,
        lease_namespace=args.lease_namespace,
        identity=args.identity,
        lease_seconds=args.lease_seconds,
        max_hold_seconds=args.max_hold_seconds,
        writers=args.writers,
        tenant_reports=args.tenant_reports,
        **given,
    )


def webhook_settings(args: argparse.Namespace) -> Any:
    from mfu.control.settings import WebhookSettings

    return WebhookSettings(
        port=args.port,
        bind_address=args.bind_address,
        certificate_file=args.certificate_file,
        key_file=args.key_file,
        metrics_port=args.metrics_port,
    )


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _number(text: str, least: float, most: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


def _positive(text: str) -> float:
    return _number(text, 0.1, 1e9, "a number of seconds above 0")


def _lease(text: str) -> float:
    return _number(text, 3.0, 120.0, "a number of seconds from 3 to 120")


def _writers(text: str) -> int:
    return int(_number(text, 1, 16, "a number from 1 to 16"))


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is not true or false")
    return text == "true"


def _port(text: str) -> int:
    return int(_number(text, 0, 65535, "a port"))
