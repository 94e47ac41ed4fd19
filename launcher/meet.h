#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "comm/rank_place.h"
#include "comm/transport.h"
#include "kernels/memory/error.h"
#include "runtime/training/run_facts.h"

namespace coe {

/// Throws kBadInput, naming key, values and ranks, where two ranks of a job have another meaning; returns the same
/// sentence, or nothing, for all keys in which no more than their rounding differs. What a rank may have of its
/// own: the names of its data and how many threads it uses. `places` are those of the ranks, or empty.
std::string require_same_facts(std::span<const RunFacts> facts, std::span<const RankPlace> places);

/// The program and how it is called.
RunFacts facts_of_command(std::string_view verb, std::span<const std::string> arguments);

/// Where the ranks of a job meet before they begin, each knowing what it runs. Throws on all ranks alike: the error of
/// the first rank that comes by meet_with_failure(), saying which it is unless all have it; and what
/// require_same_facts() throws. Rank 0 says on stderr what that returns. Collective with the next one.
void meet(Transport& world, const RunFacts& facts);

/// Comes to the same place as a rank that has failed before. Always throws.
[[noreturn]] void meet_with_failure(Transport& world, const Error& failure);

}  // namespace coe
