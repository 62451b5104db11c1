"""How many objects a few pages tell of."""

from __future__ import annotations

import random

import pytest

from sync_core.services.estimate import Guess, Sample, guess


def sample(created: list[int], at: int, size: int = 100) -> Sample:
    """What a page of `created` (sorted) shows that ends right below `at`."""
    below = [one for one in created if one < at]
    page = below[-size:]
    return Sample(at, len(page), page[0] if page else at, len(page) == len(below))


def spread(created: list[int], end: int, probes: int = 4) -> list[Sample]:
    newest = sample(created, end)
    step = newest.oldest / (probes + 1)
    return [newest, *(sample(created, round(step * (one + 1))) for one in range(probes))]


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param([Sample(1000, 7, 400, is_all=True)], id="one page"),
        pytest.param([Sample(1000, 0, 1000, is_all=True)], id="nothing"),
        pytest.param([Sample(1000, 7, 400, is_all=True), Sample(500, 1, 400, is_all=True)], id="counted twice"),
    ],
)
def test_what_fits_one_page_is_counted(samples: list[Sample]) -> None:
    assert guess(samples, 0) == Guess(samples[0].count, samples[0].count, samples[0].count)
    assert guess(samples, 0).exact


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(lambda draw: draw, id="even"),
        pytest.param(lambda draw: draw**0.5, id="growing"),
        pytest.param(lambda draw: 1 - draw**0.5, id="shrinking"),
        pytest.param(lambda draw: 0.5 + draw / 2, id="began half way"),
    ],
)
def test_the_truth_is_within_the_range(seed: int, shape: object) -> None:
    chance = random.Random(seed)
    assert callable(shape)
    created = sorted(int(shape(chance.random()) * 10_000_000) for _ in range(20_000))

    got = guess(spread(created, 10_000_001), 0)

    assert got.low <= 20_000 <= got.high
    assert 14_000 <= got.records <= 27_000
    assert not got.exact
