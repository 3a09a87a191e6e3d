"""Two processes that train together: what they share, what they draw, how they resume and fail."""
import multiprocessing
import os
import socket

import numpy as np
import pytest
from small_training import SETTINGS, Killed, killed_after, seed

import caffe
from caffe.files import weights
from faster_rcnn.minibatches.order import ImageOrder
from faster_rcnn.runs import processes
from faster_rcnn.settings.config import cfg_override
from faster_rcnn.training.solver_wrapper import SolverWrapper
from faster_rcnn.training.train_net import train_net

SMALL = {"SCALES": [48], "MAX_SIZE": 80, "SNAPSHOT_ITERS": 1000, "LOADER_THREADS": 1,
         **SETTINGS["fast_rcnn"], "IMS_PER_BATCH": 1, "CHECKPOINT_ITERS": 3}
# The results of five images for two processes, one of which has no boxes
FOUND = {i: [np.full((i % 3, 5), 10 * i + k, np.float32) for k in range(2)] for i in range(5)}


def work(rank, port, solver, roidb, folder, results):
    """One of the two processes; puts what the test looks at into `results`."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2",
                      MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    seen = {}
    processes.start()
    processes.join()
    with cfg_override(TRAIN=SMALL):
        seed()
        wrapper = SolverWrapper(solver, roidb, os.path.join(folder, "whole"))
        wrapper.train_model(8)
        seen["images"] = wrapper._data_layer.recent_images(8)
        seed()
        seen["parts"] = resumed(solver, roidb, os.path.join(folder, "parts"))
    seen["agreed"] = processes.broadcast(10 + rank)
    mine = {image: FOUND[image] for image in processes.share(len(FOUND))}
    seen["found"] = processes.gathered_images(mine)
    seen["of one"] = processes.gathered_images({0: FOUND[1]} if rank else {})
    results.put((rank, seen, wrapper.solver.net.params["conv"][0].data.copy()))
    if rank:
        results.put(("failed", processes.is_first_to_fail()))
        results.close()
        results.join_thread()
        os._exit(2)
    try:
        processes.barrier()
    except caffe.CaffeError as problem:
        results.put((str(problem), processes.is_first_to_fail()))


def resumed(solver, roidb, folder):
    """The snapshot of a training that died in its 6th iteration and was continued."""
    patch = pytest.MonkeyPatch()
    killed_after(patch, 5)
    with pytest.raises(Killed):
        train_net(solver, roidb, folder, max_iters=8)
    seed()
    return train_net(solver, roidb, folder, max_iters=8, resume=True)[-1]


@pytest.fixture(scope="module")
def ran():
    return {}


@pytest.fixture
def pair(ran, make, roidb, tmp_path):
    """What the two processes saw, by rank, their weights, the last words, and the folder."""
    if not ran:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        processes = [context.Process(target=work, daemon=True, args=(
            rank, port, make("fast_rcnn"), roidb, str(tmp_path), results)) for rank in (0, 1)]
        for process in processes:
            process.start()
        answers = [results.get(timeout=300) for _ in range(4)]
        for process in processes:
            process.join()
        ran["seen"] = dict(answer[:2] for answer in answers if answer[0] in (0, 1))
        ran["weights"] = [answer[2] for answer in answers if answer[0] in (0, 1)]
        ran["last words"] = [answer for answer in answers if answer[0] not in (0, 1)]
        ran["folder"] = str(tmp_path)
    return ran


def test_weights_agree_and_images_differ(pair):
    one, other = pair["weights"]
    assert np.array_equal(one, other) and one.any()
    images = np.array([pair["seen"][rank]["images"] for rank in (0, 1)]).T.ravel().tolist()
    epochs = [images[start:start + 3] for start in range(0, 15, 3)]     # of four images, see order
    assert len(images) == 16 and all(len(set(epoch)) == 3 for epoch in epochs)


def test_only_the_first_process_writes(pair):
    assert os.listdir(os.path.join(pair["folder"], "whole")) == ["tiny_iter_8.caffemodel"]


def test_an_interrupted_training_continues_exactly(pair):
    """Dropout draws in each process from its own generator, whose state is in the checkpoint."""
    whole = weights.read_weights(os.path.join(pair["folder"], "whole", "tiny_iter_8.caffemodel"))
    parts = weights.read_weights(pair["seen"][0]["parts"])
    for name, arrays in whole.items():
        assert all(np.array_equal(a, b) for a, b in zip(arrays, parts[name])), name


def test_results_of_images_come_together_in_their_order(pair):
    assert pair["seen"][1]["found"] is None
    found = pair["seen"][0]["found"]
    assert list(found) == list(FOUND)
    for image, arrays in FOUND.items():
        for a, b in zip(arrays, found[image]):
            assert a.dtype == b.dtype and np.array_equal(a, b)
    alone = pair["seen"][0]["of one"]
    assert list(alone) == [0] and np.array_equal(alone[0][1], FOUND[1][1])


def test_what_the_first_process_says_counts(pair):
    assert [pair["seen"][rank]["agreed"] for rank in (0, 1)] == [10, 10]


def test_one_process_tells_why_all_end(pair):
    (_, first), (problem, second) = sorted(pair["last words"], key=lambda answer: not answer[1])
    assert first and not second
    assert "did one of their processes end?" in problem


def test_processes_deal_one_order_out_in_turn():
    alone = ImageOrder(7, 2, seed=5)
    shares = [ImageOrder(7, 2, seed=5, share=(rank, 3)) for rank in range(3)]
    for _ in range(4):
        for share in shares:
            (inds, seed_), (expected, expected_seed) = share.next(), alone.next()
            assert inds.tolist() == expected.tolist() and seed_ == expected_seed
        states = [share.state_dict() for share in shares]
        assert all(np.array_equal(states[0][key], state[key])
                   for state in states for key in states[0])


def test_one_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    processes.start()
    assert processes.is_alone() and processes.is_first() and processes.is_first_to_fail()
    assert processes.broadcast(7) == 7 and processes.gpu_of(2) == 2
    assert list(processes.share(3)) == [0, 1, 2]
    assert processes.gathered({"a": 1}) == [{"a": 1}]


def test_plateau_is_refused_where_losses_differ(make, settings):
    with settings("rpn"):
        solver = caffe.SGDSolver(make("rpn", lr_policy='"plateau"', plateau_winsize=2))
    caffe.set_solver_count(2)
    try:
        with pytest.raises(ValueError, match="plateau.*choose step"):
            processes.average_gradients(solver)
    finally:
        caffe.set_solver_count(1)
