"""A training of a second, and its weights."""

import torch

from invlib.training.run import TrainingRun

TINY = TrainingRun(
    model="vit_pico_patch8_32", dataset="digits", n_train=70, n_test=40, batch_size=32,
    epochs=2, optimizer="adamw", lr=2e-3,
)  # fmt: skip


def tiny(**kwargs):
    return TrainingRun(**dict(TINY) | kwargs)


def state(trained, epoch=-1):
    return trained.model(epoch).net.state_dict()


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)
