"""Nets of random units give the same numbers with and without their plan, whatever is read."""
import random

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from net_texts import net
from planned import assert_near, fill, planning
from random_nets import RandomNet

import caffe


def disturb(built, choose):
    """Writes to a blob, as an array or a tensor, gives it another shape, or runs some layers."""
    given = built.blobs["data"].values      # which has other names behind a Split
    blob = choose.choice([blob for blob in built.blobs.values() if blob.values is not given])
    act = choose.choice(["array", "tensor", "reshape", "layers"])
    if act == "array":
        blob.data[...] = 9
    elif act == "tensor":
        with torch.inference_mode(blob.tensor.is_inference()):
            blob.tensor.fill_(9)
    elif act == "reshape":
        blob.reshape(2, 3)
    else:
        start, end = sorted(choose.choices(range(len(built.layers)), k=2))
        names = list(built.layer_dict)
        built.forward(start=names[start], end=names[end])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2 ** 32 - 1))
def test_random_nets(seed):
    choose = random.Random(seed)
    described = RandomNet(choose)
    planned, plain = (net(described.text, phase=caffe.TEST) for _ in range(2))
    for built in (planned, plain):
        fill(built)
    held = {}       # arrays that a program keeps for some passes
    for count in range(8):      # from the fourth of one shape on, stretches are replayed
        if choose.random() < 0.2:       # what a program may do to blobs that a pass will replace
            disturb(planned, choose)
        if choose.random() < 0.3:
            size = choose.choice([(9, 10), (7, 7), (14, 5)])
            for built in (planned, plain):
                built.blobs["data"].reshape(described.batch, described.channels, *size)
        values = np.random.default_rng([seed, count]).normal(size=planned.blobs["data"].data.shape)
        for built in (planned, plain):
            built.blobs["data"].data[...] = values
        with torch.inference_mode(choose.random() < 0.1):
            planned.forward()
        with planning(False):
            plain.forward()
        read = choose.sample(list(planned.blobs), choose.choice([0, 1, 3]))
        for name in [*held, *read]:
            held[name] = planned.blobs[name].data
            assert_near(held[name], plain.blobs[name].data, f"{name}, pass {count}")
        held = held if choose.random() < 0.7 else {}
        assert_near(planned.blobs["end"].data, plain.blobs["end"].data, f"end, pass {count}")
