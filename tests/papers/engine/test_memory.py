"""Peak memory: no less than the images take."""

from __future__ import annotations

from papers.engine.memory import peak_memories


def test_peak_memory_is_above_what_the_images_take():
    ((peak, held),) = peak_memories("vit_pico_patch8_32", None, [64])  # in a new process
    assert held == 5 * 64 * 3 * 32 * 32 * 4
    assert peak > held
