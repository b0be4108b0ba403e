"""Prometheus text: escapes, labels, histograms that add up."""

from __future__ import annotations

from shared.metrics import Exposition, Histogram


def test_a_histogram_counts_each_observation_at_and_above_its_limit() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.1, 0.5, 1.0, 7.0):
        histogram.observe(value)
    out = Exposition("andon", {"site": "f1"})
    out.histogram("lag_seconds", "How late", histogram, {"lane": "live"})
    assert out.text() == (
        "# HELP andon_lag_seconds How late\n"
        "# TYPE andon_lag_seconds histogram\n"
        'andon_lag_seconds_bucket{site="f1",lane="live",le="0.1"} 1\n'
        'andon_lag_seconds_bucket{site="f1",lane="live",le="1"} 3\n'
        'andon_lag_seconds_bucket{site="f1",lane="live",le="+Inf"} 4\n'
        'andon_lag_seconds_sum{site="f1",lane="live"} 8.5999999999999996\n'
        'andon_lag_seconds_count{site="f1",lane="live"} 4\n'
    )


def test_labels_are_escaped_and_a_number_alone_needs_none() -> None:
    out = Exposition("andon")
    out.tell("odd", "gauge", "Two\nlines", [({"name": 'a"b\\c\nd'}, 1)])
    out.tell("plain_total", "counter", "Plain", 12345678901)
    assert 'andon_odd{name="a\\"b\\\\c\\nd"} 1\n' in out.text()
    assert out.text().endswith("andon_plain_total 12345678901\n")
    assert "# HELP andon_odd Two\\nlines\n" in out.text()
