"""`mfu flops`: parameters and FLOP of a model from its config.json, without a cluster and without weights."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mfu.cli.flops_report import Report, as_json, as_table
from mfu.errors import ConfigError, IntentError
from mfu.model.architecture import Adapter, Architecture
from mfu.model.build import operations
from mfu.model.config import read_config
from mfu.model.conventions import compare
from mfu.model.operations import Logits, Pass
from mfu.model.speculation import Speculation, speculate
from mfu.model.totals import by_module, count
from mfu.model.warnings import warnings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["add_arguments", "run"]

_MOST_BYTES = 8 * 2**20  # config.json files are a few KiB; the largest, with per-layer lists, some hundred
_MOST_TOKENS = 2**40
_MOST_RANK = 2**16
_MOST_PROPOSALS = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", metavar="FILE", help="a Hugging Face config.json; - reads standard input")
    source.add_argument("--catalog", metavar="NAME", help="a model of the built-in catalogue, such as llama-3.1-70b")
    parser.add_argument("--batch", type=int, default=1, metavar="B", help="sequences (default 1)")
    parser.add_argument("--sequence", type=int, default=2048, metavar="S", help="new tokens of each sequence (default 2048)")
    parser.add_argument("--past", type=int, default=0, metavar="P", help="cached tokens of each sequence; with --sequence 1, a decode step")
    parser.add_argument("--logits", choices=[str(kind) for kind in Logits], default=str(Logits.ALL), help="positions the head runs on")
    parser.add_argument("--encoder-tokens", type=int, metavar="N", help="input length of an encoder-decoder's encoder")
    parser.add_argument(
        "--image-tokens", type=int, default=0, metavar="N", help="tokens of each sequence that are an image: counts the vision tower too"
    )
    parser.add_argument("--lora-rank", type=int, default=0, metavar="R", help="count a LoRA adapter of this rank, base frozen")
    parser.add_argument(
        "--lora-targets", default="q_proj,v_proj", metavar="NAMES", help="its layers, or all-linear (default q_proj,v_proj)"
    )
    parser.add_argument("--predict-ahead", action="store_true", help="count the multi-token prediction layers of the config too")
    parser.add_argument(
        "--speculative-tokens", type=int, default=0, metavar="K", help="also decoding with K proposals a step after the pass"
    )
    parser.add_argument("--acceptance-rate", type=float, default=0.7, metavar="A", help="share of proposals accepted (default 0.7)")
    parser.add_argument("--draft-config", metavar="FILE", help="config.json of the model that proposes; without it, proposals cost nothing")
    parser.add_argument("--by", choices=["module", "operation"], help="also the sums by module, or every operation")
    parser.add_argument("--compare", action="store_true", help="also how 6ND, PaLM, Megatron and vLLM count the same pass")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")


def run(args: argparse.Namespace) -> int:
    """Counts and prints; raises `MfuError` with a one-line message when the input cannot be used."""
    architecture = _architecture(args)
    work = Pass(
        batch=_bounded("--batch", args.batch, 1, _MOST_TOKENS),
        new_tokens=_bounded("--sequence", args.sequence, 1, _MOST_TOKENS),
        past_tokens=_bounded("--past", args.past, 0, _MOST_TOKENS),
        logits=Logits(args.logits),
    )
    rank = _bounded("--lora-rank", args.lora_rank, 0, _MOST_RANK)
    targets = tuple(name.strip() for name in args.lora_targets.split(",") if name.strip())
    adapter = Adapter(rank=rank, targets=targets) if rank else None
    ahead = bool(args.predict_ahead)
    parts = by_module(architecture, work, adapter, predict_ahead=ahead) if args.by == "module" else {}
    report = Report(
        architecture=architecture,
        work=work,
        counted=count(architecture, work, adapter, predict_ahead=ahead),
        warnings=warnings(architecture),
        modules=tuple((module, held, flops) for module, (held, flops) in parts.items()),
        operations=operations(architecture, adapter, predict_ahead=ahead) if args.by == "operation" else (),
        countings=compare(architecture, work) if args.compare else (),
        speculation=_speculation(args, architecture, work),
    )
    print(json.dumps(as_json(report), indent=2) if args.output == "json" else as_table(report))
    return 0


def _speculation(args: argparse.Namespace, architecture: Architecture, work: Pass) -> Speculation | None:
    tokens = _bounded("--speculative-tokens", args.speculative_tokens, 0, _MOST_PROPOSALS)
    if not 0.0 <= args.acceptance_rate <= 1.0:
        raise IntentError("--acceptance-rate", f"must be from 0 to 1, not {args.acceptance_rate:g}")
    if tokens == 0:
        return None
    draft = read_config(_json(args.draft_config)) if args.draft_config else None
    return speculate(architecture, work.past_tokens + work.new_tokens, tokens, args.acceptance_rate, draft)


def _architecture(args: argparse.Namespace) -> Architecture:
    tokens = None if args.encoder_tokens is None else _bounded("--encoder-tokens", args.encoder_tokens, 1, _MOST_TOKENS)
    images = _bounded("--image-tokens", args.image_tokens, 0, _MOST_TOKENS)
    if args.catalog is not None:
        from mfu.api.catalog import catalogued_config  # here, because it loads the YAML parser

        return read_config(catalogued_config(args.catalog, "--catalog"), encoder_tokens=tokens, image_tokens=images)
    config = _json(args.config)
    try:
        return read_config(config, encoder_tokens=tokens, image_tokens=images)
    except ConfigError as error:
        raise ConfigError(f"{args.config}: {error.path}" if error.path else args.config, error.message) from error


def _json(name: str) -> "Mapping[str, object]":
    """The object in a JSON file, or on standard input for `-`."""
    try:
        data = sys.stdin.buffer.read(_MOST_BYTES + 1) if name == "-" else _head_of(Path(name))
    except OSError as error:
        raise ConfigError(name, f"cannot be read: {error.strerror or error}") from error
    if len(data) > _MOST_BYTES:
        raise ConfigError(name, f"is larger than {_MOST_BYTES // 2**20} MiB; a config.json is a few KiB")
    try:
        value = json.loads(data)
    except json.JSONDecodeError as error:
        raise ConfigError(name, f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise ConfigError(name, "is nested too deeply for a config.json") from error
    except ValueError as error:
        raise ConfigError(name, "is not JSON: it is not UTF-8, or holds a number of thousands of digits") from error
    if not isinstance(value, dict):
        raise ConfigError(name, f"holds a {type(value).__name__} where a config.json holds an object")
    return value


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES + 1)


def _bounded(option: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise IntentError(option, f"must be from {low} to {high}, not {value}")
    return value
