#pragma once

#include <optional>
#include <string>
#include <vector>

#include "comm/make_transport.h"
#include "tests/runtime/exchange/exchange_properties.h"

namespace coe {

/// What is wrong with a case over thread ranks; nothing where all holds.
inline std::optional<std::string> broken(const ExchangeCase& one, const ExchangeFactory& make_exchange) {
  try {
    run_local_ranks(one.ranks, [&](Transport& world) { CaseOnRank(one, world).run(make_exchange); });
  } catch (const std::exception& error) {
    return error.what();
  }
  return std::nullopt;
}

/// Cases that are smaller in one way.
inline std::vector<ExchangeCase> smaller_cases(const ExchangeCase& one) {
  std::vector<ExchangeCase> smaller;
  const auto add = [&](const auto& change) {
    ExchangeCase other = one;
    change(other);
    if (other.text() != one.text()) smaller.push_back(other);
  };
  add([](ExchangeCase& other) { other.layer.iterations = 1; });
  add([](ExchangeCase& other) { other.together = 1; });
  add([](ExchangeCase& other) { other.layer.hidden = 1; });
  add([](ExchangeCase& other) { other.layer.reroute_rounds = 0; });
  add([](ExchangeCase& other) { other.layer.pad_to_capacity = false; });
  add([](ExchangeCase& other) { other.layer.top_k = 1; });
  if (one.ranks > 1) {
    add([](ExchangeCase& other) {
      --other.ranks;
      other.tokens.pop_back();
    });
  }
  for (std::size_t rank = 0; rank < one.tokens.size(); ++rank) {
    add([&](ExchangeCase& other) { other.tokens[rank] /= 2; });
    add([&](ExchangeCase& other) { other.tokens[rank] -= other.tokens[rank] > 0 ? 1 : 0; });
  }
  return smaller;
}

/// The smallest case that is still wrong, and how.
inline std::string shrunk(ExchangeCase one, const ExchangeFactory& make_exchange) {
  std::optional<std::string> wrong = broken(one, make_exchange);
  if (!wrong) return "holds when run again over threads; " + one.text();
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (const ExchangeCase& other : smaller_cases(one)) {
      const std::optional<std::string> still = broken(other, make_exchange);
      if (!still) continue;
      one = other;
      wrong = still;
      smaller = true;
      break;
    }
  }
  return *wrong;
}

}  // namespace coe
