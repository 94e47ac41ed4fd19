#include "runtime/training/metrics.h"

#include <boost/json.hpp>
#include <string>
#include <system_error>

#include "kernels/memory/error.h"
#include "runtime/files/json_text.h"

namespace coe {
namespace {

namespace json = boost::json;

/// More than a configuration can ask for; what is averaged per iteration is as long as the largest.
constexpr int kMostIterations = 1 << 16;

json::object to_json(const RoutingMetrics& routing) {
  json::object line{{"layer", routing.layer},
                    {"iteration", routing.iteration},
                    {"load_max_over_mean", routing.load_max_over_mean},
                    {"idle_experts", routing.idle_experts}};
  if (routing.dropped) line["dropped"] = *routing.dropped;
  if (routing.rerouted) line["rerouted"] = *routing.rerouted;
  if (routing.sparsity) line["sparsity"] = *routing.sparsity;
  line["bytes_exchanged"] = routing.bytes_exchanged;
  return line;
}

json::object to_json(const StepMetrics& metrics) {
  json::object line{{"step", metrics.step}};
  if (metrics.validation_loss) line["validation_loss"] = *metrics.validation_loss;
  if (metrics.step == 0) return line;
  if (!metrics.skipped.empty()) {
    line["skipped"] = metrics.skipped;
    return line;
  }
  line["loss"] = metrics.loss;
  line["balance_loss"] = metrics.balance_loss;
  line["gradient_norm"] = metrics.gradient_norm;
  line["learning_rate"] = metrics.learning_rate;
  if (metrics.lambda) line["lambda"] = *metrics.lambda;
  line["tokens_per_second"] = metrics.seconds > 0 ? static_cast<double>(metrics.tokens) / metrics.seconds : 0;
  line["seconds"] = metrics.seconds;
  line["tokens"] = metrics.tokens;
  line["bytes_exchanged"] = metrics.bytes_exchanged;
  json::object parts;
  for (std::size_t i = 0; i < kPartNames.size(); ++i) parts[kPartNames[i]] = metrics.times.seconds[i];
  line["seconds_by_part"] = std::move(parts);
  json::array routing;
  for (const RoutingMetrics& one : metrics.routing) routing.push_back(to_json(one));
  line["routing"] = std::move(routing);
  return line;
}

/// The number of a key that not every layer has.
template <class Number>
std::optional<Number> number_in(const json::object& line, std::string_view key) {
  const json::value* found = line.if_contains(key);
  return found == nullptr ? std::nullopt : std::optional(found->to_number<Number>());
}

RoutingMetrics routing_from_json(const json::object& line) {
  RoutingMetrics routing;
  routing.layer = line.at("layer").to_number<int>();
  routing.iteration = line.at("iteration").to_number<int>();
  check(routing.iteration >= 0 && routing.iteration < kMostIterations, "iteration is ", routing.iteration);
  routing.load_max_over_mean = line.at("load_max_over_mean").to_number<double>();
  routing.idle_experts = line.at("idle_experts").to_number<int>();
  routing.dropped = number_in<std::int64_t>(line, "dropped");
  routing.rerouted = number_in<std::int64_t>(line, "rerouted");
  routing.sparsity = number_in<double>(line, "sparsity");
  routing.bytes_exchanged = line.at("bytes_exchanged").to_number<std::int64_t>();
  return routing;
}

StepMetrics from_json(const json::object& line) {
  StepMetrics metrics;
  metrics.step = line.at("step").to_number<std::int64_t>();
  metrics.validation_loss = number_in<double>(line, "validation_loss");
  if (metrics.step == 0) return metrics;
  if (const auto* skipped = line.if_contains("skipped")) {
    metrics.skipped = json::value_to<std::string>(*skipped);
    return metrics;
  }
  metrics.loss = line.at("loss").to_number<double>();
  metrics.balance_loss = line.at("balance_loss").to_number<double>();
  metrics.gradient_norm = line.at("gradient_norm").to_number<double>();
  metrics.learning_rate = line.at("learning_rate").to_number<double>();
  metrics.lambda = number_in<double>(line, "lambda");
  metrics.seconds = line.at("seconds").to_number<double>();
  metrics.tokens = line.at("tokens").to_number<std::int64_t>();
  metrics.bytes_exchanged = line.at("bytes_exchanged").to_number<std::int64_t>();
  const json::object& parts = line.at("seconds_by_part").as_object();
  for (std::size_t i = 0; i < kPartNames.size(); ++i)
    metrics.times.seconds[i] = parts.at(kPartNames[i]).to_number<double>();
  for (const json::value& one : line.at("routing").as_array())
    metrics.routing.push_back(routing_from_json(one.as_object()));
  return metrics;
}

StepMetrics parse_line(const std::string& line, const std::filesystem::path& file, std::size_t number) {
  try {
    return from_json(json::parse(line).as_object());
  } catch (const std::exception& error) {
    fail(ErrorCode::kBadInput, "metrics: ", file.string(), ":", number, " is no step: ", error.what());
  }
}

/// All whole lines; a last one without line feed was cut short by a kill.
std::vector<std::string> read_lines(const std::filesystem::path& file) {
  std::ifstream input(file);
  check(input.is_open(), "metrics: ", file.string(), " cannot be read");
  std::vector<std::string> lines;
  for (std::string line; std::getline(input, line) && !input.eof();) lines.push_back(line);
  // What a disk does not give must not be taken for the end, after which a resumed run writes.
  if (input.bad()) fail(ErrorCode::kSystem, "metrics: ", file.string(), " cannot be read to its end");
  return lines;
}

/// Rewrites `file` beside itself and renames it, so that a kill leaves the old or the new one.
void cut_after(const std::filesystem::path& file, std::int64_t last_step) {
  if (!std::filesystem::exists(file)) return;
  const std::filesystem::path beside = file.string() + ".cut";
  std::ofstream kept(beside);
  std::size_t number = 0;
  for (const std::string& line : read_lines(file))
    if (parse_line(line, file, ++number).step <= last_step) kept << line << '\n';
  kept.close();
  std::error_code error;
  std::filesystem::rename(beside, file, error);
  if (!kept || error) fail(ErrorCode::kSystem, "metrics: ", file.string(), " cannot be rewritten");
}

RoutingMetrics make_routing_metrics(const RoutingReport& report, const LayerConfig& layer) {
  RoutingMetrics routing;
  routing.layer = report.layer;
  routing.iteration = report.iteration;
  routing.load_max_over_mean = report.load_max_over_mean();
  routing.idle_experts = report.idle_experts();
  if (layer.drop_policy != DropPolicy::kNone) routing.dropped = report.dropped;
  if (layer.reroute_rounds > 0) routing.rerouted = report.rerouted;
  if (layer.router == RouterKind::kRelu) routing.sparsity = report.sparsity();
  routing.bytes_exchanged = report.bytes_exchanged;
  return routing;
}

}  // namespace

StepMetrics make_step_metrics(const StepReport& report, const LayerConfig& layer,
                              std::optional<double> validation_loss) {
  StepMetrics metrics;
  metrics.step = report.step;
  metrics.skipped = report.skipped;
  metrics.validation_loss = validation_loss;
  metrics.loss = report.loss;
  metrics.balance_loss = report.balance_loss;
  metrics.gradient_norm = report.gradient_norm;
  metrics.learning_rate = report.learning_rate;
  if (layer.router == RouterKind::kRelu) metrics.lambda = report.l1_coeff;
  metrics.seconds = report.seconds;
  metrics.tokens = report.tokens;
  metrics.bytes_exchanged = report.bytes_exchanged;
  metrics.times = report.times;
  for (const RoutingReport& one : report.routing) metrics.routing.push_back(make_routing_metrics(one, layer));
  return metrics;
}

MetricsWriter::MetricsWriter(const std::filesystem::path& file, std::int64_t last_step) : path_(file) {
  if (last_step >= 0) cut_after(file, last_step);
  file_.open(file, last_step >= 0 ? std::ios::app : std::ios::trunc);
  if (!file_) fail(ErrorCode::kSystem, "metrics: ", file.string(), " cannot be written");
}

void MetricsWriter::write(const StepMetrics& metrics) {
  file_ << json_text(to_json(metrics)) << '\n' << std::flush;
  if (!file_) fail(ErrorCode::kSystem, "metrics: ", path_.string(), " cannot be written (disk full?)");
}

std::vector<StepMetrics> read_metrics(const std::filesystem::path& file) {
  std::vector<StepMetrics> steps;
  for (const std::string& line : read_lines(file)) steps.push_back(parse_line(line, file, steps.size() + 1));
  return steps;
}

}  // namespace coe
