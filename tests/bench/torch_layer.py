#!/usr/bin/env python3
"""The layer of `coe bench layer` in plain PyTorch with gloo: what there is to compare with.

Each of the processes started here holds its share of the experts and its own tokens. Per iteration: softmax gate,
top-k, rows sorted by expert, all_to_all_single, one product after the other for the experts, all_to_all_single back,
weighted sum, residual. Prints one JSON object; with --check it compares outputs and gradients with a layer that has
all experts and tokens in one process instead, and fails where they differ by more than 1e-4.
"""
import argparse
import json
import os
import statistics
import sys
import tempfile
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
try:
    import torch
    import torch.distributed as dist
    import torch.multiprocessing as multiprocessing
except ImportError:
    sys.exit("torch_layer: PyTorch is missing: apt-get install python3-torch")


class Exchange(torch.autograd.Function):
    """Sends sent[p] rows to process p and takes received[p] from it; gradients go the other way."""

    @staticmethod
    def forward(context, rows, sent, received):
        context.counts = sent, received
        arrived = rows.new_empty(sum(received), rows.shape[1])
        dist.all_to_all_single(arrived, rows.contiguous(), received, sent)
        return arrived

    @staticmethod
    def backward(context, gradient):
        sent, received = context.counts
        back = gradient.new_empty(sum(sent), gradient.shape[1])
        dist.all_to_all_single(back, gradient.contiguous(), sent, received)
        return back, None, None


def run_experts(rows, rows_per_expert, gate_up, down):
    results = []
    # unbind, not gate_up[expert], whose gradient is as large as all experts' for each of them.
    for mine, wide, narrow in zip(rows.split(rows_per_expert), gate_up.unbind(0), down.unbind(0)):
        a, b = torch.matmul(mine, wide).chunk(2, dim=1)
        results.append(torch.matmul(torch.nn.functional.silu(a) * b, narrow))
    return torch.cat(results)


def choose(x, gate, top_k):
    """Per choice, sorted by expert: its expert, its token and its weight."""
    weight, expert = torch.softmax(torch.matmul(x, gate), dim=1).topk(top_k, dim=1)
    expert, order = expert.flatten().sort(stable=True)
    return expert, torch.div(order, top_k, rounding_mode="floor"), weight.flatten().index_select(0, order)


