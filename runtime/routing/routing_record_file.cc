#include "runtime/routing/routing_record_file.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "kernels/memory/error.h"
#include "runtime/files/safetensors.h"

namespace coe {
namespace {

constexpr std::string_view kVersion = "1";

/// Bounds that keep every product and sum below within int64.
constexpr std::int64_t kMostExperts = 1 << 16, kMostPasses = 1 << 20, kMostTokens = std::int64_t{1} << 44;

struct CountTensor {
  std::string_view name;
  std::vector<std::int64_t> RoutingRecord::*counts;
  Shape shape;
};

std::array<CountTensor, 5> tensors_of(const RoutingRecord& record) {
  const std::int64_t layers = record.layers, iterations = record.iterations, experts = record.experts;
  return {{{"load", &RoutingRecord::load, {layers, iterations, experts}},
           {"dropped", &RoutingRecord::dropped, {layers, iterations}},
           {"coactivation", &RoutingRecord::coactivation, {layers, iterations, experts, experts}},
           {"transitions", &RoutingRecord::transitions, {layers, iterations - 1, experts, experts}},
           {"layer_transitions", &RoutingRecord::layer_transitions, {layers - 1, experts, experts}}}};
}

const std::string& entry_of(const SafetensorsFile& file, const std::string& key, const std::string& name) {
  const auto found = file.metadata().find(key);
  check(found != file.metadata().end(), name, ": routing record: metadata lack ", key);
  return found->second;
}

std::int64_t number_of(const SafetensorsFile& file, const std::string& key, std::int64_t least, std::int64_t most,
                       const std::string& name) {
  const std::string& text = entry_of(file, key, name);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  check(error == std::errc() && end == text.data() + text.size() && number >= least && number <= most, name,
        ": routing record: ", key, " is '", text, "', must be a number from ", least, " to ", most);
  return number;
}

RoutingRecord read_metadata(const SafetensorsFile& file, const std::string& name) {
  const auto format = file.metadata().find("format");
  check(format != file.metadata().end() && format->second == kRoutingRecordFormat, name, ": is no routing record");
  const std::string& version = entry_of(file, "version", name);
  check(version == kVersion, name, ": routing record of version ", version, ", this program reads version ", kVersion);
  const std::string& choices = entry_of(file, "choices", name);
  check(choices == "fixed" || choices == "any", name, ": routing record: choices is '", choices,
        "', must be fixed or any");
  RoutingRecord record;
  const auto number = [&](const char* key, std::int64_t least, std::int64_t most) {
    return number_of(file, key, least, most, name);
  };
  record.model = entry_of(file, "model", name);
  record.layers = number("layers", 1, kMostPasses);
  record.iterations = number("iterations", 1, kMostPasses / record.layers);
  record.experts = number("experts", 1, kMostExperts);
  record.top_k = number("top_k", 1, record.experts);
  record.fixed_choices = choices == "fixed";
  record.steps = number("steps", 0, kMostTokens);
  record.last_step = number("last_step", 0, kMostTokens);
  record.tokens = number("tokens", 0, kMostTokens);
  return record;
}

void read_counts(const SafetensorsFile& file, const std::string& name, RoutingRecord& record) {
  const auto tensors = tensors_of(record);
  check(file.names().size() == tensors.size(), name, ": routing record: ", file.names().size(), " tensors, must be ",
        tensors.size());
  for (const CountTensor& wanted : tensors) {
    const Tensor tensor = file.tensor(wanted.name);
    check(tensor.dtype() == DType::kI64 && tensor.shape() == wanted.shape, name, ": ", wanted.name, " is ",
          name_of(tensor.dtype()), " ", tensor.shape().text(), ", must be I64 ", wanted.shape.text());
    const auto counts = tensor.span<std::int64_t>();
    const std::int64_t most = wanted.name == "dropped" ? record.tokens * record.experts : record.tokens;
    for (const std::int64_t count : counts) {
      check(count >= 0, name, ": ", wanted.name, ": count ", count, " is negative");
      // A token chooses an expert once, and so makes a pair of experts once.
      check(count <= most, name, ": ", wanted.name, ": count ", count, " of ", record.tokens, " tokens, at most ",
            most);
    }
    (record.*wanted.counts).assign(counts.begin(), counts.end());
  }
}

/// Where a count stands, for messages: "transitions from layer 1, iteration 0".
struct Place {
  const std::string& file;
  std::string_view what;
  std::int64_t layer, iteration;

