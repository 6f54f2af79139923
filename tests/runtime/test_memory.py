"""Peak memory: of the work inside, and not of what came before."""

import time

import numpy as np

from unlearnbench.runtime.memory import PeakMemory

SIZE = 300 * 2**20


def test_the_peak_is_that_of_the_work_inside() -> None:
    before = np.ones(SIZE, dtype=np.uint8)
    del before
    with PeakMemory("cpu") as small:
        pass
    with PeakMemory("cpu") as large:
        inside = np.ones(SIZE, dtype=np.uint8)
        while large.peak < small.peak + SIZE * 0.9:  # looks come in a thread, whenever the machine lets it
            time.sleep(0.01)
        del inside
    assert 0 < small.peak < large.peak
    assert SIZE * 0.9 < large.peak - small.peak < SIZE * 1.3
