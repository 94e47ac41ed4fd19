"""Puts what accept.sh's parts left in OUT together as OUT/results.json, with the ratios that must hold."""
import json
import pathlib
import sys

out = pathlib.Path(sys.argv[1])


def read(name):
    path = out / name
    try:
        return json.loads(path.read_text().strip().splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return {}


parts = [dict(zip(("part", "status", "seconds"), line.split("\t"))) for line in (out / "parts.tsv").read_text().splitlines()]
torch, coe, moe = read("torch.json"), read("coe.json"), read("moe.json")
ratios = {}


def ratio(name, above, below, value, least=None, most=None):
    if not above or not below:
        ratios[name] = {"status": "not measured"}
        return
    held = (least is None or value >= least) and (most is None or value <= most)
    ratios[name] = {"value": value, "least": least, "most": most, "status": "holds" if held else "missed"}


def quotient(a, b):
    return a / b if a and b else None


step = coe.get("step_ms")
ratio("loop over coe", torch.get("loop_coe_ms"), step, quotient(torch.get("loop_coe_ms"), step), least=2.0)
ratio("grouped over coe", torch.get("grouped_coe_ms"), step, quotient(torch.get("grouped_coe_ms"), step), least=1.15)
ratio("coe over moe", step, moe.get("step_ms"), quotient(step, moe.get("step_ms")), most=1.05)
routing_ms = coe.get("forward_ms", 0) - coe.get("experts_forward_ms", 0)
rate = quotient(coe.get("routed_bytes", 0) * 1e-6, routing_ms)
ratio("routing over copy", rate, torch.get("copy_gb_per_s"), quotient(rate, torch.get("copy_gb_per_s")), least=0.60)
ratios["experts over cuBLAS"] = ratios["experts over grouped GEMM"] = {
    "status": "not measured: coe bench experts --device cuda is not there"}
status_of = {part["part"]: part["status"] for part in parts}


def shown(item, part, bound):
    status = status_of.get(part, "skipped")
    ended = {"ok": "pass", "skipped": "not run"}.get(status, status)
    return {"item": item, "bound": bound, "value": None, "ratio": None, "target": None, "result": ended}


def compared(item, name, bound, value):
    found = ratios[name]
    ended = {"holds": "pass", "missed": "miss"}.get(found["status"], "not run")
    target = {limit: found[limit] for limit in ("least", "most") if found.get(limit) is not None}
    return {"item": item, "bound": bound, "value": value, "ratio": found.get("value"),
            "target": target or None, "result": ended}


acceptance = [shown("1 kernels", "kernels", "CPU"), shown("2 layer cases", "verify", "the cases' numbers")]
acceptance += [shown(f"3 {tool}", tool, None) for tool in ("memcheck", "racecheck", "initcheck")]
acceptance += [compared(f"4 {name}", name, bound, value) for name, bound, value in (
    ("experts over cuBLAS", torch.get("cublas_tflops"), None), ("experts over grouped GEMM", torch.get("grouped_experts_ms"), None),
    ("routing over copy", torch.get("copy_gb_per_s"), rate), ("loop over coe", torch.get("loop_coe_ms"), step),
    ("grouped over coe", torch.get("grouped_coe_ms"), step), ("coe over moe", moe.get("step_ms"), step))]
result = {"acceptance": acceptance, "parts": parts, "torch": torch, "coe": coe, "moe": moe, "ratios": ratios}
(out / "results.json").write_text(json.dumps(result, indent=2) + "\n")
# A ratio that is missed, a part without time or one that could not run is told, but wrong results alone fail.
sys.exit(1 if any(status.startswith("failed") for status in status_of.values()) else 0)
