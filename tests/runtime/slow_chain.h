#pragma once

#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "runtime/admission.h"
#include "runtime/config.h"
#include "tests/runtime/oracle.h"
#include "tests/runtime/slow_admission.h"
#include "tests/runtime/slow_balance.h"

namespace coe {

/// A chain layer in double, token by token, on all sequences at once.
struct SlowChain {
  LayerConfig config;
  std::size_t length = 0;  ///< tokens of a sequence
  double l1_coeff = 0;
  std::map<std::string, Doubles> weights;  ///< by name, as chain_specs() has them

  Doubles forward(const Doubles& x0, double& balance) const {
    Doubles x = x0;
    for (std::int64_t t = 0; t < config.iterations; ++t) x = iterate(t, x, balance);
    for (std::size_t i = 0; config.residual == Residual::kOuter && i < x.size(); ++i) x[i] += x0[i];
    return x;
  }

  /// <dy, y> plus the balance losses: the loss whose gradients the layer's backward gives.
  double loss(const Doubles& x, const Doubles& dy) const {
    double balance = 0;
    const Doubles y = forward(x, balance);
    return slow_dot(dy, y) + balance;
  }

  Doubles gradient_of_input(const Doubles& x, const Doubles& dy) const {
    return slow_gradient([&](const Doubles& moved) { return loss(moved, dy); }, x);
  }
  Doubles gradient_of(const std::string& name, const Doubles& x, const Doubles& dy) const {
    SlowChain varied = *this;
    return slow_gradient(
        [&](const Doubles& moved) {
          varied.weights[name] = moved;
          return varied.loss(x, dy);
        },
        weights.at(name));
  }

 private:
  std::size_t hidden() const { return static_cast<std::size_t>(config.hidden); }
  Doubles feed_forward(const std::string& prefix, const Doubles& x) const {
    return slow_swiglu(weights.at(prefix + "gate_proj.weight"), weights.at(prefix + "up_proj.weight"),
                       weights.at(prefix + "down_proj.weight"), x);
  }

  /// One token's choices by its logits.
  std::vector<Choice> choose(const Doubles& logits) const {
    std::vector<Choice> choices;
    if (config.router == RouterKind::kRelu) {
      for (std::size_t i = 0; i < logits.size(); ++i) {
        if (logits[i] > 0) choices.push_back({static_cast<std::int32_t>(i), logits[i], logits[i], true});
      }
      return choices;
    }
    const Doubles s = slow_softmax(logits);
    double sum = 0;
    for (const std::size_t i : slow_topk(s, static_cast<std::size_t>(config.top_k))) {
      choices.push_back({static_cast<std::int32_t>(i), s[i] * config.routed_scaling_factor, s[i], true});
      sum += s[i];
    }
    for (Choice& choice : choices) choice.weight = config.norm_topk_prob ? choice.score / sum : choice.weight;
    return choices;
  }

  Doubles iterate(std::int64_t t, const Doubles& x, double& balance) const {
    const std::string number = std::to_string(t) + ".weight";
    const Doubles& gate = weights.at(config.gate == GateSharing::kShared ? "gate.0.weight" : "gate." + number);
    const std::size_t tokens = x.size() / hidden();
    std::vector<Doubles> rows;
    Choices choices;
    Doubles logits;
    for (std::size_t token = 0; token < tokens; ++token) {
      rows.push_back(slow_row(x, hidden(), token));
      if (config.iteration_norm) {
        rows.back() = slow_rms_norm(rows.back(), weights.at("norm." + number), static_cast<double>(config.norm_eps));
      }
      const Doubles z = slow_product(gate, rows.back());
      logits.insert(logits.end(), z.begin(), z.end());
      choices.push_back(choose(z));
    }
    balance += slow_balance(config, length, l1_coeff, logits);
    const std::int64_t capacity = capacity_of(config, static_cast<std::int64_t>(tokens));
    slow_admission(config.drop_policy, capacity, static_cast<std::int32_t>(config.experts), choices);

    Doubles next = config.residual == Residual::kInner ? x : Doubles(x.size(), 0.0);
    for (std::size_t token = 0; token < tokens; ++token) add_experts(rows[token], choices[token], token, next);
    return next;
  }

  void add_experts(const Doubles& row, const std::vector<Choice>& choices, std::size_t token, Doubles& next) const {
    const auto add = [&](double weight, const Doubles& out) {
      for (std::size_t i = 0; i < out.size(); ++i) next[token * hidden() + i] += weight * out[i];
    };
    for (const Choice& choice : choices) {
      if (!choice.kept) continue;
      add(choice.weight, feed_forward("experts." + std::to_string(choice.expert) + ".", row));
    }
    if (config.shared_experts > 0) add(1, feed_forward("shared_experts.", row));
  }
};

}  // namespace coe
