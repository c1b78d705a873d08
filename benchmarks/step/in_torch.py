"""torch.nn.LSTM, and peephole LSTMs written by hand."""

import functools

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.step.work import AbsentError


def step(work, make, compiled):
    if work.devices > 1:
        raise AbsentError("written for one device")
    for backend in (torch.backends.cuda.matmul, torch.backends.cudnn):
        backend.allow_tf32 = work.precision == "tf32"
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = _Model(work, make).to(device)
    if work.task != "train":
        return _inference(model, work, compiled, device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    clips = torch.from_numpy(work.vectors()).to(device)
    labels = None
    if work.classes:
        labels = torch.from_numpy(work.labels()).long().to(device)

    def loss_of(clips):
        with _autocast(work, device):
            outputs = model(clips)
        return _loss(work, outputs.float(), clips, labels)

    if compiled:
        loss_of = torch.compile(loss_of)

    def update():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(clips)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return update


def _autocast(work, device):
    mixed = work.precision == "mixed_bfloat16"
    return torch.autocast(device, torch.bfloat16, enabled=mixed)


def device_memory():
    """Peak bytes on the GPU, None without one."""
    if not torch.cuda.is_available():
        return None
    return torch.cuda.max_memory_allocated()


def _inference(model, work, compiled, device):
    if work.task == "encode":
        infer = model.encode
        inputs = torch.from_numpy(work.clips()).to(device)
    else:
        infer = model.roll_out
        inputs = [
            tuple(torch.from_numpy(x).to(device) for x in state)
            for state in work.states()
        ]
    if compiled:
        infer = torch.compile(infer)

    @torch.no_grad()
    def run():
        with _autocast(work, device):
            return infer(inputs)

    return run


def _loss(work, outputs, clips, labels):
    if work.classes:
        repeated = labels[:, None].expand(-1, work.input_frames)
        return F.cross_entropy(outputs.flatten(0, 1), repeated.flatten())
    n = work.input_frames
    truth = clips[:, n:]
    if work.reconstruction:
        truth = torch.cat([clips[:, :n].flip(1), truth], dim=1)
    if work.output == "logistic":
        loss = F.binary_cross_entropy_with_logits(
            outputs, truth, reduction="sum"
        )
    else:
        loss = 0.5 * F.mse_loss(outputs, truth, reduction="sum")
    return loss / (work.batch * outputs.shape[1])


class _Lstm(nn.Module):
    def __init__(self, work, features, units):
        super().__init__()
        # A layer of torch needs an input: a zero.
        self.lstm = nn.LSTM(max(1, features), units, batch_first=True)

    def forward(self, sequence, steps, state):
        if sequence is None:
            sequence = state[0].new_zeros(len(state[0]), steps, 1)
        if state is not None:
            state = tuple(value[None] for value in state)
        sequence, (h, c) = self.lstm(sequence, state)
        return sequence, (h[0], c[0])


class _Peephole(nn.Module):
    """The projection of all inputs at once; then a loop."""

    def __init__(self, work, features, units):
        super().__init__()
        self.units = units
        self.recurrent = self.product(work, units)
        self.peephole = nn.Parameter(torch.zeros(3, units))
        if features:
            self.input = self.product(work, features, bias=False)

    def product(self, work, features, **options):
        return nn.Linear(features, 4 * self.units, **options)

    def forward(self, sequence, steps, state):
        if state is None:
            grid = sequence.shape[2:-1]
            zeros = sequence.new_zeros(len(sequence), *grid, self.units)
            state = zeros, zeros
        h, c = state
        drive = [0.0] * steps
        if sequence is not None:
            drive = self.input(sequence).unbind(1)
        outputs = []
        for t in range(steps):
            i, f, g, o = (self.recurrent(h) + drive[t]).chunk(4, dim=-1)
            i = torch.sigmoid(i + self.peephole[0] * c)
            f = torch.sigmoid(f + self.peephole[1] * c)
            c = f * c + i * torch.tanh(g)
            o = torch.sigmoid(o + self.peephole[2] * c)
            h = o * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs, dim=1), (h, c)


class _Convolution(nn.Module):
    """A convolution of grids of vectors, `[..., rows, columns, features]`."""

    def __init__(self, features, units, size, bias=True):
        super().__init__()
        self.convolution = nn.Conv2d(
            features, units, size, padding="same", bias=bias
        ).to(memory_format=torch.channels_last)

    def forward(self, grids):
        # Channels are last in memory: nothing is moved.
        images = grids.flatten(0, -4).permute(0, 3, 1, 2)
        result = self.convolution(images).permute(0, 2, 3, 1)
        return result.unflatten(0, grids.shape[:-3])


class _ConvPeephole(_Peephole):
    """The same with convolutions, that of all inputs at once too."""

    def product(self, work, features, **options):
        return _Convolution(
            features, 4 * self.units, work.kernel_size, **options
        )


class _Model(nn.Module):
    def __init__(self, work, make):
        super().__init__()
        self.work = work
        decoders = [] if work.classes else [*work.decoded]
        features = [
            work.values,
            *(
                work.values if work.conditional and name == "future" else 0
                for name in decoders
            ),
        ]
        self.stacks = nn.ModuleList(
            nn.ModuleList(
                make(work, below, units)
                for below, units in zip(
                    (first, *work.units), work.units, strict=False
                )
            )
            for first in features
        )
        self.readouts = nn.ModuleList(
            nn.Linear(work.units[-1], work.classes or work.values)
            for _ in range(max(1, len(decoders)))
        )

    def forward(self, clips):
        work, n = self.work, self.work.input_frames
        sequence, states = _run(self.stacks[0], clips[:, :n], n, None)
        if work.classes:
            return self.readouts[0](sequence)
        inputs = dict.fromkeys(work.decoded)
        if work.conditional:
            inputs["future"] = torch.cat(
                [torch.zeros_like(clips[:, :1]), clips[:, n:-1]], dim=1
            )
        outputs = []
        for stack, readout, read, steps in zip(
            list(self.stacks)[1:],
            self.readouts,
            inputs.values(),
            work.decoded.values(),
            strict=True,
        ):
            sequence, _ = _run(stack, read, steps, states)
            outputs.append(readout(sequence))
        return torch.cat(outputs, dim=1)

    def encode(self, clips):
        _, states = _run(self.stacks[0], clips, self.work.input_frames, None)
        return states[-1][0][0, 0]

    def roll_out(self, states):
        frame = states[0][0].new_zeros(self.work.batch, self.work.features)
        outputs = []
        for _ in range(self.work.future_frames):
            sequence, states = _run(self.stacks[-1], frame[:, None], 1, states)
            outputs.append(self.readouts[-1](sequence[:, 0]))
            frame = torch.sigmoid(outputs[-1])
        return torch.stack(outputs)[-1, 0, 0]


def _run(stack, sequence, steps, initial):
    states = []
    for i, lstm in enumerate(stack):
        sequence, state = lstm(sequence, steps, initial[i] if initial else None)
        states.append(state)
    return sequence, states


SYSTEMS = {
    f"torch {name}{suffix}": functools.partial(
        step, make=make, compiled=compiled
    )
    for name, make in (
        ("nn.LSTM", _Lstm),
        ("peephole loop", _Peephole),
        ("conv peephole loop", _ConvPeephole),
    )
    for suffix, compiled in (("", False), (", compiled", True))
}
