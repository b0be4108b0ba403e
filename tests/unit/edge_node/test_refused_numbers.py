"""A refusal is final: what the tiers above believe was never run is not run later either."""

from __future__ import annotations

from dataclasses import replace

from tests.support.directive_bench import HI, Bench, new, order, sealed

HIGH = 1290.0
"""Beyond the plant's bound."""


def start_with_wider_bounds(bench: Bench) -> None:
    """The engineer widens the bound, and the edge starts anew."""
    bench.edge.start()
    unit = bench.edge.book.units[HI]
    wide = replace(unit.definition.bounds, limit_max=1300.0)
    unit.definition = replace(unit.definition, bounds=wide)


async def test_what_was_refused_is_not_applied_once_bounds_are_widened() -> None:
    bench = Bench()
    refused = sealed(order(new(limit=HIGH)))
    assert await bench.at_edge(refused) == "out_of_bounds"
    start_with_wider_bounds(bench)
    said = len(bench.edge.reports)
    await bench.at_edge(refused)
    assert bench.untouched
    assert len(bench.edge.reports) == said  # told once
    # The next number is judged by the bounds of now.
    assert await bench.at_edge(sealed(order(new(limit=HIGH), counter=2))) == ""
    assert bench.edge.limits()[HI] == HIGH


async def test_nor_is_an_older_one_that_lies_there_again() -> None:
    bench = Bench()
    older = sealed(order(new(limit=HIGH)))
    assert await bench.at_edge(older) == "out_of_bounds"
    assert await bench.at_edge(sealed(order(new(limit=HIGH), counter=2))) == "out_of_bounds"
    start_with_wider_bounds(bench)
    assert await bench.at_edge(older) == "old_counter"
    assert bench.untouched


async def test_what_only_came_too_late_takes_up_no_number() -> None:
    bench = Bench()
    assert await bench.at_edge(sealed(order(expires_at=1))) == "expired"
    assert await bench.at_edge(sealed(order())) == ""
