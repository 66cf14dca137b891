"""Objects that the tests of the API share: one good object a kind, and a table of ways to break them.

A break is made by setting one value (or taking it away) at a dotted path of a good object. `said` is in the pure validator's message;
`server_said` is in the API server's, None where only the validator can know.
"""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ABSENT = object()

LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "torch_dtype": "bfloat16",
}

TRAINING: dict[str, Any] = {
    "apiVersion": "mfu.dev/v1alpha1",
    "kind": "ModelWorkload",
    "metadata": {"name": "llama-8b-pretrain", "namespace": "research"},
    "spec": {
        "model": {"config": LLAMA},
        "precision": {"compute": "bf16", "weights": "bf16", "attention": "bf16"},
        "accelerators": {"class": "h100-sxm-80gb", "count": 64, "perNode": 8, "nvlinkDomain": 8, "networkGbps": 400},
        "training": {
            "sequenceLength": 8192,
            "globalBatchSize": 512,
            "microBatchSize": 1,
            "parallelism": {"tensor": 4, "pipeline": 2, "interleave": 2, "data": 8, "context": 1, "expert": 1, "expertTensor": 1},
            "sequenceParallel": True,
            "sharding": "zero1",
            "shardingGroup": 8,
            "activationRecompute": "none",
            "attentionKernel": "flash2",
            "moeKernel": "grouped",
            "framework": {"name": "megatron-core", "version": "0.8"},
            "optimizer": "adam",
            "tokenEfficiency": 0.97,
            "balancedRouting": True,
        },
        "target": {"apiVersion": "batch/v1", "kind": "Job", "name": "llama-8b"},
        "telemetry": {"source": "auto", "training": {"tokensMetric": "tokens_total", "stepsMetric": "steps_total"}},
    },
}

INFERENCE: dict[str, Any] = {
    "apiVersion": "mfu.dev/v1alpha1",
    "kind": "ModelWorkload",
    "metadata": {"name": "chat", "namespace": "serving"},
    "spec": {
        "model": {"catalog": "llama-3.1-8b", "adapter": {"type": "lora", "rank": 16, "targetModules": ["q_proj", "v_proj"]}},
        "precision": {"compute": "fp8", "kvCache": "fp8"},
        "accelerators": {"class": "h100-sxm-80gb", "count": 4},
        "inference": {
            "engine": {"name": "vllm", "version": "0.11", "memoryFraction": 0.92, "maxSequences": 256, "maxBatchTokens": 8192},
            "phase": "mixed",
            "inputTokens": 1024,
            "outputTokens": 256,
            "concurrency": 64,
            "parallelism": {"tensor": 4, "pipeline": 1, "data": 1, "expert": 1},
            "prefixCacheHitRate": 0.25,
            "speculative": {"method": "draft", "tokens": 3, "acceptanceRate": 0.7, "draftModel": {"catalog": "llama-3.2-1b"}},
        },
    },
}

POLICY: dict[str, Any] = {
    "apiVersion": "mfu.dev/v1alpha1",
    "kind": "MFUPolicy",
    "metadata": {"name": "floor"},
    "spec": {
        "mode": "Gate",
        "precedence": 10,
        "namespaceSelector": {"matchLabels": {"team": "research"}},
        "workloadSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold", "silver"]}]},
        "exemptions": {"matchExpressions": [{"key": "debug", "operator": "Exists"}]},
        "floors": [{"modes": ["training"], "acceleratorClasses": ["h100-sxm-80gb"], "expectedMfu": "35%", "rooflineFraction": "60.5%"}],
        "maxCostPerMillionTokens": "$1.20",
        "memory": {"mustFit": True, "margin": "5%"},
        "requireNvlinkDomain": True,
        "requireSupportedPrecision": True,
        "onUnknown": "Hold",
        "hold": {"maxSeconds": 600},
        "drift": {"tolerance": "10%", "for": "15m", "recoverFor": "1h30m"},
    },
}

