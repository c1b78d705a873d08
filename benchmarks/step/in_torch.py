"""torch.nn.LSTM, and a peephole LSTM written by hand."""

import functools

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.step.work import AbsentError


def step(work, peephole, compiled):
    if work.devices > 1:
        raise AbsentError("written for one device")
    for backend in (torch.backends.cuda.matmul, torch.backends.cudnn):
        backend.allow_tf32 = work.precision == "tf32"
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = _Model(work, _Peephole if peephole else _Lstm).to(device)
    if work.task != "train":
        return _inference(model, work, compiled, device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    clips = torch.from_numpy(work.clips()).to(device)
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
        return loss.item()

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
            return infer(inputs).item()

    return run


def _loss(work, outputs, clips, labels):
    if work.classes:
        repeated = labels[:, None].expand(-1, work.input_frames)
        return F.cross_entropy(outputs.flatten(0, 1), repeated.flatten())
    n = work.input_frames
    truth = torch.cat([clips[:, :n].flip(1), clips[:, n:]], dim=1)
    if work.output == "logistic":
        loss = F.binary_cross_entropy_with_logits(
            outputs, truth, reduction="sum"
        )
    else:
        loss = 0.5 * F.mse_loss(outputs, truth, reduction="sum")
    return loss / (work.batch * work.frames)


class _Lstm(nn.Module):
    def __init__(self, features, units):
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

    def __init__(self, features, units):
        super().__init__()
        self.units = units
        self.recurrent = nn.Linear(units, 4 * units)
        self.peephole = nn.Parameter(torch.zeros(3, units))
        if features:
            self.input = nn.Linear(features, 4 * units, bias=False)

    def forward(self, sequence, steps, state):
        if state is None:
            zeros = sequence.new_zeros(len(sequence), self.units)
            state = zeros, zeros
        h, c = state
        drive = [0.0] * steps
        if sequence is not None:
            drive = self.input(sequence).unbind(1)
        outputs = []
        for t in range(steps):
            i, f, g, o = (self.recurrent(h) + drive[t]).chunk(4, dim=1)
            i = torch.sigmoid(i + self.peephole[0] * c)
            f = torch.sigmoid(f + self.peephole[1] * c)
            c = f * c + i * torch.tanh(g)
            o = torch.sigmoid(o + self.peephole[2] * c)
            h = o * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs, dim=1), (h, c)


class _Model(nn.Module):
    def __init__(self, work, layer):
        super().__init__()
        self.work = work
        features = [work.features]
        if not work.classes:
            features += [0, work.features if work.conditional else 0]
        self.stacks = nn.ModuleList(
            nn.ModuleList(
                layer(below, units)
                for below, units in zip(
                    (first, *work.units), work.units, strict=False
                )
            )
            for first in features
        )
        self.readouts = nn.ModuleList(
            nn.Linear(work.units[-1], work.classes or work.features)
            for _ in range(max(1, len(features) - 1))
        )

    def forward(self, clips):
        work, n = self.work, self.work.input_frames
        sequence, states = _run(self.stacks[0], clips[:, :n], n, None)
        if work.classes:
            return self.readouts[0](sequence)
        future = None
        if work.conditional:
            future = torch.cat(
                [torch.zeros_like(clips[:, :1]), clips[:, n:-1]], dim=1
            )
        outputs = []
        for stack, readout, inputs, steps in zip(
            list(self.stacks)[1:],
            self.readouts,
            (None, future),
            (n, work.future_frames),
            strict=True,
        ):
            sequence, _ = _run(stack, inputs, steps, states)
            outputs.append(readout(sequence))
        return torch.cat(outputs, dim=1)

    def encode(self, clips):
        _, states = _run(self.stacks[0], clips, self.work.input_frames, None)
        return states[-1][0][0, 0]

    def roll_out(self, states):
        frame = states[0][0].new_zeros(self.work.batch, self.work.features)
        outputs = []
        for _ in range(self.work.future_frames):
            sequence, states = _run(self.stacks[2], frame[:, None], 1, states)
            outputs.append(self.readouts[1](sequence[:, 0]))
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
        step, peephole=peephole, compiled=compiled
    )
    for name, peephole in (("nn.LSTM", False), ("peephole loop", True))
    for suffix, compiled in (("", False), (", compiled", True))
}
