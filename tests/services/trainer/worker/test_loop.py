"""The compiled loop against steps made by hand, and its promise of bit-equal results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.reference import training as reference
from facefoundry.errors import Unusable
from facefoundry.model.network import SIDES, Architecture, build
from facefoundry.model.weights import Tensors
from facefoundry.recipes import load
from facefoundry.v1.recipe_pb2 import TrainingOptions
from services.trainer.worker import loop
from services.trainer.worker.collapse import Collapsed
from services.trainer.worker.loop import StepsPerCall, Training

Snapshot = tuple[int, Tensors, Tensors]


def options() -> TrainingOptions:
    made = load("preview").training
    made.ClearField("encoder_filters")
    made.ClearField("decoder_filters")
    made.encoder_filters.extend([4, 4, 8, 8])
    made.decoder_filters.extend([8, 4, 4])
    made.bottleneck = made.upscale_filters = 8
    made.batch_size = 4
    made.learning_rate = 1e-4
    made.beta1 = 0.5
    made.colours, made.shared_blocks, made.dssim, made.loss_weights = "kept", 0, 0.0, "even"  # as FF++ trains
    made.seed = 12
    return made


def make_training(draw_faces: Any, **changes: Any) -> Training:
    made = options()
    for name, value in changes.items():
        setattr(made, name, value)
    return Training(made, {"a": draw_faces(10, 1), "b": draw_faces(7, 2)})


def snapshot(training: Training) -> Snapshot:
    return training.iteration, training.network.tensors(), training.moments()


def assert_equal(first: Snapshot, second: Snapshot) -> None:
    assert first[0] == second[0]
    for left, right in zip(first[1:], second[1:], strict=True):
        assert left.keys() == right.keys()
        assert all(np.array_equal(left[name], right[name]) for name in left)


@pytest.fixture(scope="module")
def training(draw_faces: Any) -> Training:
    loop.configure()
    return make_training(draw_faces)


@pytest.fixture
def fresh(training: Training) -> Iterator[Training]:
    """The module's training, put back to its beginning, because compiling one takes seconds."""
    training.restore(
        0,
        build(Architecture.of(training.options), training.options.seed).tensors(),
        {name: np.zeros_like(tensor) for name, tensor in training.moments().items()},
    )
    yield training


def plain(training: Training) -> reference.Pair:
    """FF++'s network in plain Keras layers, with the initial weights of the training."""
    made = training.options
    widths = reference.Widths(made.encoder_filters, made.bottleneck, made.upscale_filters, made.decoder_filters)
    pair = reference.Pair(widths)
    pair.set_weights(build(Architecture.of(made), made.seed).tensors())
    return pair


def rates(training: Training) -> dict[str, Any]:
    made = training.options
    return {"beta_1": made.beta1, "beta_2": made.beta2, "epsilon": made.epsilon}


def batches(training: Training, iteration: int) -> dict[str, Any]:
    return {side: training.batch(side, iteration) for side in SIDES}


def test_fifty_losses_are_those_of_plain_train_on_batch(fresh: Training) -> None:
    pair = plain(fresh)
    pair.compile(learning_rate=fresh.options.learning_rate, **rates(fresh))
    expected = [pair.train_on_batch(iteration, batches(fresh, iteration)) for iteration in range(50)]
    losses = fresh.run(50)
    assert np.abs(losses - expected).max() <= 1e-4
    assert losses[-1].mean() < losses[0].mean()
    trained = fresh.network.tensors()
    for name, tensor in pair.weights().items():
        assert np.abs(trained[name] - tensor).max() <= 1e-3, name


def test_weights_and_moments_are_those_of_two_adams_stepped_by_hand_with_one_counter(fresh: Training) -> None:
    pair, counter = plain(fresh), reference.Counter()
    optimizers = {side: reference.Adam(counter, fresh.options.learning_rate, **rates(fresh)) for side in SIDES}
    expected = [pair.step_by_hand(optimizers, batches(fresh, iteration)) for iteration in range(3)]
    assert np.abs(fresh.run(3) - expected).max() <= 1e-6
    assert counter.steps == 6, "A sees steps 0, 2, 4 and B sees 1, 3, 5"
    trained, moments = fresh.network.tensors(), fresh.moments()
    for name, tensor in pair.weights().items():
        assert np.abs(trained[name] - tensor).max() <= 1e-2 * fresh.options.learning_rate, name
    for side, optimizer in optimizers.items():
        for name in optimizer.first:
            for order, state in (("first", optimizer.first), ("second", optimizer.second)):
                largest = np.abs(state[name]).max()
                found = moments[f"moments/{side}/{name}/{order}"]
                assert np.abs(found - state[name]).max() <= 1e-2 * largest + 1e-12, (side, name, order)