CLASS: dict[str, Any] = {
    "apiVersion": "mfu.dev/v1alpha1",
    "kind": "AcceleratorClass",
    "metadata": {"name": "h100-ours"},
    "spec": {
        "extends": "h100-sxm-80gb",
        "peak": {"bf16": "900 TFLOP/s", "fp8": "1.8 PFLOP/s"},
        "memory": "80GiB",
        "memoryBandwidth": "3.35 TB/s",
        "link": {"bandwidth": "450 GB/s", "switched": True, "domainSize": 8},
        "network": "400 Gbit/s",
        "pricePerHour": "$4.10",
        "labels": {"product": ["NVIDIA-H100-OURS"]},
    },
}

GOOD: Mapping[str, dict[str, Any]] = {"training": TRAINING, "inference": INFERENCE, "policy": POLICY, "class": CLASS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """`at` is a dotted path of the good object `of`; digits are list indices. `path` is where the validator says it."""

    id: str
    of: str
    at: str
    value: Any
    path: str
    said: str
    server_said: str | None

    def body(self) -> dict[str, Any]:
        body = copy.deepcopy(GOOD[self.of])
        place: Any = body
        *way, last = self.at.split(".")
        for part in way:
            place = place[int(part)] if part.isdigit() else place[part]
        if self.value is ABSENT:
            del place[last]
        else:
            place[int(last) if last.isdigit() else last] = self.value
        return body


_SAME = ""


def _case(name: str, of: str, at: str, value: Any, *, said: str, path: str = _SAME, server: str | None = _SAME) -> Broken:
    """`path` is as `at`, and the server says what the validator says, unless they are given."""
    where = path or re.sub(r"\.(\d+)", r"[\1]", at)
    return Broken(id=name, of=of, at=at, value=value, path=where, said=said, server_said=said if server == _SAME else server)


_PARALLELISM = "spec.training.parallelism"
_ONE_SOURCE = "exactly one of config, configMapRef, catalog"
_ONE_MODE = "exactly one of training, inference"

BROKEN: tuple[Broken, ...] = (
    _case("no model source", "training", "spec.model", {}, said=_ONE_SOURCE),
    _case("two model sources", "training", "spec.model.catalog", "llama-3.1-8b", said=_ONE_SOURCE, path="spec.model"),
    _case("no model", "training", "spec.model", ABSENT, said="is required", server="Required value"),
    _case("neither training nor inference", "training", "spec.training", ABSENT, said=_ONE_MODE, path="spec"),
    _case("both training and inference", "training", "spec.inference", INFERENCE["spec"]["inference"], said=_ONE_MODE, path="spec"),
    _case(
        "product is not count",
        "training",
        f"{_PARALLELISM}.tensor",
        8,
        said="tensor × pipeline × data × context is 128, but accelerators.count is 64",
        path=_PARALLELISM,
        server="tensor × pipeline × data × context must be accelerators.count",
    ),
    _case(
        "count is no multiple of the degrees",
        "training",
        _PARALLELISM,
        {"tensor": 3},
        said="64 is not a multiple of tensor × pipeline × context, which is 3",
        path="spec.accelerators.count",
        server="must be a multiple of tensor × pipeline × context",
    ),
    _case(
        "expert degree does not divide",
        "training",
        f"{_PARALLELISM}.expert",
        5,
        said="does not divide tensor × data × context, which is 32",
        server="expert × expertTensor must divide tensor × data × context",
    ),
    _case(
        "serving product is not count",
        "inference",
        "spec.inference.parallelism.data",
        2,
        said="tensor × pipeline × data is 8, but accelerators.count is 4",
        path="spec.inference.parallelism",
        server="tensor × pipeline × data must be accelerators.count",
    ),
    _case(
        "serving expert degree does not divide",
        "inference",
        "spec.inference.parallelism.expert",
        3,
        said="3 does not divide tensor × data, which is 4",
        server="expert must divide tensor × data",
    ),
    _case("degree of zero", "training", f"{_PARALLELISM}.tensor", 0, said="at least 1", server="greater than or equal to 1"),
    _case("absurd degree", "training", f"{_PARALLELISM}.tensor", 10**9, said="at most 4096", server="less than or equal to 4096"),
    _case("count as text", "training", "spec.accelerators.count", "64", said="must be a whole number", server="must be of type integer"),
    _case(
        "fraction of a GPU", "training", "spec.accelerators.count", 63.5, said="must be a whole number", server="must be of type integer"
    ),
    _case(
        "unknown precision", "training", "spec.precision.compute", "bf17", said="must be one of fp32, tf32, fp16", server="supported values"
    ),
    _case(
        "unknown framework",
        "training",
        "spec.training.framework.name",
        "pytorch",
        said="must be one of megatron-core",
        server="supported values",
    ),
    _case(
        "version as a number",
        "training",
        "spec.training.framework.version",
        0.8,
        said="write it in quotes",
        server="must be of type string",
    ),
    _case(
        "token efficiency above one", "training", "spec.training.tokenEfficiency", 1.5, said="at most 1.0", server="less than or equal to 1"
    ),
    _case(
        "hit rate below zero",
        "inference",
        "spec.inference.prefixCacheHitRate",
        -0.1,
        said="at least 0.0",
        server="greater than or equal to 0",
    ),
    _case("no sequence length", "training", "spec.training.sequenceLength", ABSENT, said="is required", server="Required value"),
    _case("PromQL as a metric", "training", "spec.telemetry.training.tokensMetric", "sum(x)", said="no PromQL"),
    _case("class is no name", "training", "spec.accelerators.class", "H100 80GB", said="like h100-sxm-80gb"),
    _case("name too long for a label", "training", "metadata.name", "a" * 64, said="at most 63 characters"),
    _case("too many adapter targets", "inference", "spec.model.adapter.targetModules", ["q"] * 65, said="at most 64"),
    _case("floor of 140 %", "policy", "spec.floors.0.expectedMfu", "140%", said="a percentage from 0% to 100%"),
    _case("floor as a number", "policy", "spec.floors.0.expectedMfu", 0.35, said="must be a string", server="must be of type string"),
    _case("floor without a limit", "policy", "spec.floors.0", {"modes": ["training"]}, said="expectedMfu, rooflineFraction or both"),
    _case("unknown mode", "policy", "spec.mode", "Enforce", said="must be one of Observe, Warn, Gate", server="supported values"),
    _case("cost without a currency", "policy", "spec.maxCostPerMillionTokens", "1.20", said="an amount in dollars"),
    _case("duration in words", "policy", "spec.drift.for", "15 minutes", said="a duration, like"),
    _case("hold for ever", "policy", "spec.hold.maxSeconds", 10**7, said="at most 604800", server="less than or equal to 604800"),
    _case(
        "selector without values",
        "policy",
        "spec.workloadSelector.matchExpressions.0.values",
        ABSENT,
        said="In and NotIn need values",
        path="spec.workloadSelector.matchExpressions[0]",
    ),
    _case("label value with a blank", "policy", "spec.namespaceSelector.matchLabels.team", "a b", said="must be a label value"),
    _case("peak without a unit", "class", "spec.peak.bf16", "900", said="an amount with its unit"),
    _case("class without a base", "class", "spec.extends", ABSENT, said="give extends", path="spec"),
    _case("price as a number", "class", "spec.pricePerHour", 4.1, said="must be a string", server="must be of type string"),
    _case(
        "heads do not divide",
        "training",
        "spec.model.config",
        {**LLAMA, "num_attention_heads": 30, "num_key_value_heads": 6, "head_dim": 128},
        said="30 attention heads do not divide by tensor parallelism 4",
        path=f"{_PARALLELISM}.tensor",
        server=None,
    ),
    _case(
        "more stages than layers",
        "training",
        "spec.model.config.num_hidden_layers",
        1,
        said="2 stages are more than the model's 1 layers",
        path=f"{_PARALLELISM}.pipeline",
        server=None,
    ),
    _case(
        "config without layers",
        "training",
        "spec.model.config",
        {"model_type": "llama", "hidden_size": 4096},
        said="num_hidden_layers",
        server=None,
    ),
    _case("absurd hidden size", "training", "spec.model.config.hidden_size", -4096, said="", server=None),
    _case("batch too small", "training", "spec.training.globalBatchSize", 4, said="too few for 8 data-parallel ranks", server=None),
    _case("base that does not exist", "class", "spec.extends", "h100-sxm-81gb", said="h100-sxm-80gb", server=None),
)
