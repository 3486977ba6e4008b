"""Every encoder and pooling: padding leaks nothing, one is as many, direction, parts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from sequence import Padded
from sequence.encoder import ENCODERS, EncoderConfig, build_encoder
from sequence.pooling import (
    POOLINGS,
    AdditiveAttention,
    LastState,
    MultiHeadAttention,
    build_pooling,
)
from sequence.recurrent import Elman, Recurrent

SIZE = 8
FEATURES = 4


def encoder(name: str, layers: int = 2) -> nn.Module:
    """Return a small encoder with fixed weights, as it is when it answers."""
    torch.manual_seed(0)
    config = EncoderConfig(name=name, hidden_size=SIZE, num_layers=layers)  # type: ignore[arg-type]
    return build_encoder(config, FEATURES).eval()


@pytest.fixture(params=ENCODERS)
def any_encoder(request: pytest.FixtureRequest) -> nn.Module:
    """Every encoder there is, two layers deep."""
    return encoder(request.param)


def test_padding_does_not_leak(any_encoder: nn.Module) -> None:
    """A sequence gets the same vectors alone as beside a longer one."""
    short, long = torch.randn(2, FEATURES), torch.randn(5, FEATURES)

    alone = any_encoder(Padded.from_list([short])).values[0]
    beside = any_encoder(Padded.from_list([short, long])).values[0, :2]

    torch.testing.assert_close(beside, alone)


def test_what_stands_in_the_padding_never_matters(any_encoder: nn.Module) -> None:
    """Rubbish behind a sequence's end, even no number at all, changes nothing before it."""
    clean = Padded.from_list([torch.randn(2, FEATURES), torch.randn(5, FEATURES)])
    dirty = clean.values.clone()
    dirty[0, 2:] = float("nan")

    expected, found = any_encoder(clean), any_encoder(clean.with_values(dirty))

    torch.testing.assert_close(found.values, expected.values)
    assert (found.values[0, 2:] == 0).all()


def test_padding_gets_no_gradient(any_encoder: nn.Module) -> None:
    """Training never learns from padding."""
    values = torch.randn(2, 5, FEATURES, requires_grad=True)
    any_encoder(Padded(values, torch.tensor([2, 5]))).values.square().sum().backward()

    assert values.grad is not None
    assert (values.grad[0, 2:] == 0).all()
    assert (values.grad[0, :2] != 0).any()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_one_alone_is_as_one_of_many(any_encoder: nn.Module, pooling: str) -> None:
    """A document's vector does not depend on which others it was read with."""
    size = int(any_encoder.output_size)  # type: ignore[arg-type]
    both = isinstance(any_encoder, Recurrent) and any_encoder.config.bidirectional
    pool = build_pooling(pooling, size, bidirectional=both).eval()
    sequences = [torch.randn(length, FEATURES) for length in (1, 7, 3, 4)]

    many = pool(any_encoder(Padded.from_list(sequences)))
    alone = torch.cat([pool(any_encoder(Padded.from_list([s]))) for s in sequences])

    torch.testing.assert_close(many, alone, rtol=1e-4, atol=1e-5)
    assert many.shape == (4, pool.output_size)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_one_direction_never_sees_what_follows(name: str) -> None:
    """A state of a forward encoder depends on its past alone; of both directions, on all."""
    before = torch.randn(1, 6, FEATURES)
    after = before.clone()
    after[0, 4:] += 1

    forward, both = encoder(name), encoder("bi" + name)
    lengths = torch.tensor([6])
    for reads, same in ((forward, True), (both, False)):
        a = reads(Padded(before, lengths)).values[0, :4]
        b = reads(Padded(after, lengths)).values[0, :4]
        assert torch.allclose(a, b) is same


@pytest.mark.parametrize("name", ["birnn", "bilstm", "bigru"])
def test_the_backward_half_reads_from_the_end(name: str) -> None:
    """The backward layer on a sequence is that layer, forwards, on the sequence turned round."""
    reads = encoder(name, layers=1)
    x = torch.randn(1, 5, FEATURES)

    backward_half = reads(Padded(x, torch.tensor([5]))).values[..., SIZE:]
    turned = reads.backwards[0](x.flip(1))[0].flip(1)  # type: ignore[index,operator]

    torch.testing.assert_close(backward_half, turned)


def test_an_elman_step_is_the_formula_by_hand() -> None:
    """h_t = tanh(W_h h_(t-1) + W_x x_t + b), worked out here with numbers."""
    cell = Elman(input_size=2, hidden_size=1)
    with torch.no_grad():
        cell.weight_h.copy_(torch.tensor([[0.5]]))
        cell.weight_x.copy_(torch.tensor([[1.0, -2.0]]))
        cell.bias.copy_(torch.tensor([0.25]))
    x = torch.tensor([[[1.0, 0.5], [0.0, 1.0]]])

    h1 = math.tanh(0.5 * 0.0 + (1.0 * 1.0 - 2.0 * 0.5) + 0.25)
    h2 = math.tanh(0.5 * h1 + (1.0 * 0.0 - 2.0 * 1.0) + 0.25)

    expected = torch.tensor([[[h1], [h2]]])
    torch.testing.assert_close(cell.unroll(x), expected)
    torch.testing.assert_close(cell(x)[0], expected)


