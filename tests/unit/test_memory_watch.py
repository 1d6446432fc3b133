import numpy as np
import pytest

from firmware.faults import FaultCode
from firmware.memory_watch import SAMPLE_EVERY_S, SAMPLES, MemoryWatch, steady_growth
from firmware.records import MemoryUse

MB = 1_000_000


def watched(resident_mb, pool_free_mb=lambda hours: 300.0, hours=2.0):
    """Return the faults of a service whose memory goes as the functions of the hours say."""
    watch, faults = MemoryWatch(), []
    generator = np.random.default_rng(1)
    for number in range(round(hours * 60)):
        now_s = number * SAMPLE_EVERY_S
        assert watch.is_due(now_s)
        free_mb = pool_free_mb(now_s / 3600)
        use = MemoryUse(
            resident_bytes=round(resident_mb(now_s / 3600) * MB + generator.normal(0, 0.3) * MB),
            pool_free_bytes=None if free_mb is None else round(free_mb * MB),
        )
        faults.append(watch.note(use, now_s))
        assert not watch.is_due(now_s + SAMPLE_EVERY_S / 2)
    return faults


@pytest.mark.parametrize(
    "resident_mb",
    [
        lambda hours: 180,
        lambda hours: 180 + 40 * min(hours, 0.2),  # caches fill
        lambda hours: 180 + 60 * (hours > 1),  # a step
        lambda hours: 180 + 20 * np.sin(hours * 20),  # traffic comes and goes
        lambda hours: 180 + 3 * hours,  # would last for days
    ],
)
@pytest.mark.parametrize("pool_free_mb", [300.0, None])
def test_a_service_that_lives_is_no_fault(resident_mb, pool_free_mb):
    assert not any(watched(resident_mb, lambda hours: pool_free_mb, hours=3))


def test_a_leak_of_a_page_a_frame_is_told_within_the_hour_that_it_takes_to_see_it():
    faults = watched(lambda hours: 180 + 100 * hours)
    assert not any(faults[: SAMPLES - 1])
    assert faults[SAMPLES - 1].code is FaultCode.MEMORY_GROWS
    assert "100 MB an hour" in str(faults[-1])


def test_a_pool_that_shrinks_is_told_by_its_name():
    faults = watched(lambda hours: 180, lambda hours: 300 - 50 * hours)
    assert "CmaFree" in str(faults[-1])


@pytest.mark.parametrize("slope", [-5.0, 0.0, 7.0])
def test_growth_is_the_smaller_slope_of_the_halves(slope):
    times_s = [float(number) for number in range(60)]
    values = [slope * at_s for at_s in times_s]
    assert steady_growth(times_s, values) == pytest.approx(max(0.0, slope), abs=1e-6)
    values[40:] = [1000.0] * 20
    assert steady_growth(times_s, values) <= max(0.0, slope) + 1e-6
