#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "runtime/config.h"
#include "tests/runtime/routings.h"

namespace coe {

/// Admission the slow obvious way: sorts all of an expert's choices, over all tokens, and keeps the
/// first `capacity`.
inline void slow_admission(DropPolicy policy, std::int64_t capacity, std::int32_t experts, Choices& tokens) {
  for (std::int32_t expert = 0; expert < experts; ++expert) {
    std::vector<std::pair<std::size_t, Choice*>> entries;
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      for (Choice& choice : tokens[t]) {
        if (choice.expert == expert) entries.emplace_back(t, &choice);
      }
    }
    std::ranges::sort(entries, [&](const auto& a, const auto& b) {
      if (policy == DropPolicy::kProbability && a.second->score != b.second->score) {
        return a.second->score > b.second->score;
      }
      return a.first < b.first;
    });
    for (std::size_t i = 0; i < entries.size(); ++i) {
      entries[i].second->kept = policy == DropPolicy::kNone || std::cmp_less(i, capacity);
    }
  }
}

}  // namespace coe