def test_elmans_fast_path_is_its_slow_path() -> None:
    """The fused kernel gives the states and the gradients of the loop that is plain to read."""
    torch.manual_seed(1)
    cell = Elman(input_size=3, hidden_size=5)
    x = torch.randn(2, 7, 3)

    torch.testing.assert_close(cell(x)[0], cell.unroll(x))
    fast = torch.autograd.grad(cell(x)[0].sum(), cell.weight_h)[0]
    slow = torch.autograd.grad(cell.unroll(x).sum(), cell.weight_h)[0]
    torch.testing.assert_close(fast, slow)


def test_an_empty_sequence_has_a_vector_of_zeros() -> None:
    """A document without a word is no error here, and no NaN."""
    padded = Padded.from_list([torch.randn(0, FEATURES), torch.randn(4, FEATURES)])
    for name in ENCODERS:
        states = encoder(name)(padded)
        for pooling in ("last", "mean", "max", "attention"):
            pooled = build_pooling(pooling, states.values.shape[2])(states)
            assert (pooled[0] == 0).all()
            assert pooled.isfinite().all()


def test_why_the_last_column_is_the_wrong_state() -> None:
    """`out[:, -1]` is padding for a short row, and one backward step for a bidirectional one.

    torch's own packed LSTM gives the right states to compare with.
    """
    torch.manual_seed(0)
    reads = encoder("bilstm", layers=1)
    short, long = torch.randn(2, FEATURES), torch.randn(5, FEATURES)
    out = reads(Padded.from_list([short, long])).values

    reference = nn.LSTM(FEATURES, SIZE, batch_first=True, bidirectional=True)
    weights = {
        name + suffix: tensor
        for suffix, layer in (("", reads.forwards[0]), ("_reverse", reads.backwards[0]))  # type: ignore[index]
        for name, tensor in layer.state_dict().items()  # type: ignore[union-attr]
    }
    reference.load_state_dict(weights)
    packed = nn.utils.rnn.pack_sequence([long, short])
    right = torch.cat(list(reference(packed)[1][0]), dim=1).flip(0)  # h_n, in our order

    pooled = LastState(2 * SIZE, bidirectional=True)(Padded(out, torch.tensor([2, 5])))
    torch.testing.assert_close(pooled, right)
    naive = out[:, -1]
    assert (naive[0] == 0).all(), "the short row's last column is padding: it says nothing"
    torch.testing.assert_close(naive[1, :SIZE], right[1, :SIZE])
    assert not torch.allclose(naive[1, SIZE:], right[1, SIZE:]), (
        "the backward direction has read one word there; its last state stands at the first step"
    )


def test_attention_sums_to_one_over_real_steps() -> None:
    """No weight is spent on padding, by any head."""
    x = Padded(torch.randn(3, 6, SIZE), torch.tensor([1, 4, 6]))
    for pooling in (AdditiveAttention(SIZE), MultiHeadAttention(SIZE)):
        weights = pooling.weights(x)
        torch.testing.assert_close(weights.sum(1), torch.ones_like(weights.sum(1)))
        assert (weights[0, 1:] == 0).all()


@pytest.mark.parametrize("name", POOLINGS)
def test_a_sequence_in_parts_pools_as_it_does_whole(name: str) -> None:
    """A long document read in several rows gets the vector of one row, to rounding."""
    torch.manual_seed(2)
    pool = build_pooling(name, SIZE, bidirectional=True)
    long, short = torch.randn(11, SIZE), torch.randn(3, SIZE)

    whole = pool(Padded.from_list([long, short]))
    parts = Padded.from_list([long[:4], long[4:8], long[8:], short])
    merged = pool.pool_parts(parts, torch.tensor([3, 1]))

    torch.testing.assert_close(merged, whole)


@pytest.mark.parametrize("name", POOLINGS)
def test_what_the_steps_contribute_adds_up(name: str) -> None:
    """Evidence is exact: the steps' contributions are the answer, whole or in parts."""
    torch.manual_seed(3)
    pool = build_pooling(name, SIZE, bidirectional=True)
    long, short = torch.randn(9, SIZE), torch.randn(3, SIZE)
    parts, counts = Padded.from_list([long[:5], long[5:], short]), torch.tensor([2, 1])
    direction = torch.randn(2, SIZE)

    added = pool.contributions(parts, pool.summarise(parts), counts, direction)

    expected = (pool.pool_parts(parts, counts) * direction).sum(1)
    found = torch.stack([added[:2].sum(), added[2].sum()])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert (added[1, 4:] == 0).all()
    assert (added[2, 3:] == 0).all()


def test_names_that_do_not_exist_are_refused_by_name() -> None:
    """A misspelt option says what there is."""
    with pytest.raises(ValueError, match="bilstm"):
        build_encoder(EncoderConfig(name="blstm"), 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="attention"):
        build_pooling("atention", 4)
    with pytest.raises(ValueError, match="do not divide"):
        MultiHeadAttention(6, heads=4)
