"""Workloads and nodes to place."""

from collections.abc import Callable

import pytest

from mfu.estimate.workload import (
    Fabric,
    Inference,
    InferenceParallelism,
    Precisions,
    Training,
    TrainingParallelism,
    Workload,
)
from mfu.hardware.catalog import accelerator
from mfu.hardware.precision import Precision
from mfu.model.architecture import Architecture, Attention, Layer, Mlp
from mfu.place.topology import Node

SMALL = Architecture(
    family="llama",
    hidden=1024,
    vocabulary=32000,
    layers=(
        Layer(
            mixers=(Attention(query_heads=16, key_value_heads=16, head_dim=64, value_head_dim=64),),
            feed_forward=(Mlp(intermediate=4096, gated=True),),
            count=16,
        ),
    ),
)


def make_workload(class_name: str, job: Training | Inference, count: int, per_node: int) -> Workload:
    device = accelerator(class_name)
    return Workload(
        name="job",
        namespace="team",
        architecture=SMALL,
        precisions=Precisions(compute=Precision.BF16, weights=Precision.BF16, kv_cache=None, attention=Precision.BF16),
        fabric=Fabric(
            accelerator=device,
            count=count,
            per_node=per_node,
            link_domain=device.link_domain(per_node),
            network_bytes_per_second=device.network_bytes_per_second,
        ),
        job=job,
    )


@pytest.fixture(scope="session")
def training() -> Callable[..., Workload]:
    def make(class_name: str = "h100-sxm-80gb", per_node: int = 8, **degrees: int) -> Workload:
        parallelism = TrainingParallelism(**degrees)
        count = parallelism.tensor * parallelism.pipeline * parallelism.data * parallelism.context
        job = Training(sequence_length=4096, global_batch=64, micro_batch=1, parallelism=parallelism)
        return make_workload(class_name, job, count, per_node)

    return make


@pytest.fixture(scope="session")
def serving() -> Callable[..., Workload]:
    def make(class_name: str = "h100-sxm-80gb", per_node: int = 8, **degrees: int) -> Workload:
        parallelism = InferenceParallelism(**degrees)
        count = parallelism.tensor * parallelism.pipeline * parallelism.data
        return make_workload(class_name, Inference(input_tokens=1024, output_tokens=256, parallelism=parallelism), count, per_node)

    return make


@pytest.fixture(scope="session")
def node() -> Callable[..., Node]:
    """A node with labels as clouds set them; `leaf` and `spine` are AWS's layers 3 and 2, `rack` is an NVLink clique."""

    def make(
        name: str,
        *,
        leaf: str | None = None,
        spine: str | None = None,
        rack: str | None = None,
        class_name: str | None = "h100-sxm-80gb",
        product: str | None = "NVIDIA-H100-80GB-HBM3",
        gpus: int = 8,
        free: int | None = None,
        schedulable: bool = True,
        **labels: str,
    ) -> Node:
        found = {"kubernetes.io/hostname": name, **labels}
        if product:
            found["nvidia.com/gpu.product"] = product
        for key, value in (
            ("topology.k8s.aws/network-node-layer-3", leaf),
            ("topology.k8s.aws/network-node-layer-2", spine),
            ("nvidia.com/gpu.clique", rack),
        ):
            if value is not None:
                found[key] = value
        return Node(
            name=name, labels=found, accelerator=class_name, allocatable=gpus, free=gpus if free is None else free, schedulable=schedulable
        )

    return make
