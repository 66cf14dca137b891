import pytest

from mfu.api.accelerator import accelerator
from mfu.errors import IntentError, UnknownName
from mfu.hardware.catalog import load_catalog
from tests.api.objects import CLASS

H100 = load_catalog()["h100-sxm-80gb"]


def _class(name: str, **spec: object) -> dict[str, object]:
    return {**CLASS, "metadata": {"name": name}, "spec": spec}


def test_figures_come_in_si_units() -> None:
    found = accelerator(CLASS)
    assert found.name == "h100-ours"
    assert found.peak_flops_per_second["bf16"] == pytest.approx(900e12)
    assert found.peak_flops_per_second["fp8"] == pytest.approx(1.8e15)
    assert found.memory_bytes == 80 * 2**30
    assert found.memory_bytes_per_second == pytest.approx(3.35e12)
    assert found.network_bytes_per_second == pytest.approx(50e9)
    assert found.price_per_hour == 4.10
    assert found.identifiers == {"product": ("NVIDIA-H100-OURS",)}


def test_what_is_not_stated_is_that_of_the_extended_class() -> None:
    found = accelerator(_class("cheap", extends="h100-sxm-80gb", pricePerHour="$1"))
    assert found.peak_flops_per_second == H100.peak_flops_per_second
    assert found.partitions == H100.partitions
    assert found.provenance["price_per_hour"].startswith("provider")
    assert found.provenance["memory_bytes"] == H100.provenance["memory_bytes"]


def test_two_classes_do_not_claim_the_same_nodes() -> None:
    assert accelerator(_class("cheap", extends="h100-sxm-80gb", pricePerHour="$1")).identifiers == {}
    same = accelerator(_class("h100-sxm-80gb", extends="h100-sxm-80gb", pricePerHour="$1"))
    assert same.identifiers == H100.identifiers


def test_other_silicon_has_no_slices_of_the_extended_class() -> None:
    assert accelerator(_class("half", extends="h100-sxm-80gb", memory="40GiB")).partitions == ()


def test_a_class_may_extend_another_object_but_not_itself() -> None:
    base = accelerator(_class("base", extends="h100-sxm-80gb", pricePerHour="$9"))
    assert accelerator(_class("more", extends="base", memory="90GiB"), {"base": base}).price_per_hour == 9
    with pytest.raises(UnknownName, match=r"spec\.extends"):
        accelerator(_class("base", extends="base"), {"base": base})


def test_a_class_of_its_own_needs_no_base() -> None:
    found = accelerator(
        _class("npu", vendor="intel", architecture="gaudi3", peak={"bf16": "1.8 PFLOP/s"}, memory="128 GB", memoryBandwidth="3.7 TB/s")
    )
    assert found.peak_flops_per_second == {"bf16": pytest.approx(1.8e15)}
    assert found.provenance["power_watts"].startswith("assumed")


def test_an_amount_of_nothing_is_refused() -> None:
    with pytest.raises(IntentError, match=r"spec\.memory: must be an amount above zero"):
        accelerator(_class("none", extends="h100-sxm-80gb", memory="0 GiB"))
