#include "launcher/report/inspect_routing.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>

#include "launcher/report/gnuplot.h"
#include "launcher/report/routing_statistics.h"
#include "launcher/tell.h"
#include "runtime/routing/routing_record_file.h"

namespace coe {
namespace po = boost::program_options;
namespace {

/// How many pairs of experts a line names.
constexpr std::size_t kPairsNamed = 3;

/// Transitions are drawn from 1/8 to 8 times chance.
constexpr double kMostDoublings = 3;
constexpr double kRare = 10;

struct Pass {
  std::int64_t layer = 0, iteration = 0;
  std::string text() const { return fmt::format("layer {}, iteration {}", layer, iteration); }
};

Pass pass_at(const RoutingRecord& record, std::int64_t index) {
  return {index / record.iterations, index % record.iterations};
}

std::int64_t passes_of(const RoutingRecord& record) { return record.layers * record.iterations; }

/// "3+17 (2.1x), ..."
std::string pairs_text(std::span<const ExpertPair> pairs, std::string_view between) {
  std::string text;
  for (const ExpertPair& pair : pairs)
    text += fmt::format("{}{}{}{} ({:.1f}x)", text.empty() ? "" : ", ", pair.first, between, pair.second,
                        pair.times_chance);
  return text.empty() ? "-" : text;
}

std::string load_table(const RoutingRecord& record) {
  const auto experts = static_cast<std::size_t>(record.experts);
  std::string text = fmt::format("{:<22}  {:>8}  {:>9}  {:>16}  {:>4}  {:>8}  {}\n", "load", "max/mean", "variation",
                                 fmt::format("bits of {:.2f}", std::log2(record.experts)), "idle", "dropped",
                                 "most often together (times chance)");
  for (std::int64_t i = 0; i < passes_of(record); ++i) {
    const Pass pass = pass_at(record, i);
    const LoadStatistics load = load_statistics(record.load_of(pass.layer, pass.iteration));
    const auto dropped = static_cast<double>(record.dropped_of(pass.layer, pass.iteration));
    double choices = dropped;
    for (const std::int64_t count : record.load_of(pass.layer, pass.iteration)) choices += static_cast<double>(count);
    const auto pairs =
        frequent_pairs(record.coactivation_of(pass.layer, pass.iteration), experts, record.tokens, kPairsNamed);
    text += fmt::format("{:<22}  {:>8.2f}  {:>9.2f}  {:>16.2f}  {:>4}  {:>6.1f} %  {}\n", pass.text(),
                        load.max_over_mean, load.variation, load.entropy_bits, load.idle,
                        choices > 0 ? 100 * dropped / choices : 0.0, pairs_text(pairs, "+"));
  }
  return text;
}

std::string transition_table(const RoutingRecord& record) {
  const auto experts = static_cast<std::size_t>(record.experts);
  std::string text = fmt::format("{:<46}  {:>16}  {}\n", "transitions", "mutual bits", "most often (times chance)");
  for (std::int64_t i = 0; i + 1 < passes_of(record); ++i) {
    const Pass from = pass_at(record, i), to = pass_at(record, i + 1);
    const auto transitions = record.transitions_from(from.layer, from.iteration);
    text += fmt::format("{:<46}  {:>16.3f}  {}\n", from.text() + " to " + to.text(),
                        mutual_information_bits(transitions, experts),
                        pairs_text(frequent_transitions(transitions, experts, kPairsNamed), ">"));
  }
  return text;
}

/// log2 of count over chance, both with so many added that what is rare stays pale.
std::vector<double> doublings(std::span<const std::int64_t> transitions, std::size_t experts) {
  std::vector<double> values = expected_by_chance(transitions, experts);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double times = (static_cast<double>(transitions[i]) + kRare) / (values[i] + kRare);
    values[i] = std::clamp(std::log2(times), -kMostDoublings, kMostDoublings);
  }
  return values;
}

/// How many maps stand side by side: about as many as stand above each other, with the fewest gaps.
std::size_t maps_per_row(std::size_t maps) {
  const auto square =
      std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(std::sqrt(static_cast<double>(maps)))));
  const auto gaps = [&](std::size_t width) { return (width - maps % width) % width; };
  return gaps(square) <= gaps(square + 1) ? square : square + 1;
}

