import pytest

from mfu.api.catalog import catalogued_config, model_names
from mfu.errors import UnknownName
from mfu.model.config import read_config


@pytest.mark.parametrize("name", model_names())
def test_every_catalogued_model_can_be_read(name: str) -> None:
    assert read_config(catalogued_config(name)).layer_count > 0


def test_an_unknown_model_comes_with_the_nearest_names_at_the_given_field() -> None:
    with pytest.raises(
        UnknownName, match=r"^--catalog: model 'llama-3\.1-71b' is not in the catalog; the nearest known are llama-3\.1-70b"
    ):
        catalogued_config("llama-3.1-71b", "--catalog")


@pytest.mark.parametrize("name", ["../accelerators/nvidia-hopper", "", "llama-3.1-8b.yaml"])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(UnknownName):
        catalogued_config(name)
