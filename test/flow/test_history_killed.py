"""The master falls again and again while it reads PyPI's history: what it comes to is the same."""
import random

import pytest

from history import NOWHERE, asked_again_and_again, check, farm_with_history, wait_read

KILLS = 10
POLLS = 2_000       # some seconds: as long as an answer takes, from the question to its commit


def wait_a_while(farm, polls):
    """Until the database has been asked so often how far it is, or has got further."""
    with asked_again_and_again(farm) as serial:
        before = serial()
        for _ in range(polls):
            if serial() != before:
                return


@pytest.mark.parametrize("events", [60_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_killed_at_ten_random_moments_the_master_comes_to_the_same(tmp_path, postgres, database_without_target, events):
    chance = random.Random(events)
    with farm_with_history(tmp_path, postgres, database_without_target, events, 2) as (farm, path):
        for _ in range(KILLS):
            farm.start_master("--pypi-simple", NOWHERE, follow="all")
            wait_a_while(farm, chance.randrange(POLLS))
            farm.master.kill()
        farm.start_master("--pypi-simple", NOWHERE, follow="all")
        wait_read(farm)
        check(farm, path)
