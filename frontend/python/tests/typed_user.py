"""A program as users write it: a type checker finds nothing in it (tests/python.sh runs mypy)."""

import numpy as np
import taper as tp
import taper.nn as nn
import taper.nn.functional as F
from taper.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 5, padding=2)
        self.fc = nn.Linear(6 * 14 * 14, 10)
        self.act = nn.ReLU()

    def forward(self, x: tp.Tensor) -> tp.Tensor:
        x = F.max_pool2d(self.act(self.conv(x)), 2)
        return self.fc(x.flatten(1))


model = Net()
opt = tp.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
schedule = tp.optim.lr_scheduler.StepLR(opt, 10)


@tp.compile
def step(x: tp.Tensor, y: tp.Tensor) -> tp.Tensor:
    opt.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    opt.step()
    return loss


data = TensorDataset(tp.randn(64, 1, 28, 28), tp.randint(0, 10, (64,)))
for x, y in DataLoader(data, batch_size=16, shuffle=True):
    print(step(x, y).item())
a = tp.tensor([1.0, 2.0], requires_grad=True)
b = (a * 2 + 1 - a / 3) ** 2
c = (1 - b).sum() + b.mean(dim=0).exp().relu()
c.backward()
n: np.ndarray = b.detach().numpy()
if a.grad is not None:
    print(a.grad.tolist(), b.shape[0], b.dtype == tp.float32, b.float().long(), b.T, b[0], -b, b > 1)
with tp.no_grad():
    b[0] = 3.0
v = tp.Value(2.0)
w = v * 3 + v ** 2
w.backward()
print(v.grad, w.data)
with tp.no_grad():
    print(tp.exp(a), tp.cat([a, b]), tp.stack([a, b]), tp.where(a > 0, a, b), tp.arange(3), tp.zeros(2, 3))
g = tp.grad(lambda t: (t * t).sum())(a)
net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Dropout(0.1), nn.BatchNorm1d(3), nn.LayerNorm(3))
tp.save(net.state_dict(), "net.safetensors")
net.load_state_dict(tp.load("net.safetensors"))
for i in tp.progress(range(3)):
    pass
tp.nn.init.xavier_uniform_(net[0].weight)
mean, std = float(a.mean()), a.std().item()
values, places = a.sort()
print(values.topk(1).values, mean, std, len(a), tp.is_tensor(a))
