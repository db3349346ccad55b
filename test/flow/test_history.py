"""From PyPI's first event to its last: the database comes to what an independent model says."""
import pytest

from history import NOWHERE, check, farm_with_history, wait_read


@pytest.mark.parametrize("events", [200_000, pytest.param(2_000_000, marks=pytest.mark.long)])
def test_the_whole_history_comes_to_what_the_model_says(tmp_path, postgres, database_without_target, events):
    with farm_with_history(tmp_path, postgres, database_without_target, events, 1) as (farm, path):
        farm.start_master("--pypi-simple", NOWHERE, follow="all")
        wait_read(farm)
        check(farm, path)
