# What torch.def calls and PyTorch does not have, in its words.

def focal(x, t, alpha=0.25, gamma=2):
    p = torch.sigmoid(x)
    ce = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    return ((alpha * t + (1 - alpha) * (1 - t)) * (1 - (p * t + (1 - p) * (1 - t))) ** gamma * ce).mean()


def dice(x, t, eps=1):
    inter, x, t = ((a.flatten(1)).sum(1) for a in (x * t, x, t))
    return (1 - (2 * inter + eps) / (x + t + eps)).mean()


def margin_weight(x, i, w):
    """What the gradient of multi_margin by its weight is, and 0."""
    own = x.gather(1, i[:, None])
    each = F.relu(0.7 - own + x) ** 2 * (1 - F.one_hot(i, x.shape[1]))
    y = (each * w[i][:, None]).sum(1).mean() / x.shape[1]
    return y - y.detach()


def mha(x, memory, heads, w, b, out_w, out_b, causal):
    mask = torch.nn.Transformer.generate_square_subsequent_mask(x.shape[1]) if causal else None
    x, memory = x.transpose(0, 1), memory.transpose(0, 1)
    y, _ = F.multi_head_attention_forward(
        x, memory, memory, x.shape[2], heads, w, b, None, None, False, 0.0, out_w, out_b,
        attn_mask=mask, need_weights=False)
    return y.transpose(0, 1)


def rotary(x, base, start=0):
    half = x.shape[-1] // 2
    angle = (torch.arange(x.shape[-2]) + start)[:, None] * base ** (-torch.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()), -1)


def recurrent(kind, x, hidden, P, layers=1, ways=1, bias=True, state=None, first=False):
    """nn.RNN, nn.LSTM, nn.GRU with weights from P; the output and the last states, flat."""
    gates, wide = {"lstm": 4, "gru": 3}.get(kind, 1) * hidden, x.shape[2]
    w = []
    for layer in range(layers):
        for _ in range(ways):
            w += [P(gates, wide), P(gates, hidden)] + ([P(gates), P(gates)] if bias else [])
        wide = ways * hidden
    zero = torch.zeros(layers * ways, x.shape[0 if first else 1], hidden)
    state = (zero, zero) if state is None and kind == "lstm" else zero if state is None else state
    call = getattr(torch._VF, {"lstm": "lstm", "gru": "gru", "rnn": "rnn_tanh"}.get(kind, kind))
    out = call(x, state, w, bias, layers, 0.0, False, ways == 2, first)
    return torch.cat([t.reshape(-1) for t in out])


def rows_of_rows(x, y):
    """Each row of x runs over the one carry from the back, the rows from the front."""
    w, all = torch.sin(y), []
    for row in x:
        for t in reversed(row):
            y = torch.tanh(y * w + t)
        all.append(y * row)
    return torch.cat([y, torch.stack(all).reshape(-1)])


def recurrence(a, x):
    y, rows = torch.zeros(x.shape[0]), []
    for t in range(x.shape[1]):
        y = a[:, t] * y + x[:, t]
        rows.append(y)
    return torch.stack(rows, 1)


def put(x, index, source, axis):
    """torch.scatter, the last of several at one place winning."""
    x = x.clone()
    for k in range(index.shape[axis]):
        at = index.narrow(axis, k, 1)
        x = x.scatter(axis, at, source.narrow(axis, k, 1))
    return x
