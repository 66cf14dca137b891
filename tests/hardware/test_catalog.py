"""The catalogue as shipped, and what a data file may not contain."""

from dataclasses import replace

import pytest

from mfu.errors import DataError, UnknownName
from mfu.hardware.accelerator import Accelerator, Vendor
from mfu.hardware.catalog import accelerator, load_catalog, nearest_names
from mfu.hardware.data_file import read_accelerators
from mfu.hardware.precision import Precision
from mfu.missing import Missing, Reason

CONTRACT_CLASSES = """
v100-sxm-16gb v100-sxm-32gb a100-sxm-40gb a100-sxm-80gb a100-pcie-40gb
a100-pcie-80gb a30-24gb a40-48gb a10-24gb a10g-24gb
t4-16gb l4-24gb l40-48gb l40s-48gb h100-sxm-80gb
h100-sxm-96gb-500w h100-pcie-80gb h100-nvl-94gb h800-sxm-80gb h20-sxm-96gb
h200-sxm-141gb h200-nvl-141gb gh200-96gb gh200-144gb b200-sxm-180gb
b300-sxm-270gb gb200-nvl-186gb gb300-nvl-278gb rtx-pro-6000-server-96gb rtx-4090-24gb
rtx-5090-32gb mi210-64gb mi250x-gcd-64gb mi300a-128gb mi300x-192gb
mi308x-192gb mi325x-256gb mi350x-288gb mi355x-288gb gaudi2-96gb
gaudi3-128gb tpu-v5e-16gb tpu-v5p-95gb tpu-v6e-32gb
"""


@pytest.mark.parametrize("name", CONTRACT_CLASSES.split())
def test_every_class_of_the_contract_is_catalogued(name: str) -> None:
    assert accelerator(name).name == name


@pytest.mark.parametrize(
    ("name", "precision", "teraflops"),
    [
        ("v100-sxm-32gb", Precision.FP16, 125),
        ("a100-sxm-80gb", Precision.BF16, 312),
        ("h100-sxm-80gb", Precision.BF16, 989.4),
        ("h100-sxm-80gb", Precision.FP8, 1978.9),
        ("h100-pcie-80gb", Precision.BF16, 756.4),
        ("b200-sxm-180gb", Precision.MXFP8, 4500),
        ("b200-sxm-180gb", Precision.NVFP4, 9000),
        ("gb200-nvl-186gb", Precision.BF16, 2500),
        ("mi300x-192gb", Precision.BF16, 1307.4),
        ("l40s-48gb", Precision.FP8, 733),
    ],
)
def test_peaks_are_the_dense_data_sheet_figures(name: str, precision: Precision, teraflops: float) -> None:
    assert accelerator(name).peak(precision) == pytest.approx(teraflops * 1e12)


@pytest.mark.parametrize("name", [name for name, known in load_catalog().items() if known.vendor in (Vendor.NVIDIA, Vendor.AMD)])
def test_a_peak_is_a_power_of_two_of_flops_a_clock_and_multiprocessor(name: str) -> None:
    """A sparse figure, a wrong unit count or a wrong clock breaks this; a data sheet's rounding does not."""
    known = accelerator(name)
    peak = known.peak_flops_per_second.get("bf16", known.peak_flops_per_second["fp16"])
    assert known.peak_clock_hertz is not None
    per_clock = peak / known.multiprocessors / known.peak_clock_hertz
    powers = [2**exponent for exponent in range(8, 15)]
    assert min(abs(per_clock / power - 1) for power in powers) < 0.01


@pytest.mark.parametrize("known", load_catalog().values(), ids=lambda known: known.name)
def test_every_number_names_its_origin(known: Accelerator) -> None:
    numbers = [
        "peak_flops_per_second",
        "memory_bytes",
        "memory_bytes_per_second",
        "l2_bytes",
        "multiprocessors",
        "max_clock_hertz",
        "power_watts",
        "link_bytes_per_second",
        "network_bytes_per_second",
        "price_per_hour",
        *(["partitions"] if known.partitions else []),
    ]
    for field in numbers:
        assert known.provenance[field].startswith(("datasheet: ", "measured: ", "assumed: ")), field


@pytest.mark.parametrize("known", load_catalog().values(), ids=lambda known: known.name)
def test_narrower_formats_are_not_slower_and_partitions_fit_in_the_device(known: Accelerator) -> None:
    peaks = known.peak_flops_per_second
    order = [peaks[key] for key in ("fp32", "tf32", "bf16", "fp8", "fp4") if key in peaks]
    assert order == sorted(order)
    for part in known.partitions:
        assert part.compute_ratio * part.count_per_device <= 1.0
        assert part.bandwidth_ratio * part.count_per_device <= 1.0
        assert part.memory_bytes * part.count_per_device <= known.memory_bytes * 1.0001


def test_memory_is_what_the_driver_reports() -> None:
    reported = {"a100-sxm-80gb": 85.9, "h100-sxm-80gb": 85.5, "h200-sxm-141gb": 150.7, "b200-sxm-180gb": 192.3, "mi300x-192gb": 206.1}
    for name, gigabytes in reported.items():
        assert accelerator(name).memory_bytes == pytest.approx(gigabytes * 1e9, rel=0.002)


def test_a_precision_without_matrix_units_is_missing() -> None:
    found = accelerator("a100-sxm-80gb").peak(Precision.FP8)
    assert isinstance(found, Missing)
    assert found.reason is Reason.UNSUPPORTED_PRECISION