def test_the_encoder_moves_on_a_then_on_b(fresh: Training) -> None:
    begin = fresh.network.tensors()
    fresh.run(1)
    after = fresh.network.tensors()
    # Adam's first step is as long as the rate; B's is corrected as a second one, so it is shorter.
    rate, first_step = fresh.options.learning_rate, {}
    for side in SIDES:
        change = np.abs(after[f"decoder_{side}/output/bias"] - begin[f"decoder_{side}/output/bias"])
        first_step[side] = np.median(change) / rate
    second_step = np.sqrt(1 - 0.999**2) / (1 - 0.5**2) * 0.5 / np.sqrt(1 - 0.999)
    assert first_step["a"] == pytest.approx(1.0, rel=1e-2)
    assert first_step["b"] == pytest.approx(second_step, rel=1e-2)


def test_each_side_has_moments_of_its_own_for_the_encoder(fresh: Training) -> None:
    fresh.run(1)
    moments = fresh.moments()
    assert not np.allclose(
        moments["moments/a/encoder/conv_1/kernel/first"], moments["moments/b/encoder/conv_1/kernel/first"]
    )
    assert not any(name.startswith("moments/a/decoder_b") for name in moments)


def test_iterations_in_one_call_or_in_many_give_bit_equal_results(fresh: Training) -> None:
    start = snapshot(fresh)
    whole = fresh.run(7)
    expected = snapshot(fresh)
    fresh.restore(*start)
    parts = np.concatenate([fresh.run(steps) for steps in (1, 4, 2)])
    assert np.array_equal(whole, parts)
    assert_equal(expected, snapshot(fresh))


def test_a_resumed_training_equals_an_unbroken_one_bit_for_bit(fresh: Training, draw_faces: Any) -> None:
    fresh.run(3)
    saved = snapshot(fresh)
    losses = fresh.run(4)
    expected = snapshot(fresh)
    resumed = make_training(draw_faces)
    resumed.restore(*saved)
    assert np.array_equal(resumed.run(4), losses)
    assert_equal(expected, snapshot(resumed))


def test_on_a_cpu_xla_compiles_the_two_stages_and_no_convolution(draw_faces: Any) -> None:
    graph = make_training(draw_faces, augmentation="two_stages")._many.get_concrete_function().graph.as_graph_def()
    by_xla = {
        function.signature.name: {node.op for node in function.node_def}
        for function in graph.library.function
        if function.attr["_XlaMustCompile"].b
    }
    everything = {node.op for function in graph.library.function for node in function.node_def}
    assert "Conv2D" in everything and "Conv2DBackpropFilter" in everything
    assert any("GatherV2" in used for used in by_xla.values())
    assert not any(name.startswith("Conv") for used in by_xla.values() for name in used)


