"""The whole campaign of one operator state: a hundred thousand random orders of arrival."""

from __future__ import annotations

import pytest

from tests.unit.factory_brain import test_one_operator_state as campaign


@pytest.mark.skipif(not campaign.WHOLE, reason="its short form runs with the unit tests")
@pytest.mark.timeout(7200)
def test_a_hundred_thousand_orders_end_byte_equal(record_property) -> None:
    assert campaign.HISTORIES * campaign.ORDERS >= 100_000
    campaign.test_any_order_of_arrival_ends_byte_equal(record_property)
