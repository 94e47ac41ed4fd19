#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "comm/collectives.h"
#include "runtime/routing/routing_record.h"

namespace coe {

/// What --record-routing asks for: where the record goes, and what a run that goes on already has there.
struct RecordingOptions {
  std::filesystem::path file;
  std::optional<RoutingRecord> earlier;
};

/// Throws kBadInput where `file` cannot be written and, with `resume`, where it holds anything but an earlier record of
/// the same model. Leaves nothing behind.
RecordingOptions recording_options(const std::filesystem::path& file, const ModelConfig& model, bool resume);

/// A routing record in the making, of all ranks.
class RoutingRecording {
 public:
  /// Goes on from the earlier record where it ends at `steps_done` or before: steps between the two are not counted. A
  /// later one holds steps that will be done once more, so that counting starts afresh. Of all ranks, rank 0 has it.
  RoutingRecording(const RecordingOptions& options, const ModelConfig& model, std::int64_t steps_done, int rank);

  RoutingCounter& counter() { return counter_; }
  /// Sums over all ranks; rank 0 writes the file. Collective.
  void write(Group world) const;

 private:
  std::filesystem::path file_;
  RoutingCounter counter_;
};

}  // namespace coe