def test_a_fast_link_domain_ends_at_the_node_unless_the_switch_spans_nodes() -> None:
    assert accelerator("h100-sxm-80gb").link_domain(8) == 8
    assert accelerator("h100-sxm-80gb").link_domain(4) == 4
    assert accelerator("h100-nvl-94gb").link_domain(8) == 2
    assert accelerator("gb200-nvl-186gb").link_domain(4) == 72


def test_the_peak_follows_the_clock() -> None:
    h100 = accelerator("h100-sxm-80gb")
    assert h100.peak_at(Precision.BF16, 1830e6) == pytest.approx(989.4e12)
    assert h100.peak_at(Precision.BF16, 915e6) == pytest.approx(494.7e12)


def test_a_partition_is_a_class_of_its_own() -> None:
    part = accelerator("h100-sxm-80gb/1g.10gb")
    peak = part.peak(Precision.BF16)
    assert not isinstance(peak, Missing)
    assert peak == pytest.approx(989.4e12 * 16 / 132)
    assert part.link_domain(8) == 1


def test_an_unknown_class_names_the_nearest() -> None:
    with pytest.raises(UnknownName) as caught:
        accelerator("h100-80gb")
    assert caught.value.path == "spec.accelerators.class"
    assert caught.value.nearest[0] == "h100-sxm-80gb"
    assert "h100-sxm-80gb" in str(caught.value)


def test_an_unknown_partition_names_those_of_the_device() -> None:
    with pytest.raises(UnknownName, match=r"1g\.10gb"):
        accelerator("h100-sxm-80gb/1g.11gb")


def test_a_providers_class_goes_before_the_catalogue() -> None:
    own = replace(accelerator("h100-sxm-80gb"), price_per_hour=1.0)
    assert accelerator("h100-sxm-80gb", {"h100-sxm-80gb": own}).price_per_hour == 1.0


@pytest.mark.parametrize(
    ("name", "nearest"), [("b300", "b300-sxm-270gb"), ("an Instinct MI355X of ours", "mi355x-288gb"), ("h100_sxm", "h100-sxm-80gb")]
)
def test_nearest_names_prefer_the_same_chip(name: str, nearest: str) -> None:
    assert nearest_names(name, load_catalog())[0] == nearest


GOOD = """
vendor: nvidia
sources: {sheet: {basis: datasheet, text: a data sheet}}
default_sources: {peak_tflops: sheet, peak_clock_mhz: sheet, memory_mib: sheet, memory_gb_per_second: sheet, l2_mib: sheet,
  multiprocessors: sheet, max_clock_mhz: sheet, power_watts: sheet, link: sheet, network_gbit_per_second: sheet,
  price_dollars_per_hour: sheet, partitions: sheet}
classes:
  x1-sxm-10gb:
    architecture: x
    peak_tflops: {bf16: 100}
    peak_clock_mhz: 1000
    memory_mib: 10240
    memory_gb_per_second: 1000
    l2_mib: 10
    multiprocessors: 100
    max_clock_mhz: 1000
    power_watts: 100
    link: {kind: nvlink, gb_per_second: 100, domain_size: 8}
    network_gbit_per_second: 400
    price_dollars_per_hour: 1
    partitions: {1g.5gb: {multiprocessors: 10, slices: 1, count: 7}}
    identifiers: {product: [NVIDIA-X1]}
"""


def test_a_data_file_becomes_si_units() -> None:
    known = read_accelerators(GOOD, "x.yaml")["x1-sxm-10gb"]
    assert known.peak_flops_per_second == {"bf16": pytest.approx(100e12)}
    assert known.memory_bytes == 10240 * 2**20
    assert known.network_bytes_per_second == pytest.approx(50e9)
    assert known.provenance["memory_bytes"] == "datasheet: a data sheet"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param("memory_mib: 10240", "memory_mib: -1", r"x1-sxm-10gb\.memory_mib: expected a positive number", id="negative"),
        pytest.param("memory_mib: 10240", "memory_mib: .nan", r"memory_mib: expected a positive number", id="nan"),
        pytest.param("    memory_mib: 10240\n", "", r"x1-sxm-10gb\.memory_mib: is missing", id="missing number"),
        pytest.param("memory_mib: sheet, ", "", r"sources\.memory_mib: every number needs a source", id="no source"),
        pytest.param("l2_mib: sheet", "l2_mib: other", r"'other' is not among the sources", id="unknown source"),
        pytest.param("basis: datasheet", "basis: hearsay", r"sources\.sheet\.basis: 'hearsay'", id="unknown basis"),
        pytest.param("{bf16: 100}", "{bf17: 100}", r"peak_tflops\.bf17: is not a precision", id="unknown precision"),
        pytest.param("kind: nvlink", "kind: string", r"link\.kind: 'string' is not one of", id="unknown link"),
        pytest.param("vendor: nvidia", "vendor: acme", r"vendor: 'acme' is not one of", id="unknown vendor"),
        pytest.param("power_watts: 100", "power_wats: 100", r"power_wats: is not a known key", id="misspelt key"),
        pytest.param("count: 7", "count: 11", r"1g\.5gb: 11 instances take more than the device has", id="too many slices"),
        pytest.param("[NVIDIA-X1]", "[740]", r"identifiers\.product: must be a list", id="unquoted identifier"),
        pytest.param("classes:", "classes: [", r"not YAML", id="broken yaml"),
    ],
)
def test_a_wrong_data_file_names_the_file_and_the_key(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(DataError, match=r"^x\.yaml: .*" + message):
        read_accelerators(GOOD.replace(old, new), "x.yaml")
