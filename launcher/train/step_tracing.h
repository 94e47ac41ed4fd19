#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "comm/group.h"
#include "runtime/training/trainer.h"

namespace coe {

/// Spans of all ranks, of each its own, as the JSON that Perfetto and Chrome's about:tracing read (Trace Event Format):
/// a process a rank, with a row for its thread, one for its stream, and one for each chunk's flights. Times count from
/// the earliest.
std::string trace_json(std::span<const std::vector<Span>> ranks);

/// `coe train --trace FILE`: some steps of a run, from the third that it takes on, when buffers have their size.
class StepTracing {
 public:
  static constexpr std::int64_t kSkipped = 2, kTraced = 3;

  /// Throws kBadInput where `file` cannot be written. Views the trainer.
  StepTracing(std::filesystem::path file, Trainer& trainer);
  StepTracing(const StepTracing&) = delete;
  StepTracing& operator=(const StepTracing&) = delete;
  ~StepTracing();

  /// Before every step.
  void begin_step();
  /// After every step; true where rank 0 has just written the file. Collective.
  bool end_step(Group world);
  /// Whether there have been enough steps.
  bool is_complete() const { return begun_ >= kSkipped + kTraced; }
  const std::filesystem::path& file() const { return file_; }

 private:
  std::filesystem::path file_;
  Trainer* trainer_;
  StepTrace trace_;
  std::int64_t begun_ = 0;
};

}  // namespace coe
