"""Times PyTorch on the card: bounds (cuBLAS bf16 8192^3, a large copy), experts by grouped GEMM, and chain layers that
loop over experts or use grouped GEMM. Prints one JSON object."""
import json
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


def experts_ms():
    x, dy = torch.randn(65536, 2048, **BF16).requires_grad_(), torch.randn(65536, 2048, **BF16)
    gate_up, down = weight(64, 2816, 2048), weight(64, 2048, 1408)
    ends = torch.arange(1024, 65537, 1024, device="cuda", dtype=torch.int32)
    return median_ms(lambda: torch.autograd.grad(grouped_experts(x, gate_up, down, ends), (x, gate_up, down), dy))


def main():
    results = {"device": torch.cuda.get_device_name(0), "torch": torch.__version__}
    a, b = torch.randn(8192, 8192, **BF16), torch.randn(8192, 8192, **BF16)
    results["cublas_tflops"] = 2 * 8192**3 / median_ms(lambda: a @ b) * 1e-9
    source = torch.empty(1 << 30, device="cuda", dtype=torch.uint8).zero_()
    target = torch.empty_like(source)
    results["copy_gb_per_s"] = 2 * (1 << 30) / median_ms(lambda: target.copy_(source)) * 1e-6
    parts = {"loop_coe_ms": lambda: layer_ms(2, 4, False)}
    if hasattr(torch, "_grouped_mm"):
        parts.update(grouped_coe_ms=lambda: layer_ms(2, 4, True), grouped_experts_ms=experts_ms)
    for name, measure in parts.items():
        try:
            results[name] = measure()
        except Exception as error:  # one part that fails must not take the others along
            print(f"{name}: {error}", file=sys.stderr)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
