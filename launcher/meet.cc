#include "launcher/meet.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "comm/collectives.h"
#include "launcher/tell.h"

namespace coe {
namespace {

/// What a rank says of itself when it comes.
struct Arrival {
  std::string failure;  ///< the code as a letter, then the message; empty where the rank is ready
  RunFacts facts;
};

/// Texts, each ended by a zero byte: the failure, the number of facts with a meaning, all facts.
std::string packed(const Arrival& arrival) {
  std::string bytes = arrival.failure + '\0';
  bytes += std::to_string(arrival.facts.meaning.size()) + '\0';
  for (const auto* facts : {&arrival.facts.meaning, &arrival.facts.rounding})
    for (const ConfigEntry& fact : *facts) bytes += fact.key + '\0' + fact.value + '\0';
  return bytes;
}

Arrival unpacked(std::span<const std::byte> bytes) {
  std::vector<std::string> texts(1);
  for (const std::byte byte : bytes) {
    if (byte == std::byte{0}) {
      texts.emplace_back();
    } else {
      texts.back() += static_cast<char>(byte);
    }
  }
  Arrival arrival{texts.at(0), {}};
  std::size_t meaning = 0;
  std::from_chars(texts.at(1).data(), texts.at(1).data() + texts.at(1).size(), meaning);
  for (std::size_t i = 2; i + 1 < texts.size(); i += 2) {
    auto& facts = arrival.facts.meaning.size() < meaning ? arrival.facts.meaning : arrival.facts.rounding;
    facts.push_back({texts[i], texts[i + 1]});
  }
  return arrival;
}

/// Throws the failure of the first rank that has one.
void rethrow_failure(std::span<const Arrival> arrivals, std::span<const RankPlace> places) {
  const auto first = std::ranges::find_if(arrivals, [](const Arrival& one) { return !one.failure.empty(); });
  if (first == arrivals.end()) return;
  std::vector<int> ranks;
  for (std::size_t rank = 0; rank < arrivals.size(); ++rank)
    if (arrivals[rank].failure == first->failure) ranks.push_back(static_cast<int>(rank));
  const bool all = ranks.size() == arrivals.size();
  throw Error(static_cast<ErrorCode>(first->failure[0] - 'a'),
              first->failure.substr(1) + (all ? "" : " on " + names_of_ranks(ranks, places)));
}

void meet_as(Transport& world, const Arrival& own) {
  const std::string bytes = packed(own);
  std::vector<Arrival> arrivals;
  std::vector<RunFacts> facts;
  for (const auto& one : all_gather_bytes({&world}, std::as_bytes(std::span(bytes)), {.name = "meeting"})) {
    arrivals.push_back(unpacked(one));
    facts.push_back(arrivals.back().facts);
  }
  rethrow_failure(arrivals, world.places());
  const std::string told = require_same_facts(facts, world.places());
  if (world.rank() == 0 && !told.empty()) tell("coe: " + told);
}

bool may_differ(const std::string& key) {
  return key == "data.train" || key == "data.valid" || key == "distributed.threads";
}

using Facts = std::vector<ConfigEntry> RunFacts::*;

/// "training.batch is 4 on rank 0 (a), 8 on rank 1 (b)", or nothing where all ranks have one value.
std::string difference_in(const std::string& key, Facts kind, std::span<const RunFacts> facts,
                          std::span<const RankPlace> places) {
  std::vector<std::string> values;  // as they come, so that the one of rank 0 is the first
  std::map<std::string, std::vector<int>> ranks;
  for (std::size_t rank = 0; rank < facts.size(); ++rank) {
    const std::string* found = find_fact(facts[rank].*kind, key);
    const std::string value = found == nullptr ? "missing" : *found;
    if (ranks[value].empty()) values.push_back(value);
    ranks[value].push_back(static_cast<int>(rank));
  }
  if (values.size() == 1) return {};
  std::string text = key + " is ";
  for (const std::string& value : values)
    text += fmt::format("{}{} on {}", &value == &values[0] ? "" : ", ", value, names_of_ranks(ranks[value], places));
  return text;
}

/// One for each key in which ranks differ.
std::vector<std::string> differences(Facts kind, std::span<const RunFacts> facts, std::span<const RankPlace> places) {
  std::vector<std::string> found;
  std::set<std::string> seen;
  for (const RunFacts& one : facts) {
    for (const ConfigEntry& fact : one.*kind) {
      if (may_differ(fact.key) || !seen.insert(fact.key).second) continue;
      std::string text = difference_in(fact.key, kind, facts, places);
      if (!text.empty()) found.push_back(std::move(text));
    }
  }
  return found;
}

}  // namespace

std::string require_same_facts(std::span<const RunFacts> facts, std::span<const RankPlace> places) {
  const std::vector<std::string> meaning = differences(&RunFacts::meaning, facts, places);
  if (!meaning.empty()) fail(ErrorCode::kBadInput, "the ranks do not run the same thing: ", meaning.front());
  const std::vector<std::string> rounding = differences(&RunFacts::rounding, facts, places);
  if (rounding.empty()) return "";
  return fmt::format("the ranks do not round alike, so last digits depend on them: {}", fmt::join(rounding, "; "));
}

RunFacts facts_of_command(std::string_view verb, std::span<const std::string> arguments) {
  RunFacts facts = program_facts();
  facts.meaning.push_back({"the command", fmt::format("coe {} {}", verb, fmt::join(arguments, " "))});
  return facts;
}

void meet(Transport& world, const RunFacts& facts) { meet_as(world, {{}, facts}); }

void meet_with_failure(Transport& world, const Error& failure) {
  const std::string text = static_cast<char>('a' + static_cast<int>(failure.code())) + std::string(failure.what());
  meet_as(world, {text, {}});
  throw failure;
}

}  // namespace coe
