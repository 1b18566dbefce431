#!/usr/bin/env python3
"""Writes torch_numbers.def from the Python expressions in torch.def.  Needs PyTorch; run by hand:
    python tests/torch_numbers.py > tests/torch_numbers.def"""
import ast, math, os, re, sys
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
here = os.path.dirname(os.path.abspath(__file__))


def start(letter, k):
    wave = math.sin(1.3 * k + 0.7 * (ord(letter) - 97) + 0.5)
    return 0.95 + 0.75 * wave if letter in "pq" else 0.5 + 0.45 * wave if letter in "uv" else 2 * wave


def inputs(text):
    found = {}
    for word in filter(None, (w.strip() for w in text.split(","))):
        letter, shape = word[0], [int(n) for n in word.split(" ")[1:]]
        n = math.prod(shape)
        if letter in "ij":
            m = int(word.split(" ")[0][2:])
            t = torch.tensor([(7 * k + 3 + ord(letter) - 97) % m for k in range(n)], dtype=torch.int64)
        elif letter == "b":
            t = torch.tensor([start(letter, k) > 0 for k in range(n)], dtype=torch.bool)
        else:
            t = torch.tensor([start(letter, k) for k in range(n)])
        t = t.reshape(shape)
        if t.is_floating_point():
            t.requires_grad_()
        found[letter] = t
    return found


def rows():
    text = open(os.path.join(here, "torch.def")).read()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    at = 0
    while (at := text.find("CASE(", at)) >= 0:
        depth, k, quoted, parts, last = 0, at + 4, False, [], at + 5
        while True:
            c = text[k]
            if c == '"' and text[k - 1] != "\\":
                quoted = not quoted
            if not quoted:
                depth += c in "([{"
                depth -= c in ")]}"
                if depth == 0 or (depth == 1 and c == ","):
                    parts.append(text[last:k].strip())
                    last = k + 1
                if depth == 0:
                    break
            k += 1
        at = k
        expression = "".join(ast.literal_eval(s) for s in re.findall(r'"(?:[^"\\]|\\.)*"', parts[-1]))
        yield parts[0], ast.literal_eval(parts[1]), expression


def weighted(t, a, b):
    k = torch.arange(t.numel())
    return (t.reshape(-1) * torch.cos(a * k + b)).sum()


def main():
    names = {}
    exec(open(os.path.join(here, "torch_functions.py")).read(), globals())
    print("/* Written by torch_numbers.py with PyTorch %s; not to be edited. */" % torch.__version__.split("+")[0])
    for name, text, expression in rows():
        found, parameters = inputs(text), []

        def P(*shape):
            k = len(parameters)
            p = torch.tensor([0.5 * math.sin(0.9 * i + 1.1 * k + 0.2) for i in range(math.prod(shape))])
            parameters.append(p.reshape(shape).requires_grad_())
            return parameters[-1]

        assert name not in names, name
        names[name] = True
        try:
            y = eval(expression, {**globals(), **found, "P": P})
        except Exception as e:
            sys.exit("%s: %s: %s" % (name, expression, e))
        wrt = [found[c] for c in "xyzwpquv" if c in found] + parameters
        value = weighted(y.to(torch.float64), 0.7, 0.3)
        grads = [None] * len(wrt)
        if y.requires_grad:
            grads = torch.autograd.grad(value, wrt, allow_unused=True)
        sums = [value.item()] + [0.0 if g is None else weighted(g, 1.1, 0.2).item() for g in grads]
        print("NUMBERS(%s, %d, %s)" % (name, len(sums), ", ".join("%.17g" % s for s in sums)))


main()