def iterate(x, gate, gate_up, down, top_k):
    processes, experts = dist.get_world_size(), gate.shape[1]
    expert, token, weight = choose(x, gate, top_k)
    to_experts = torch.bincount(expert, minlength=experts)
    from_processes = torch.empty_like(to_experts)
    dist.all_to_all_single(from_processes, to_experts)
    by_source = from_processes.view(processes, experts // processes)
    sent = to_experts.view(processes, -1).sum(dim=1).tolist()
    received = by_source.sum(dim=1).tolist()
    arrived = Exchange.apply(x.index_select(0, token), sent, received)
    # Rows come by (source, expert); products want them by expert.
    local = torch.arange(experts // processes).repeat(processes).repeat_interleave(by_source.flatten())
    by_expert = local.argsort(stable=True)
    results = run_experts(arrived.index_select(0, by_expert), by_source.sum(dim=0).tolist(), gate_up, down)
    returned = Exchange.apply(results.index_select(0, by_expert.argsort()), received, sent)
    return x.index_add(0, token, returned * weight[:, None])


def iterate_alone(x, gate, gate_up, down, top_k):
    """The slow obvious way, for --check: every expert sees every token."""
    weight, expert = torch.softmax(x @ gate, dim=1).topk(top_k, dim=1)
    result = x
    for e in range(gate.shape[1]):
        a, b = (x @ gate_up[e]).chunk(2, dim=1)
        mine = (weight * (expert == e)).sum(dim=1, keepdim=True)
        result = result + mine * ((torch.nn.functional.silu(a) * b) @ down[e])
    return result


def gemm_peak(size=2048, repeats=4):
    """GFLOP/s of one product, all processes at once."""
    a, b, c = torch.randn(size, size), torch.randn(size, size), torch.empty(size, size)
    best = float("inf")
    for _ in range(repeats):
        dist.barrier()
        start = time.perf_counter()
        torch.mm(a, b, out=c)
        best = min(best, time.perf_counter() - start)
    return 2e-9 * size**3 / best


def normal(seed, inputs, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) / inputs**0.5


class Layer:
    def __init__(self, rank, options):
        self.options = options
        d, f, n = options.hidden, options.expert_hidden, options.experts
        own = slice(rank * n // options.ranks, (rank + 1) * n // options.ranks)
        self.gates = [normal(1 + t, d, d, n).requires_grad_() for t in range(options.iterations)]
        self.all_gate_up, self.all_down = normal(100, d, n, d, 2 * f), normal(101, f, n, f, d)
        self.gate_up = self.all_gate_up[own].clone().requires_grad_()
        self.down = self.all_down[own].clone().requires_grad_()
        self.own = own
        self.tokens = normal(200 + rank, 1, options.tokens, d)
        self.upstream = 1e-3 * normal(300 + rank, 1, options.tokens, d)

    def step(self):
        """Forward, and backward unless it is left out: output and gradient of the input."""
        for parameter in (*self.gates, self.gate_up, self.down):
            parameter.grad = None
        backward = not self.options.forward_only
        x = self.tokens.detach().requires_grad_(backward)
        with torch.set_grad_enabled(backward):
            y = x
            for gate in self.gates:
                y = iterate(y, gate, self.gate_up, self.down, self.options.top_k)
            if backward:
                y.backward(self.upstream)
        return y, x.grad

    def check(self):
        y, dx = self.step()
        gathered = [torch.empty_like(self.tokens) for _ in range(self.options.ranks)]
        upstreams = [torch.empty_like(self.tokens) for _ in range(self.options.ranks)]
        dist.all_gather(gathered, self.tokens)
        dist.all_gather(upstreams, self.upstream)
        x = torch.cat(gathered).requires_grad_()
        gate_up, down = self.all_gate_up.clone().requires_grad_(), self.all_down.clone().requires_grad_()
        expected = x
        for gate in self.gates:
            expected = iterate_alone(expected, gate.detach(), gate_up, down, self.options.top_k)
        expected.backward(torch.cat(upstreams))
        rows = slice(dist.get_rank() * self.options.tokens, (dist.get_rank() + 1) * self.options.tokens)
        pairs = ((y, expected[rows]), (dx, x.grad[rows]), (self.gate_up.grad, gate_up.grad[self.own]),
                 (self.down.grad, down.grad[self.own]))
        return max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)


def measure(layer, options):
    peak, seconds = gemm_peak(), []
    for step in range(options.warmup + options.steps):
        dist.barrier()
        start = time.perf_counter()
        layer.step()
        dist.barrier()
        if step >= options.warmup:
            seconds.append(time.perf_counter() - start)
    peak = max(peak, gemm_peak())
    rows = options.tokens * options.top_k * options.iterations
    flops = (6 if options.forward_only else 18) * rows * options.hidden * options.expert_hidden
    median = statistics.median(seconds)
    return {"step_ms": 1e3 * median, "step_ms_min": 1e3 * min(seconds), "step_ms_max": 1e3 * max(seconds),
            "gflops": 1e-9 * flops / median, "gemm_peak_gflops": peak, "peak_fraction": 1e-9 * flops / median / peak}


def run_process(rank, options, meeting):
    torch.set_num_threads(1)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})
    dist.init_process_group("gloo", init_method="file://" + meeting, rank=rank, world_size=options.ranks)
    layer = Layer(rank, options)
    if options.check:
        worst = torch.tensor([layer.check()])
        dist.all_reduce(worst, dist.ReduceOp.MAX)
        if not worst.item() <= 1e-4:
            raise SystemExit(f"torch_layer: the largest relative error is {worst.item()}, must be at most 1e-4")
        numbers = {"largest_relative_error": worst.item()}
    else:
        numbers = measure(layer, options)
    if rank == 0:
        print(json.dumps({"torch": torch.__version__, **vars(options), **numbers}))
    dist.destroy_process_group()


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"tokens": 4096, "hidden": 256, "expert-hidden": 176, "experts": 64, "top-k": 4, "iterations": 2,
             "ranks": 2, "steps": 9, "warmup": 2}
    for name, value in sizes.items():
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--forward-only", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if min(options.tokens, options.hidden, options.expert_hidden, options.ranks, options.steps) < 1:
        parser.error("sizes must be at least 1")
    if options.experts % options.ranks != 0:
        parser.error(f"--experts is {options.experts}, must be a multiple of --ranks, {options.ranks}")
    return options


if __name__ == "__main__":
    chosen = parse()
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(run_process, args=(chosen, os.path.join(folder, "meeting")), nprocs=chosen.ranks)
