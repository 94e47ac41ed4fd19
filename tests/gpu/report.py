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
result = {"parts": parts, "torch": torch, "coe": coe, "moe": moe, "ratios": ratios}
(out / "results.json").write_text(json.dumps(result, indent=2) + "\n")
sys.exit(0 if all(part["status"] in ("ok", "skipped") for part in parts) else 1)
