"""Node labels as their writers really set them, in small samples."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.hardware.catalog import accelerator, load_catalog
from mfu.hardware.labels import NodeDevices, Slice, identify
from mfu.hardware.product import identify_product
from mfu.missing import Missing, Reason

EIGHT = {"nvidia.com/gpu": "8", "cpu": "192", "memory": "2Ti"}


def known(labels: dict[str, str], allocatable: dict[str, str]) -> NodeDevices:
    found = identify(labels, allocatable)
    assert isinstance(found, NodeDevices), found
    return found


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        ("NVIDIA-H100-80GB-HBM3", "h100-sxm-80gb"),
        ("NVIDIA-H100-80GB-HBM3-SHARED", "h100-sxm-80gb"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm-80gb"),
        ("nvidia-h100-80gb-hbm3", "h100-sxm-80gb"),
        ("NVIDIA-H100-PCIe", "h100-pcie-80gb"),
        ("NVIDIA-H100-NVL", "h100-nvl-94gb"),
        ("A100-SXM4-40GB", "a100-sxm-40gb"),
        ("NVIDIA-A100-SXM4-80GB", "a100-sxm-80gb"),
        ("NVIDIA-A100-80GB-PCIe", "a100-pcie-80gb"),
        ("NVIDIA-NVIDIA A100-PCIE-40GB", "a100-pcie-40gb"),
        ("Tesla-T4", "t4-16gb"),
        ("Tesla-V100-SXM3-32GB", "v100-sxm-32gb"),
        ("NVIDIA-GH200-480GB", "gh200-96gb"),
        ("NVIDIA-B300-SXM6-AC", "b300-sxm-270gb"),
        ("NVIDIA-GB200", "gb200-nvl-186gb"),
        ("NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition", "rtx-pro-6000-server-96gb"),
        ("AMD_Instinct_MI300X_OAM", "mi300x-192gb"),
        ("Instinct_MI210", "mi210-64gb"),
    ],
)
def test_a_product_name_is_read_in_every_spelling(product: str, expected: str) -> None:
    assert identify_product(product) == expected


@pytest.mark.parametrize("product", ["GRID-A100-40C", "NVIDIA H100-1-10C", "NVIDIA A10-24Q", "GRID T4-8Q"])
def test_a_virtual_gpu_is_unknown(product: str) -> None:
    found = identify({"nvidia.com/gpu.product": product}, EIGHT)
    assert isinstance(found, Missing)
    assert found.reason is Reason.UNKNOWN_ACCELERATOR
    assert product in found.message
    assert "virtual" in found.message


def test_an_unknown_product_names_the_nearest_and_is_never_guessed() -> None:
    found = identify({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM9", "node.kubernetes.io/instance-type": "p5.48xlarge"}, EIGHT)
    assert isinstance(found, Missing)
    assert "NVIDIA-H100-80GB-HBM9" in found.message
    assert "h100-sxm-80gb" in found.message


def test_a_whole_node_is_counted_by_its_resource() -> None:
    found = known({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"}, EIGHT)
    assert (found.accelerator, found.resource, found.count, found.partition, found.unit) == (
        "h100-sxm-80gb",
        "nvidia.com/gpu",
        8,
        None,
        "h100-sxm-80gb",
    )
    assert found.evidence == "nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3"


@pytest.mark.parametrize("memory", ["15109", "15360", "16384"])
def test_memory_differs_between_drivers(memory: str) -> None:
    assert known({"nvidia.com/gpu.product": "Tesla-T4", "nvidia.com/gpu.memory": memory}, {"nvidia.com/gpu": "1"}).accelerator == "t4-16gb"


def test_a_custom_part_under_a_shared_name_is_told_apart_by_its_memory() -> None:
    assert known({"nvidia.com/gpu.product": "NVIDIA-H100", "nvidia.com/gpu.memory": "97871"}, EIGHT).accelerator == "h100-sxm-96gb-500w"
    found = identify({"nvidia.com/gpu.product": "NVIDIA-H100", "nvidia.com/gpu.memory": "65247"}, EIGHT)
    assert isinstance(found, Missing)
    assert "65247" in found.message


def test_single_strategy_slices_carry_the_slices_memory_in_the_label() -> None:
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-H100-NVL-MIG-1g.12gb",
        "nvidia.com/gpu.memory": "11008",
        "nvidia.com/mig.strategy": "single",
    }
    found = known(labels, {"nvidia.com/gpu": "14"})
    assert (found.accelerator, found.partition, found.count, found.unit) == ("h100-nvl-94gb", "1g.12gb", 14, "h100-nvl-94gb/1g.12gb")
    accelerator(found.unit)


def test_mixed_strategy_slices_have_resources_of_their_own() -> None:
    labels = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB", "nvidia.com/gpu.replicas": "0", "nvidia.com/mig.strategy": "mixed"}
    found = known(
        labels, {"nvidia.com/gpu": "0", "nvidia.com/mig-1g.5gb": "2", "nvidia.com/mig-2g.10gb": "1", "nvidia.com/mig-3g.20gb": "0"}
    )
    assert found.count == 0
    assert found.slices == (
        Slice(profile="1g.5gb", resource="nvidia.com/mig-1g.5gb", count=2),
        Slice(profile="2g.10gb", resource="nvidia.com/mig-2g.10gb", count=1),
    )


@pytest.mark.parametrize("spelling", ["1g.10gb.me", "1g.10gb.me.all", "1g.10gb-me"])
def test_media_extensions_own_the_same_compute(spelling: str) -> None:
    found = known({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}, {f"nvidia.com/mig-{spelling}": "1"})
    assert (found.partition, found.count, found.resource) == ("1g.10gb", 1, f"nvidia.com/mig-{spelling}")


def test_driver_releases_round_a_profiles_memory_differently() -> None:
    assert known({"nvidia.com/gpu.product": "NVIDIA-GB200"}, {"nvidia.com/mig-1g.24gb": "7"}).partition == "1g.23gb"


@pytest.mark.parametrize("profile", ["5g.60gb", "1g.40gb"])
def test_an_unknown_profile_is_not_guessed(profile: str) -> None:
    found = identify({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}, {f"nvidia.com/mig-{profile}": "1"})
    assert isinstance(found, Missing)
    assert profile in found.message


def test_an_inconsistent_mig_node_is_unknown() -> None:
    found = identify({"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB-MIG-INVALID"}, {"nvidia.com/gpu": "0"})
    assert isinstance(found, Missing)
    assert "inconsistent" in found.message


@pytest.mark.parametrize(
    ("labels", "allocatable", "replicas", "count"),
    [
        pytest.param({"nvidia.com/gpu.replicas": "4"}, {"nvidia.com/gpu": "4"}, 4, 1, id="time-sliced without a suffix"),
        pytest.param({"nvidia.com/gpu.replicas": "8"}, {"nvidia.com/gpu": "0", "nvidia.com/gpu.shared": "8"}, 8, 1, id="renamed resource"),
        pytest.param({"nvidia.com/gpu.replicas": "1", "nvidia.com/gpu.count": "1"}, {"nvidia.com/gpu": "4"}, 4, 1, id="label says one"),
        pytest.param({"nvidia.com/gpu.count": "8"}, {"nvidia.com/gpu": "7"}, 1, 7, id="one device unhealthy"),
    ],
)
def test_shared_devices_are_counted_once(labels: dict[str, str], allocatable: dict[str, str], replicas: int, count: int) -> None:
    found = known({"nvidia.com/gpu.product": "Tesla-T4", **labels}, allocatable)
    assert (found.replicas, found.count) == (replicas, count)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({"amd.com/gpu.device-id": "74a1", "amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"}, "mi300x-192gb", id="both"),
        pytest.param({"amd.com/gpu.device-id": "74b5", "amd.com/gpu.vram": "191G"}, "mi300x-192gb", id="virtual function without a name"),
        pytest.param({"beta.amd.com/gpu.device-id.74a5": "8"}, "mi325x-256gb", id="counter form"),
        pytest.param({"amd.com/gpu.product-name": "AMD_Instinct_MI355X_OAM"}, "mi355x-288gb", id="name only"),
    ],
)
def test_amd_nodes_are_known_by_device_id_before_name(labels: dict[str, str], expected: str) -> None:
    found = known(labels, {"amd.com/gpu": "8"})
    assert (found.accelerator, found.resource, found.count) == (expected, "amd.com/gpu", 8)


def test_an_unknown_device_id_is_unknown_and_two_kinds_are_too() -> None:
    assert isinstance(identify({"beta.amd.com/gpu.device-id.6860": "1"}, {"amd.com/gpu": "1"}), Missing)
    two = identify({"amd.com/gpu.device-id.74a1": "4", "amd.com/gpu.device-id.74a5": "4"}, {"amd.com/gpu": "8"})
    assert isinstance(two, Missing)
    assert "several" in two.message


def test_an_amd_partition_mode_is_a_partition() -> None:
    single = known({"amd.com/gpu.device-id": "74a1", "amd.com/gpu.compute-memory-partition": "cpx_nps1"}, {"amd.com/gpu": "64"})
    assert (single.partition, single.count) == ("cpx_nps1", 64)
    mixed = known({"amd.com/gpu.device-id": "74a1"}, {"amd.com/cpx_nps4": "64"})
    assert (mixed.partition, mixed.resource) == ("cpx_nps4", "amd.com/cpx_nps4")
    whole = known({"amd.com/gpu.device-id": "74a1", "amd.com/gpu.compute-memory-partition": "spx_nps1"}, {"amd.com/gpu": "8"})
    assert whole.partition is None


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({"cloud.google.com/gke-accelerator": "nvidia-h100-mega-80gb"}, "h100-sxm-80gb", id="gke"),
        pytest.param({"cloud.google.com/gke-accelerator": "nvidia-tesla-a100"}, "a100-sxm-40gb", id="gke a100"),
        pytest.param({"gpu.nvidia.com/model": "H100_NVLINK_80GB"}, "h100-sxm-80gb", id="coreweave"),
        pytest.param({"gpu.nvidia.com/class": "A40"}, "a40-48gb", id="coreweave class"),
        pytest.param({"karpenter.k8s.aws/instance-gpu-name": "l40s"}, "l40s-48gb", id="karpenter"),
        pytest.param(
            {"karpenter.k8s.aws/instance-gpu-name": "a100", "karpenter.k8s.aws/instance-gpu-memory": "81920"},
            "a100-sxm-80gb",
            id="by memory",
        ),
        pytest.param({"node.kubernetes.io/instance-type": "Standard_ND96isr_H100_v5"}, "h100-sxm-80gb", id="machine type"),
        pytest.param({"beta.kubernetes.io/instance-type": "g5.12xlarge"}, "a10g-24gb", id="machine family"),
    ],
)
def test_clouds_are_asked_where_there_is_no_product_label(labels: dict[str, str], expected: str) -> None:
    assert known(labels, {"nvidia.com/gpu": "8"}).accelerator == expected


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        pytest.param({"karpenter.k8s.aws/instance-gpu-name": "a100"}, "a100-sxm-40gb, a100-sxm-80gb", id="ambiguous"),
        pytest.param({"cloud.google.com/gke-accelerator": "nvidia-tesla-k80"}, "nvidia-tesla-k80", id="not catalogued"),
        pytest.param({"akash.network/capabilities.gpu.vendor.nvidia.model.h100.ram.80Gi": "8"}, "h100.ram.80Gi", id="model in the key"),
        pytest.param({"kubernetes.azure.com/accelerator": "nvidia"}, "no label says which model", id="resource without a model"),
    ],
)
def test_what_labels_do_not_tell_stays_unknown(labels: dict[str, str], message: str) -> None:
    found = identify(labels, EIGHT)
    assert isinstance(found, Missing)
    assert found.reason is Reason.UNKNOWN_ACCELERATOR
    assert message in found.message


def test_a_node_without_accelerators_is_not_an_error() -> None:
    found = identify({"node.kubernetes.io/instance-type": "m5.large"}, {"cpu": "2"})
    assert isinstance(found, Missing)
    assert found.reason is Reason.NOT_APPLICABLE


def test_a_malformed_count_is_named() -> None:
    found = identify({"nvidia.com/gpu.product": "Tesla-T4"}, {"nvidia.com/gpu": "-3"})
    assert isinstance(found, Missing)
    assert "nvidia.com/gpu='-3'" in found.message


def test_a_providers_class_claims_its_product() -> None:
    own = replace(accelerator("h100-sxm-80gb"), name="h100-house", identifiers={"product": ("NVIDIA-H100-80GB-HBM3",)})
    found = identify({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}, EIGHT, {"h100-house": own})
    assert isinstance(found, NodeDevices)
    assert found.accelerator == "h100-house"


def test_no_two_classes_claim_one_product_or_device() -> None:
    claims: dict[tuple[str, str], str] = {}
    for name, device in load_catalog().items():
        for kind in ("product", "device_id", "gke", "instance_type", "coreweave"):
            for value in device.identifiers.get(kind, ()):
                assert claims.setdefault((kind, value.casefold()), name) == name, (kind, value)


@given(st.dictionaries(st.sampled_from(["nvidia.com/gpu.product", "gpu.nvidia.com/model", "amd.com/gpu.device-id"]), st.text(max_size=40)))
def test_any_label_value_gives_a_class_or_a_reason(labels: dict[str, str]) -> None:
    found = identify(labels, {"nvidia.com/gpu": "8"})
    if isinstance(found, Missing):
        assert found.message
        assert "\n" not in found.message
    else:
        assert found.accelerator in load_catalog()
