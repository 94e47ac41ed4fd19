"""Times PyTorch on the card: cuBLAS bf16 8192^3, experts by grouped GEMM, and chain layers that
loop over experts or use grouped GEMM. Prints one JSON object a line, each with all that is known by then; the rows of
experts are those of the file that `coe bench experts --json` wrote: torch_layers.py EXPERTS.json."""
import json
import pathlib
import sys

import torch
import torch.nn.functional as F

BF16 = dict(device="cuda", dtype=torch.bfloat16)


def median_ms(work, steps=7):
    times = []
    for step in range(-3, steps):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        if step >= 0:
            times.append(begin.elapsed_time(end))
    return sorted(times)[len(times) // 2]


def weight(*shape):
    return (torch.randn(*shape, **BF16) * shape[-1] ** -0.5).requires_grad_()


def grouped_experts(x, gate_up, down, ends):
    a, b = torch._grouped_mm(x, gate_up.transpose(1, 2), offs=ends).chunk(2, dim=-1)
    return torch._grouped_mm(F.silu(a) * b, down.transpose(1, 2), offs=ends)


class Chain(torch.nn.Module):
    """C times: softmax over experts, the K best, experts, weighted sum, inner residual."""

    def __init__(self, iterations, top_k, experts, hidden, width, grouped):
        super().__init__()
        self.top_k, self.experts, self.grouped = top_k, experts, grouped
        self.gates = torch.nn.ParameterList([weight(experts, hidden) for _ in range(iterations)])
        self.gate_up = torch.nn.Parameter(weight(experts, 2 * width, hidden).detach())
        self.down = torch.nn.Parameter(weight(experts, hidden, width).detach())

    def by_group(self, x, scores, chosen):
        order = chosen.flatten().argsort(stable=True)
        ends = torch.bincount(chosen.flatten(), minlength=self.experts).cumsum(0).to(torch.int32)
        token = order // self.top_k
        rows = grouped_experts(x[token], self.gate_up, self.down, ends)
        return torch.zeros_like(x).index_add(0, token, rows * scores.flatten()[order, None].to(x.dtype))

    def by_loop(self, x, scores, chosen):
        out = torch.zeros_like(x)
        for e in range(self.experts):
            token, place = torch.where(chosen == e)
            a, b = F.linear(x[token], self.gate_up[e]).chunk(2, dim=-1)
            rows = F.linear(F.silu(a) * b, self.down[e])
            out = out.index_add(0, token, rows * scores[token, place, None].to(x.dtype))
        return out

    def forward(self, x):
        for gate in self.gates:
            scores, chosen = F.linear(x, gate).float().softmax(-1).topk(self.top_k)
            x = x + (self.by_group if self.grouped else self.by_loop)(x, scores, chosen)
        return x


def layer_ms(iterations, top_k, grouped):
    layer = Chain(iterations, top_k, 64, 1024, 704, grouped)
    x, dy = torch.randn(32768, 1024, **BF16).requires_grad_(), torch.randn(32768, 1024, **BF16)

    def step():
        layer.zero_grad()
        x.grad = None
        layer(x).backward(dy)

    return median_ms(step)


def rows_of_experts(path):
    try:
        return json.loads(pathlib.Path(path).read_text())["rows_of_experts"]
    except (OSError, ValueError, KeyError):
        return [1024] * 64


def experts_ms():
    rows = torch.tensor(rows_of_experts(sys.argv[1]), device="cuda")
    ends = rows.cumsum(0).to(torch.int32)
    x, dy = (torch.randn(int(rows.sum()), 2048, **BF16) for _ in range(2))
    x.requires_grad_()
    gate_up, down = weight(64, 2816, 2048), weight(64, 2048, 1408)
    return median_ms(lambda: torch.autograd.grad(grouped_experts(x, gate_up, down, ends), (x, gate_up, down), dy))


def cublas_gflops():
    a, b = torch.randn(8192, 8192, **BF16), torch.randn(8192, 8192, **BF16)
    return 2e-6 * 8192**3 / median_ms(lambda: a @ b)


def main():
    results = {"device": torch.cuda.get_device_name(0), "torch": torch.__version__}
    parts = {"cublas_gflops": cublas_gflops, "loop_coe_ms": lambda: layer_ms(2, 4, False)}
    if hasattr(torch, "_grouped_mm"):
        parts.update(grouped_coe_ms=lambda: layer_ms(2, 4, True), grouped_experts_ms=experts_ms)
    for name, measure in parts.items():
        try:
            results[name] = measure()
        except Exception as error:  # one part that fails must not take the others along
            print(f"{name}: {error}", file=sys.stderr)
        print(json.dumps(results), flush=True)


if __name__ == "__main__":
    main()
