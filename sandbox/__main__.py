"""`python -m sandbox up|down|tools`: the local cluster by hand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.controlplane import start_control_plane
from sandbox.errors import SandboxError
from sandbox.monitoring import start_alertmanager, start_prometheus
from sandbox.processes import Supervisor, stop_recorded
from sandbox.state import default_state_folder
from sandbox.toolchain import Program, ensure_tools

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        match arguments.verb:
            case "up":
                return up(arguments.state)
            case "down":
                return down(arguments.state)
            case _:
                return tools()
    except SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: everything that was started has been ended", file=sys.stderr)
        return 130


def up(state_dir: Path) -> int:
    """Starts the control plane and monitoring, leaves them running and says where they are."""
    programs = ensure_tools()
    with Supervisor(state_dir, keep=True) as supervisor:
        plane = start_control_plane(supervisor, programs)
        alertmanager = start_alertmanager(supervisor, programs)
        prometheus = start_prometheus(supervisor, programs, [], alertmanager=alertmanager)
        print(f"export KUBECONFIG={plane.kubeconfig}")
        print(f"# API server    {plane.server}")
        print(f"# Prometheus    {prometheus.url}")
        print(f"# Alertmanager  {alertmanager.url}")
        print(f"# kubectl       {programs.path(Program.KUBECTL)}")
        print(f"# logs          {supervisor.state_dir / 'logs'}")
        print(f"# end it with   python -m sandbox down --state {supervisor.state_dir}")
    return 0


def down(state_dir: Path) -> int:
    """Ends what `up` or a kept demo left running."""
    ended = stop_recorded(state_dir)
    print(f"ended {', '.join(ended)}" if ended else f"nothing of {state_dir} was running")
    return 0


def tools() -> int:
    """Makes sure that all programs exist and prints where they are."""
    for program, path in ensure_tools().paths.items():
        print(f"{program:<24} {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A real Kubernetes control plane and monitoring on loopback.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (("up", "start everything and leave it running"), ("down", "end what runs")):
        command = verbs.add_parser(verb, help=text)
        command.add_argument("--state", type=Path, default=default_state_folder(), help="state folder (default: %(default)s)")
    verbs.add_parser("tools", help="build or fetch the programs and print their paths")
    return parser


if __name__ == "__main__":
    sys.exit(main())
