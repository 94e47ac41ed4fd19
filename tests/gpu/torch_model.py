"""Times training steps of the authors' CoE-2(4/64) in PyTorch: grouped GEMM for experts, its own attention, fused AdamW
over fp32 weights, products in bf16, 64 x 512 random bytes a step, without a balance loss. Prints one JSON object."""
import json

import torch
import torch.nn.functional as F
from torch_layers import grouped_experts, median_ms

HIDDEN, WIDTH, HEADS, LAYERS, EXPERTS, TOP_K, ITERATIONS = 1024, 704, 8, 4, 63, 4, 2
SEQUENCES, LENGTH, VOCAB = 64, 512, 256


def weight(*shape):
    return torch.nn.Parameter(torch.randn(*shape, device="cuda") * 0.02)


def linear(x, w):
    return F.linear(x, w.to(x.dtype))


def norm(x, w):
    return F.rms_norm(x, (x.shape[-1],), w.to(x.dtype), 1e-6)


def turned(x, cosine, sine):
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norms = torch.nn.ParameterList(torch.nn.Parameter(torch.ones(HIDDEN, device="cuda")) for _ in range(2))
        self.qkv, self.out = weight(3 * HIDDEN, HIDDEN), weight(HIDDEN, HIDDEN)
        self.gates = torch.nn.ParameterList(weight(EXPERTS, HIDDEN) for _ in range(ITERATIONS))
        self.gate_up, self.down = weight(EXPERTS, 2 * WIDTH, HIDDEN), weight(EXPERTS, HIDDEN, WIDTH)
        self.shared_gate_up, self.shared_down = weight(2 * WIDTH, HIDDEN), weight(HIDDEN, WIDTH)

    def attention(self, h, cosine, sine):
        q, k, v = linear(norm(h, self.norms[0]), self.qkv).view(SEQUENCES, LENGTH, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(turned(q, cosine, sine), turned(k, cosine, sine), v, is_causal=True)
        return h + linear(mixed.transpose(1, 2).reshape(h.shape), self.out)

    def iteration(self, x, gate, gate_up, down):
        scores, chosen = F.linear(x.float(), gate).softmax(-1).topk(TOP_K)
        order = chosen.flatten().argsort(stable=True)
        ends = torch.bincount(chosen.flatten(), minlength=EXPERTS).cumsum(0).to(torch.int32)
        token = order // TOP_K
        rows = grouped_experts(x[token], gate_up, down, ends)
        a, b = linear(x, self.shared_gate_up).chunk(2, dim=-1)
        shared = linear(F.silu(a) * b, self.shared_down)
        return (x + shared).index_add(0, token, rows * scores.flatten()[order, None].to(x.dtype))

    def forward(self, h, cosine, sine):
        h = self.attention(h, cosine, sine)
        x, gate_up, down = norm(h, self.norms[1]), self.gate_up.bfloat16(), self.down.bfloat16()
        for gate in self.gates:
            x = self.iteration(x, gate, gate_up, down)
        return x


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = weight(VOCAB, HIDDEN), weight(VOCAB, HIDDEN)
        self.norm = torch.nn.Parameter(torch.ones(HIDDEN, device="cuda"))
        self.layers = torch.nn.ModuleList(Layer() for _ in range(LAYERS))
        angles = torch.outer(torch.arange(LENGTH), 1e4 ** (-torch.arange(0, HIDDEN // HEADS, 2) * HEADS / HIDDEN))
        self.cosine, self.sine = angles.cos().cuda().bfloat16(), angles.sin().cuda().bfloat16()

    def forward(self, ids, labels):
        h = F.embedding(ids, self.embedding).bfloat16()
        for layer in self.layers:
            h = layer(h, self.cosine, self.sine)
        return F.cross_entropy(linear(norm(h, self.norm), self.head).float(), labels)


def main():
    model = Model()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    ids, labels = (torch.randint(VOCAB, (SEQUENCES * LENGTH,), device="cuda") for _ in range(2))

    def step():
        optimiser.zero_grad()
        model(ids, labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    step_ms = median_ms(step)
    print(json.dumps({"step_ms": step_ms, "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
                      "parameters": sum(p.numel() for p in model.parameters())}))


if __name__ == "__main__":
    main()