void draw(const HeatMapPicture& picture, const std::filesystem::path& file) {
  if (picture.maps.empty()) return;
  if (run_gnuplot(heat_map_program(picture, file), file)) {
    fmt::print("{}\n", file.string());
  } else {
    tell(fmt::format("inspect: gnuplot is missing, so {} is not drawn; apt-get install gnuplot-nox", file.string()));
  }
}

}  // namespace

std::string routing_summary(const RoutingRecord& record) {
  std::string text = fmt::format("{}, {} layers: {} steps, {} tokens\n\n{}", record.model, record.layers, record.steps,
                                 record.tokens, load_table(record));
  if (passes_of(record) > 1) text += fmt::format("\n{}", transition_table(record));
  return text;
}

HeatMapPicture load_picture(const RoutingRecord& record) {
  HeatMap map;
  map.x_label = "expert";
  map.columns = static_cast<std::size_t>(record.experts);
  for (std::int64_t i = 0; i < passes_of(record); ++i) {
    const Pass pass = pass_at(record, i);
    const auto load = record.load_of(pass.layer, pass.iteration);
    double sum = 0;
    for (const std::int64_t count : load) sum += static_cast<double>(count);
    const double mean = sum > 0 ? sum / static_cast<double>(record.experts) : 1;
    for (const std::int64_t count : load) map.values.push_back(static_cast<double>(count) / mean);
    map.row_names.push_back(pass.text());
  }
  map.rows = map.row_names.size();
  HeatMapPicture picture;
  picture.title = fmt::format("{}: expert load, {} tokens", record.model, record.tokens);
  picture.map_width = std::clamp(12.0 * static_cast<double>(map.columns), 360.0, 1000.0);
  picture.map_height = std::max(26.0 * static_cast<double>(map.rows), 120.0);
  picture.label_width = 140;
  picture.high = std::max(1.0, *std::ranges::max_element(map.values));
  picture.bar_label = "load / mean load";
  picture.maps.push_back(std::move(map));
  return picture;
}

HeatMapPicture transition_picture(const RoutingRecord& record) {
  const auto experts = static_cast<std::size_t>(record.experts);
  HeatMapPicture picture;
  for (std::int64_t i = 0; i + 1 < passes_of(record); ++i) {
    const Pass from = pass_at(record, i), to = pass_at(record, i + 1);
    picture.maps.push_back(
        {.title = fmt::format("layer {}.{} to {}.{}", from.layer, from.iteration, to.layer, to.iteration),
         .x_label = "to expert",
         .y_label = "from expert",
         .rows = experts,
         .columns = experts,
         .values = doublings(record.transitions_from(from.layer, from.iteration), experts),
         .row_names = {}});
  }
  picture.title = fmt::format("{}: transitions of tokens, layer.iteration to the next", record.model);
  picture.maps_per_row = maps_per_row(picture.maps.size());
  picture.map_width = picture.map_height = std::clamp(4.0 * static_cast<double>(experts), 180.0, 400.0);
  picture.label_width = 66;
  picture.palette = Palette::kDiverging;
  picture.low = -kMostDoublings;
  picture.high = kMostDoublings;
  picture.bar_label = "times as often as by chance";
  picture.bar_ticks = {{"1/8", -3}, {"1/4", -2}, {"1/2", -1}, {"1", 0}, {"2", 1}, {"4", 2}, {"8", 3}};
  return picture;
}

bool knows_routing_record(const std::filesystem::path& file) {
  std::array<char, 1024> start{};
  std::ifstream stream(file, std::ios::binary);
  stream.read(start.data(), start.size());
  const std::string_view text(start.data(), static_cast<std::size_t>(std::max<std::streamsize>(stream.gcount(), 0)));
  return text.find(kRoutingRecordFormat) != std::string_view::npos;
}

void add_routing_options(po::options_description& options) {
  options.add_options()("out", po::value<std::string>()->value_name("FOLDER"),
                        "where the pictures of routing records go; default: beside the record");
}

void inspect_routing_records(const std::vector<std::filesystem::path>& files, const po::variables_map& values) {
  for (const auto& file : files) {
    const RoutingRecord record = read_routing_record(file);
    fmt::print("{}\n", routing_summary(record));
    std::filesystem::path folder = std::filesystem::absolute(file).parent_path();
    if (values.count("out") == 1) folder = values["out"].as<std::string>();
    std::filesystem::create_directories(folder);
    draw(load_picture(record), folder / (file.stem().string() + "-load.svg"));
    draw(transition_picture(record), folder / (file.stem().string() + "-transitions.svg"));
  }
}

}  // namespace coe
