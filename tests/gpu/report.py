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
torch, experts, coe, moe = (numbers(f"{name}.json") for name in ("torch", "experts", "coe", "moe"))


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


cublas = experts.get("cublas_gflops") or torch.get("cublas_gflops")
copied = coe.get("copy_gb_per_s")
rate, routing, step = experts.get("gflops"), coe.get("routing_gb_per_s"), coe.get("step_ms")
loop, grouped, grouped_experts = (torch.get(name) for name in ("loop_coe_ms", "grouped_coe_ms", "grouped_experts_ms"))
acceptance = [
    proved("1 kernels", "kernels", "runtime", bound="CPU"),
    proved("2 layer", "layer", bound="CPU"),
    proved("2 layer cases", "verify", bound="the cases' numbers"),
    *(proved(f"3 {tool}", tool) for tool in ("memcheck", "racecheck", "initcheck")),
    compared("4 experts' rate over cuBLAS's", rate, cublas, cublas, rate, least=0.60),
    compared("4 grouped GEMM's time over the experts'", grouped_experts, experts.get("step_ms"), grouped_experts,
             experts.get("step_ms"), least=1.0),
    compared("4 routing's rate over a copy's", routing, copied, copied, routing, least=0.60),
    compared("4 loop's time over the layer's", loop, step, loop, step, least=2.0),
    compared("4 grouped GEMM layer's time over the layer's", grouped, step, grouped, step, least=1.15),
    compared("4 CoE's time over MoE's", step, moe.get("step_ms"), moe.get("step_ms"), step, most=1.05),
]
missing = [line for line in lines("log") if line.startswith("missing: ")]
result = {"acceptance": acceptance, "missing": missing, "parts": parts, "experts": experts, "coe": coe, "moe": moe,
          "torch": torch}
(out / "results.json").write_text(json.dumps(result, indent=2) + "\n")
for item in acceptance:
    print(f"{item['item']}: {item['result']}" + (f", {item['ratio']:.3f}" if item["ratio"] else ""))
if any(status.startswith(("failed", "ran past")) for status in status_of.values()):
    sys.exit(1)
sys.exit(0 if all(item["result"] == "pass" for item in acceptance) else 2)
