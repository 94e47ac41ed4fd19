"""Puts what accept.sh's parts left in OUT together as OUT/results.json. Exits with 0 where every acceptance item passed, 1
where a part failed or ran past its time, 2 where nothing failed but an item was missed or did not run."""
import json
import pathlib
import sys

out = pathlib.Path(sys.argv[1])


def lines(name):
    path = out / name
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def numbers(name):
    """The JSON object in the file's last whole line."""
    for line in reversed(lines(name)):
        try:
            return json.loads(line)
        except ValueError:
            continue
    return {}


parts = [dict(zip(("part", "status", "seconds"), line.split("\t"))) for line in lines("parts.tsv")]
status_of = {part["part"]: part["status"] for part in parts}
torch, experts, coe, moe, torch_model = (
    numbers(f"{name}.json") for name in ("torch", "experts", "coe", "moe", "torch_model"))


trained_names = ("coe", "moe", "coe300", "coe48", "coe8")


def proved(item, *names, bound=None):
    """An item that its parts prove by ending well."""
    states = [status_of.get(name, "skipped: it never began") for name in names]
    worst = next((state for state in states if state != "ok"), "pass")
    return {"item": item, "bound": bound, "value": None, "ratio": None, "target": None,
            "result": worst.replace("skipped", "not run")}


def compared(item, above, below, bound, value, least=None, most=None):
    """An item that is a ratio of two numbers, of which one is the bound."""
    ratio = above / below if above and below else None
    held = ratio is not None and (least is None or ratio >= least) and (most is None or ratio <= most)
    target = {"least": least} if least is not None else {"most": most}
    return {"item": item, "bound": bound, "value": value, "ratio": ratio, "target": target,
            "result": "pass" if held else "miss" if ratio is not None else "not run"}


def training(name):
    """What the steps of a run took and reached, after those that make buffers."""
    steps = [row for row in map(json.loads, lines(f"{name}.metrics.jsonl")) if "loss" in row]
    later = sorted(row["seconds"] for row in steps[10:])
    if not later:
        return {}
    memory = [int(line) for line in lines(f"{name}.memory") if line.strip().isdigit()]
    validated = [row["validation_loss"] for row in map(json.loads, lines(f"{name}.metrics.jsonl"))
                 if row.get("validation_loss") is not None]
    parts = steps[-1].get("seconds_by_part", {})
    return {"step_ms": 1e3 * later[len(later) // 2], "first_loss": steps[0]["loss"], "last_loss": steps[-1]["loss"],
            "validation": validated, "steps": len(steps), "peak_mib": max(memory, default=None), "parts": parts}


def step_flops(hidden=1024, width=704, layers=4, experts=63, rows=10, sequence=512, tokens=32768, vocab=256):
    """Of a training step of the authors' CoE-2(4/64): experts, projections, causal attention, gates and head."""
    layer = 18 * hidden * width * rows + 24 * hidden**2 + 6 * sequence * hidden + 12 * experts * hidden
    return tokens * (layers * layer + 6 * vocab * hidden)


cublas = experts.get("cublas_gflops") or torch.get("cublas_gflops")
copied = coe.get("copy_gb_per_s")
rate, routing, step = experts.get("gflops"), coe.get("routing_gb_per_s"), coe.get("step_ms")
loop, grouped, grouped_experts = (torch.get(name) for name in ("loop_coe_ms", "grouped_coe_ms", "grouped_experts_ms"))
trained = training("coe")
acceptance = [
    proved("1 kernels", "kernels", "runtime", bound="CPU"),
    proved("2 layer", "layer", bound="CPU"),
    proved("2 layer cases", "verify", bound="the cases' numbers"),
    proved("2 processes", "host_processes", "processes", bound="threads' digests"),
    proved("3 NCCL", "nccl", bound="threads' digests"),
    *(proved(f"3 {part}", part)
      for part in ("memcheck", "memcheck_kernels", "racecheck", "racecheck_attention", "initcheck")),
    compared("4 experts' rate over cuBLAS's", rate, cublas, cublas, rate, least=0.60),
    compared("4 grouped GEMM's time over the experts'", grouped_experts, experts.get("step_ms"), grouped_experts,
             experts.get("step_ms"), least=1.0),
    compared("4 routing's rate over a copy's", routing, copied, copied, routing, least=0.60),
    compared("4 loop's time over the layer's", loop, step, loop, step, least=2.0),
    compared("4 grouped GEMM layer's time over the layer's", grouped, step, grouped, step, least=1.15),
    compared("4 CoE's time over MoE's", step, moe.get("step_ms"), moe.get("step_ms"), step, most=1.05),
    proved("1 models' cases", "models", bound="the cases' numbers"),
    proved("5 training", "train"),
    compared("5 model's rate over cuBLAS's", trained and 1e-6 * step_flops() / trained["step_ms"], cublas, cublas,
             trained.get("step_ms"), least=0.35),
    compared("5 PyTorch's step over ours", torch_model.get("step_ms"), trained.get("step_ms"),
             torch_model.get("step_ms"), trained.get("step_ms"), least=1.3),
]
missing = [line for line in lines("log") if line.startswith("missing: ")]
result = {"acceptance": acceptance, "missing": missing, "parts": parts, "experts": experts, "coe": coe, "moe": moe,
          "torch": torch, "torch_model": torch_model, "training": {name: training(name) for name in trained_names}}
(out / "results.json").write_text(json.dumps(result, indent=2) + "\n")
for item in acceptance:
    print(f"{item['item']}: {item['result']}" + (f", {item['ratio']:.3f}" if item["ratio"] else ""))
if any(status.startswith(("failed", "ran past")) for status in status_of.values()):
    sys.exit(1)
sys.exit(0 if all(item["result"] == "pass" for item in acceptance) else 2)