def test_the_host_waits_once_a_call_however_many_iterations_it_has(
    fresh: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    tensor = type(tf.constant(0))

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def count(self: Any, *arguments: Any) -> Any:
            nonlocal reads
            reads += 1
            return method(self, *arguments)

        return count

    for name in ("numpy", "__array__", "__float__", "__int__", "__bool__", "__index__"):
        monkeypatch.setattr(tensor, name, counted(getattr(tensor, name)))
    fresh.run(20)
    assert reads == 1
    graph = fresh._many.get_concrete_function().graph.as_graph_def()
    used = {node.op for function in graph.library.function for node in function.node_def}
    assert not used & {"PyFunc", "EagerPyFunc", "PyFuncStateless", "PrintV2", "Assert", "HostConst"}


def test_shared_blocks_stay_equal_and_the_other_layers_of_the_decoders_part(draw_faces: Any) -> None:
    training = make_training(draw_faces, shared_blocks=2, colours="standardised")
    training.run(2)
    made = training.network.tensors()
    of_a = {name for name in made if name.startswith("decoder_a/")}
    equal = {name for name in of_a if np.array_equal(made[name], made[name.replace("decoder_a", "decoder_b")])}
    assert equal == {name for name in of_a if "/upscale_1/" in name or "/upscale_2/" in name}
    saved = snapshot(training)
    expected = training.run(2)
    resumed = make_training(draw_faces, shared_blocks=2, colours="standardised")
    resumed.restore(*saved)
    assert np.array_equal(resumed.run(2), expected)
    resumed.restart(resumed.options.learning_rate)
    resumed.run(2)
    assert_equal(saved, snapshot(resumed))


@pytest.mark.parametrize("change", [{"dssim": 0.5}, {"loss_weights": "face"}])
def test_weights_of_the_loss_change_what_is_learnt_and_not_what_is_reported(draw_faces: Any, change: Any) -> None:
    trainings = [make_training(draw_faces), make_training(draw_faces, **change)]
    (without, first), (with_it, second) = [(each.run(1), each.network.tensors()) for each in trainings]
    assert np.allclose(without[0, 0], with_it[0, 0], atol=1e-6)
    assert not np.array_equal(first["decoder_a/output/kernel"], second["decoder_a/output/kernel"])


def test_a_state_of_another_network_is_refused(fresh: Training) -> None:
    _, weights, moments = snapshot(fresh)
    with pytest.raises(Unusable):
        fresh.restore(1, {}, moments)
    all_but_one = dict(list(moments.items())[1:])
    with pytest.raises(Unusable):
        fresh.restore(1, weights, all_but_one)
    assert fresh.iteration == 0


def test_a_training_that_diverges_is_reported(fresh: Training) -> None:
    weights = fresh.network.tensors()
    weights["encoder/dense_1/kernel"][:] = np.nan
    fresh.restore(5, weights, fresh.moments())
    with pytest.raises(Collapsed, match="after iteration 6 the losses are not finite"):
        fresh.run(3)


@pytest.mark.full
def test_a_restarted_training_is_one_that_began_at_the_lower_rate_bit_for_bit(draw_faces: Any) -> None:
    restarted, expected = make_training(draw_faces), make_training(draw_faces, learning_rate=1e-4)
    restarted.run(2)
    restarted.restart(1e-4)
    assert_equal(snapshot(restarted), snapshot(expected))
    assert np.array_equal(restarted.run(3), expected.run(3))
    assert_equal(snapshot(restarted), snapshot(expected))


def test_calls_grow_to_the_desired_duration() -> None:
    steps_per_call = StepsPerCall(5.0)
    steps = steps_per_call.next(10_000)
    assert steps == 1
    steps_per_call.measured(steps, 30.0)
    made = []
    for _ in range(6):
        steps = steps_per_call.next(10_000)
        steps_per_call.measured(steps, steps * 0.05)
        made.append(steps)
    assert made == [1, 4, 16, 64, 100, 100]
    assert steps_per_call.next(7) == 7


def test_a_slow_training_makes_one_iteration_a_call() -> None:
    steps_per_call = StepsPerCall(5.0)
    for _ in range(3):
        assert steps_per_call.next(100) == 1
        steps_per_call.measured(1, 12.0)


def test_a_call_is_never_longer_than_the_buffer_of_losses() -> None:
    steps_per_call = StepsPerCall(5.0)
    for _ in range(10):
        steps = steps_per_call.next(10_000)
        steps_per_call.measured(steps, steps * 1e-4)
    assert steps == loop.MAX_STEPS


def copied_to_b(state: Snapshot) -> bool:
    _, weights, moments = state
    decoders = {name.removeprefix("decoder_b"): weights[name] for name in weights if name.startswith("decoder_b/")}
    of_b = {name: moments[name] for name in moments if name.startswith("moments/b/")}
    return all(np.array_equal(tensor, weights[f"decoder_a{name}"]) for name, tensor in decoders.items()) and all(
        np.array_equal(tensor, moments[name.replace("/b/", "/a/").replace("decoder_b", "decoder_a")])
        for name, tensor in of_b.items()
    )


def test_one_common_decoder_learns_the_faces_of_both_sides_and_is_then_two(draw_faces: Any) -> None:
    training = make_training(draw_faces, common_iterations=3)
    pair, counter = plain(training), reference.Counter()
    optimizer = reference.Adam(counter, training.options.learning_rate, **rates(training))
    expected = []
    for iteration in range(3):
        of_both = batches(training, iteration)
        expected.append([pair.step_side_by_hand("a", optimizer, of_both[side]) for side in SIDES])
    assert np.abs(training.run(3) - expected).max() <= 1e-6
    split = snapshot(training)
    assert copied_to_b(split)
    for name, tensor in pair.weights().items():
        if not name.startswith("decoder_b"):
            assert np.abs(split[1][name] - tensor).max() <= 1e-2 * training.options.learning_rate, name
    ordinary = make_training(draw_faces)
    ordinary.restore(*split)
    assert np.array_equal(training.run(2), ordinary.run(2))
    assert_equal(snapshot(training), snapshot(ordinary))
    assert not copied_to_b(snapshot(training))


def test_a_training_with_a_common_decoder_does_not_depend_on_calls_or_stops(draw_faces: Any) -> None:
    training = make_training(draw_faces, common_iterations=4)
    start = snapshot(training)
    whole = training.run(7)
    expected = snapshot(training)
    for stops in ((2, 5), (4, 3), (1, 3, 3)):
        training.restore(*start)
        parts, state = [], start
        for steps in stops:
            training.restore(*state)
            parts.append(training.run(steps))
            state = snapshot(training)
        assert np.array_equal(np.concatenate(parts), whole)
        assert_equal(state, expected)
