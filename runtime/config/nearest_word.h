#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace coe {

/// How many letters must be inserted, removed, replaced or swapped with their neighbour to make `b` of `a` (optimal
/// string alignment distance).
std::size_t spelling_distance(std::string_view a, std::string_view b);

/// The one of `words` that is spelt most like `word`, the first of equals; empty where there are none.
std::string nearest_word(std::string_view word, std::span<const std::string> words);

}  // namespace coe