  template <class... Parts>
  void must(bool holds, const Parts&... parts) const {
    check(holds, file, ": ", what, " layer ", layer, ", iteration ", iteration, ": ", parts...);
  }
};

/// What a row or column of pairs may sum to, given how often its expert was chosen: exactly `each` times that where
/// nobody lost a choice, else at most.
struct PairSums {
  std::int64_t each;
  bool exact;
  void expect(const Place& place, std::string_view line, std::size_t expert, std::int64_t sum,
              std::int64_t load) const {
    place.must(exact ? sum == each * load : sum <= each * load, line, " ", expert, " sums to ", sum, ", must be ",
               exact ? "" : "at most ", each * load);
  }
};

void check_pairs(const Place& place, std::span<const std::int64_t> pairs, std::span<const std::int64_t> from,
                 std::span<const std::int64_t> to, PairSums rows, PairSums columns) {
  const std::size_t experts = from.size();
  std::vector<std::int64_t> column(experts);
  for (std::size_t i = 0; i < experts; ++i) {
    std::int64_t row = 0;
    for (std::size_t j = 0; j < experts; ++j) {
      const std::int64_t count = pairs[i * experts + j], most = std::min(from[i], to[j]);
      place.must(count <= most, "(", i, ", ", j, ") is ", count, ", at most ", most);
      row += count;
      column[j] += count;
    }
    rows.expect(place, "row", i, row, from[i]);
  }
  for (std::size_t j = 0; j < experts; ++j) columns.expect(place, "column", j, column[j], to[j]);
}

void check_coactivation(const Place& place, std::span<const std::int64_t> pairs, std::span<const std::int64_t> load) {
  const std::size_t experts = load.size();
  for (std::size_t i = 0; i < experts; ++i) {
    place.must(pairs[i * experts + i] == load[i], "diagonal ", i, " is ", pairs[i * experts + i], ", the load is ",
               load[i]);
    for (std::size_t j = 0; j < i; ++j) {
      const std::int64_t below = pairs[i * experts + j], above = pairs[j * experts + i];
      place.must(below == above, "(", i, ", ", j, ") is ", below, ", (", j, ", ", i, ") is ", above);
    }
  }
}

/// The most; exactly so many where choices are fixed.
std::int64_t choices_per_token(const RoutingRecord& record) {
  return record.fixed_choices ? record.top_k : record.experts;
}

bool nobody_lost(const RoutingRecord& record, std::int64_t layer, std::int64_t iteration) {
  return record.fixed_choices && record.dropped_of(layer, iteration) == 0;
}

void check_load(const RoutingRecord& record, std::int64_t layer, std::int64_t iteration, const std::string& name) {
  std::int64_t choices = record.dropped_of(layer, iteration);
  for (const std::int64_t count : record.load_of(layer, iteration)) choices += count;
  const std::int64_t most = choices_per_token(record) * record.tokens;
  const Place place{name, "load of", layer, iteration};
  place.must(record.fixed_choices ? choices == most : choices <= most, choices,
             " choices with the dropped ones, must be ", record.fixed_choices ? "" : "at most ", most);
}

void check_pass(const RoutingRecord& record, std::int64_t layer, std::int64_t iteration, const std::string& name) {
  const auto load = record.load_of(layer, iteration);
  const PairSums sums{choices_per_token(record), nobody_lost(record, layer, iteration)};
  const Place place{name, "coactivation of", layer, iteration};
  check_coactivation(place, record.coactivation_of(layer, iteration), load);
  check_pairs(place, record.coactivation_of(layer, iteration), load, load, sums, sums);
  const std::int64_t next = layer * record.iterations + iteration + 1;
  if (next == record.layers * record.iterations) return;
  const std::int64_t next_layer = next / record.iterations, next_iteration = next % record.iterations;
  const PairSums next_sums{sums.each, nobody_lost(record, next_layer, next_iteration)};
  check_pairs({name, "transitions from", layer, iteration}, record.transitions_from(layer, iteration), load,
              record.load_of(next_layer, next_iteration), next_sums, sums);
}

/// Calls check(record, layer, iteration, name) for all of them.
template <class Check>
void for_each_pass(const RoutingRecord& record, const std::string& name, const Check& check_one) {
  for (std::int64_t layer = 0; layer < record.layers; ++layer)
    for (std::int64_t t = 0; t < record.iterations; ++t) check_one(record, layer, t, name);
}

}  // namespace

void write_routing_record(const std::filesystem::path& file, const RoutingRecord& record) {
  const std::map<std::string, std::string> metadata{{"format", std::string(kRoutingRecordFormat)},
                                                    {"version", std::string(kVersion)},
                                                    {"model", record.model},
                                                    {"layers", std::to_string(record.layers)},
                                                    {"iterations", std::to_string(record.iterations)},
                                                    {"experts", std::to_string(record.experts)},
                                                    {"top_k", std::to_string(record.top_k)},
                                                    {"choices", record.fixed_choices ? "fixed" : "any"},
                                                    {"steps", std::to_string(record.steps)},
                                                    {"last_step", std::to_string(record.last_step)},
                                                    {"tokens", std::to_string(record.tokens)}};
  std::vector<NamedTensor> tensors;
  for (const CountTensor& tensor : tensors_of(record)) {
    // A Tensor knows no const; writing only reads it.
    auto* counts = const_cast<std::int64_t*>((record.*tensor.counts).data());
    tensors.push_back({std::string(tensor.name), Tensor(counts, DType::kI64, tensor.shape)});
  }
  write_safetensors(file, metadata, std::move(tensors));
}

RoutingRecord read_routing_record(const std::filesystem::path& file) {
  const SafetensorsFile opened(file);
  RoutingRecord record = read_metadata(opened, file.string());
  read_counts(opened, file.string(), record);
  for_each_pass(record, file.string(), check_load);
  for_each_pass(record, file.string(), check_pass);
  return record;
}

}  // namespace coe
