import copy
import json
from typing import Any

import pytest

from mfu.api.modelworkload import ModelWorkloadSpec
from mfu.api.resolve import missing_of, resolve
from mfu.errors import ConfigError, IntentError, UnknownName
from mfu.estimate.workload import AttentionKernel, Engine, Framework, Inference, Recompute, Sharding, Training
from mfu.hardware.precision import Precision
from mfu.missing import Reason
from mfu.model.architecture import Adapter
from tests.api.objects import GOOD, INFERENCE, LLAMA, TRAINING


def _with(body: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A copy with parts of the spec replaced."""
    body = copy.deepcopy(body)
    body["spec"] |= parts
    return body


def _training(parallelism: dict[str, Any] | None, accelerators: dict[str, Any], **fields: Any) -> Training:
    training: dict[str, Any] = {"sequenceLength": 4096, **fields}
    if parallelism is not None:
        training["parallelism"] = parallelism
    job = resolve(_with(TRAINING, training=training, accelerators={"class": "h100-sxm-80gb", **accelerators})).job
    assert isinstance(job, Training)
    return job


def test_a_training_job_keeps_everything_that_is_declared() -> None:
    workload = resolve(TRAINING)
    assert (workload.name, workload.namespace) == ("llama-8b-pretrain", "research")
    job = workload.job
    assert isinstance(job, Training)
    assert (job.sequence_length, job.global_batch, job.micro_batch) == (8192, 512, 1)
    degrees = job.parallelism
    assert (degrees.tensor, degrees.pipeline, degrees.interleave, degrees.data) == (4, 2, 2, 8)
    assert (job.framework, job.framework_version, job.optimizer) == (Framework.MEGATRON_CORE, "0.8", "adam")
    assert (job.sharding, job.sharding_group, job.recompute) == (Sharding.ZERO1, 8, Recompute.NONE)
    assert (job.attention_kernel, job.sequence_parallel, job.token_efficiency_ratio) == (AttentionKernel.FLASH2, True, 0.97)
    fabric = workload.fabric
    assert (fabric.accelerator.name, fabric.count, fabric.per_node, fabric.link_domain) == ("h100-sxm-80gb", 64, 8, 8)
    assert fabric.network_bytes_per_second == pytest.approx(50e9)
    assert workload.precisions.kv_cache is None


def test_a_service_keeps_everything_that_is_declared() -> None:
    workload = resolve(INFERENCE)
    job = workload.job
    assert isinstance(job, Inference)
    assert (job.engine, job.engine_version, job.memory_ratio, job.max_sequences, job.max_batch_tokens) == (
        Engine.VLLM,
        "0.11",
        0.92,
        256,
        8192,
    )
    assert (job.input_tokens, job.output_tokens, job.concurrency, job.prefix_hit_ratio) == (1024, 256, 64, 0.25)
    assert job.speculative is not None and job.speculative.draft is not None and job.speculative.draft.layer_count == 16
    assert workload.adapter == Adapter(rank=16, targets=("q_proj", "v_proj"))
    assert workload.precisions.kv_cache is Precision.FP8


@pytest.mark.parametrize("kind", ["training", "inference"])
def test_the_wire_model_gives_back_what_it_was_given(kind: str) -> None:
    spec = GOOD[kind]["spec"]
    again = ModelWorkloadSpec.model_validate(spec).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert json.loads(json.dumps(again)) == spec


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        (None, ("bf16", "bf16", None, "bf16")),
        ({"compute": "fp16"}, ("fp16", "fp16", None, "fp16")),
        ({"compute": "fp8"}, ("fp8", "fp8", None, "bf16")),
        ({"compute": "nvfp4", "weights": "mxfp4", "kvCache": "fp8"}, ("nvfp4", "mxfp4", "fp8", "bf16")),
        ({"compute": "fp8", "attention": "fp8"}, ("fp8", "fp8", None, "fp8")),
        ({"weights": "fp8"}, ("bf16", "fp8", None, "bf16")),
    ],
)
def test_formats_follow_from_what_is_declared(precision: dict[str, str] | None, expected: tuple[str | None, ...]) -> None:
    found = resolve(_with(INFERENCE, model={"config": LLAMA}, precision=precision)).precisions
    assert (found.compute, found.weights, found.kv_cache, found.attention) == expected


@pytest.mark.parametrize(
    ("parallelism", "accelerators", "data"),
    [
        (None, {"count": 64}, 64),
        ({"tensor": 8, "context": 2}, {"count": 64}, 4),
        ({"tensor": 8, "data": 3}, {}, 3),
        ({"tensor": 8, "data": 8}, {"count": 64, "perNode": 128}, 8),
    ],
)
def test_the_data_degree_follows_from_the_count_and_the_count_from_the_degrees(
    parallelism: dict[str, int] | None, accelerators: dict[str, int], data: int
) -> None:
    assert _training(parallelism, accelerators).parallelism.data == data


def test_what_was_derived_is_said() -> None:
    workload = resolve(_with(TRAINING, precision=None, training={"sequenceLength": 4096}))
    assert "training.parallelism.data: 64, from accelerators.count" in workload.assumptions
    assert any(line.startswith("precision.compute: bf16") for line in workload.assumptions)


def test_experts_that_only_fit_unsplit_are_taken_as_unsplit() -> None:
    fitting = {"tensor": 2, "data": 16, "expert": 16}
    folded = {"tensor": 2, "data": 16, "expert": 32}
    assert _training(fitting, {"count": 32}).parallelism.expert_tensor is None
    assert _training(folded, {"count": 32}, globalBatchSize=16).parallelism.expert_tensor == 1


def test_an_engine_that_writes_zero_for_none_is_understood() -> None:
    job = resolve(
        _with(INFERENCE, inference={"inputTokens": 1, "outputTokens": 1, "parallelism": {"tensor": 4, "data": 0, "expert": 0}})
    ).job
    assert (job.parallelism.data, job.parallelism.expert) == (1, 1)


@pytest.mark.parametrize(
    ("accelerators", "per_node", "link_domain"),
    [
        ({"class": "h100-sxm-80gb", "count": 64}, 8, 8),
        ({"class": "h100-sxm-80gb", "count": 4, "perNode": 8}, 4, 4),
        ({"class": "gb200-nvl-186gb", "count": 64}, 4, 72),
        ({"class": "h100-sxm-80gb", "count": 64, "nvlinkDomain": 32}, 8, 32),
    ],
)
def test_nodes_and_link_domains_follow_from_the_class(accelerators: dict[str, Any], per_node: int, link_domain: int) -> None:
    fabric = resolve(_with(TRAINING, accelerators=accelerators, training={"sequenceLength": 4096})).fabric
    assert (fabric.per_node, fabric.link_domain) == (per_node, link_domain)


def test_an_omitted_class_is_that_of_the_nodes_of_the_pods() -> None:
    body = _with(TRAINING, accelerators={"count": 64})
    assert resolve(body, detected_class="a100-sxm-80gb").fabric.accelerator.name == "a100-sxm-80gb"
    with pytest.raises(UnknownName, match=r"spec\.accelerators\.class: is not declared and no pod") as error:
        resolve(body)
    assert missing_of(error.value).reason is Reason.UNKNOWN_ACCELERATOR


def test_a_config_map_is_looked_up_in_the_namespace_of_the_workload() -> None:
    asked = []

    def texts(namespace: str, name: str, key: str) -> str:
        asked.append((namespace, name, key))
        return json.dumps(LLAMA)

    body = _with(TRAINING, model={"configMapRef": {"name": "llama", "key": "8b.json"}})
    assert resolve(body, config_maps=texts).architecture == resolve(TRAINING).architecture
    assert asked == [("research", "llama", "8b.json")]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (None, UnknownName, "there is no ConfigMap research/llama with a key config.json"),
        ("{", ConfigError, "is not JSON"),
        ("[1]", ConfigError, "must hold a JSON object"),
        ("[" * 100_000, ConfigError, "is not JSON"),
        ('{"model_type": "llama"}', ConfigError, "spec.model.configMapRef"),
        (" " * (2**20 + 1), ConfigError, "characters long"),
    ],
    ids=["absent", "cut off", "a list", "nested too deeply", "without sizes", "huge"],
)
def test_a_config_map_that_holds_no_config_says_so(text: str | None, error: type[IntentError], said: str) -> None:
    body = _with(TRAINING, model={"configMapRef": {"name": "llama"}})
    with pytest.raises(error) as raised:
        resolve(body, config_maps=lambda namespace, name, key: text)
    assert said in str(raised.value) and raised.value.path.startswith("spec.model.configMapRef")
    assert missing_of(raised.value).reason is Reason.UNKNOWN_MODEL


@pytest.mark.parametrize(
    ("parts", "path", "nearest"),
    [
        ({"accelerators": {"class": "h100-sxm-81gb", "count": 64}}, "spec.accelerators.class", "h100-sxm-80gb"),
        ({"model": {"catalog": "llama-3.1-71b"}}, "spec.model.catalog", "llama-3.1-70b"),
    ],
)
def test_an_unknown_name_comes_with_the_nearest_known_ones(parts: dict[str, Any], path: str, nearest: str) -> None:
    with pytest.raises(UnknownName) as error:
        resolve(_with(TRAINING, **parts))
    assert error.value.path == path and nearest in error.value.nearest


def test_several_problems_are_said_at_once() -> None:
    body = _with(TRAINING, accelerators={"count": "64", "clas": "x"})
    with pytest.raises(IntentError) as error:
        resolve(body)
    assert "spec.accelerators.count" in str(error.value) and "did you mean class?" in str(error.value)
    assert missing_of(error.value).reason is Reason.INTENT_INVALID


def test_a_config_with_a_key_of_another_type_is_an_error_of_that_config() -> None:
    body = copy.deepcopy(TRAINING)
    body["spec"]["model"] = {"config": {**LLAMA, "rope_scaling": {1: "x", "factor": 2.0}}}
    with pytest.raises(ConfigError, match=r"spec\.model\.config: has a key that is not a string"):
        resolve(body)
