#include "launcher/train/step_tracing.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstring>
#include <limits>

#include "comm/collectives.h"
#include "kernels/memory/error.h"
#include "launcher/run_directory.h"
#include "runtime/files/durable_file.h"
#include "runtime/files/json_text.h"

namespace coe {
namespace json = boost::json;
namespace {

/// The row of a rank's process in which a span is drawn.
int row_of(const Span& span) {
  switch (span.track) {
    case Span::Track::kHost: return 0;
    case Span::Track::kStream: return 1;
    case Span::Track::kReduction: return 2;
    case Span::Track::kFlight: return 3 + span.place.chunk;
  }
  return 0;
}

std::string name_of_row(int row) {
  static constexpr const char* kRows[] = {"thread", "stream", "reductions"};
  return row < 3 ? kRows[row] : "flights of chunk " + std::to_string(row - 3);
}

std::string_view name_of(const Span& span) {
  return span.track == Span::Track::kFlight ? "flight" : kPartNames[static_cast<std::size_t>(span.part)];
}

json::object event_of(const Span& span, int rank, double start) {
  json::object arguments;
  if (span.place.layer >= 0) arguments["layer"] = span.place.layer;
  if (span.place.iteration >= 0) arguments["iteration"] = span.place.iteration;
  if (span.place.iteration >= 0) arguments["chunk"] = span.place.chunk;
  arguments["backward"] = span.place.backward;
  constexpr double kMicro = 1e6;
  return {{"name", name_of(span)},
          {"ph", "X"},
          {"pid", rank},
          {"tid", row_of(span)},
          {"ts", kMicro * (span.begin - start)},
          {"dur", kMicro * (span.end - span.begin)},
          {"args", std::move(arguments)}};
}

json::object naming(const char* what, int rank, int row, const std::string& name) {
  return {{"name", what}, {"ph", "M"}, {"pid", rank}, {"tid", row}, {"args", json::object{{"name", name}}}};
}

std::vector<Span> spans_in(std::span<const std::byte> bytes) {
  std::vector<Span> spans(bytes.size() / sizeof(Span));
  if (!spans.empty()) std::memcpy(spans.data(), bytes.data(), spans.size() * sizeof(Span));
  return spans;
}

}  // namespace

std::string trace_json(std::span<const std::vector<Span>> ranks) {
  double start = std::numeric_limits<double>::max();
  for (const std::vector<Span>& spans : ranks) {
    for (const Span& span : spans) start = std::min(start, span.begin);
  }
  json::array events;
  for (int rank = 0; rank < std::ssize(ranks); ++rank) {
    events.push_back(naming("process_name", rank, 0, "rank " + std::to_string(rank)));
    std::vector<bool> named;
    for (const Span& span : ranks[static_cast<std::size_t>(rank)]) {
      const auto row = static_cast<std::size_t>(row_of(span));
      if (named.size() <= row) named.resize(row + 1);
      if (!named[row]) events.push_back(naming("thread_name", rank, row_of(span), name_of_row(row_of(span))));
      named[row] = true;
      events.push_back(event_of(span, rank, start));
    }
  }
  return json_text(json::object{{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events)}}) + "\n";
}

StepTracing::StepTracing(std::filesystem::path file, Trainer& trainer) : file_(std::move(file)), trainer_(&trainer) {
  check(!file_.empty() && !std::filesystem::is_directory(file_), "--trace is '", file_.string(), "', must name a file");
  check_writable_folder(std::filesystem::absolute(file_).parent_path(), "--trace");
}

StepTracing::~StepTracing() { trainer_->trace_steps(nullptr); }

void StepTracing::begin_step() {
  if (begun_++ == kSkipped) trainer_->trace_steps(&trace_);
}

bool StepTracing::end_step(Group world) {
  if (begun_ != kSkipped + kTraced) return false;
  trainer_->trace_steps(nullptr);
  const auto mine = std::as_bytes(std::span(trace_.spans()));
  std::vector<std::vector<Span>> ranks;
  for (const std::vector<std::byte>& bytes : all_gather_bytes(world, mine, {"gathering a trace"}))
    ranks.push_back(spans_in(bytes));
  if (world.rank() != 0) return false;
  std::filesystem::create_directories(std::filesystem::absolute(file_).parent_path());
  DurableFile file(file_);
  file.write(trace_json(ranks));
  file.commit();
  return true;
}

}  // namespace coe
