#include "launcher/train/routing_recording.h"

#include "kernels/memory/error.h"
#include "launcher/run_directory.h"
#include "runtime/routing/routing_record_file.h"

namespace coe {
namespace {

RoutingRecord first_record(const RecordingOptions& options, const ModelConfig& model, std::int64_t steps_done,
                           int rank) {
  const bool goes_on = rank == 0 && options.earlier && options.earlier->last_step <= steps_done;
  return goes_on ? *options.earlier : empty_routing_record(model);
}

}  // namespace

RecordingOptions recording_options(const std::filesystem::path& file, const ModelConfig& model, bool resume) {
  RecordingOptions options{file, std::nullopt};
  check(!file.empty() && !std::filesystem::is_directory(file), "--record-routing is '", file.string(),
        "', must name a file");
  check_writable_folder(std::filesystem::absolute(file).parent_path(), "--record-routing");
  if (!resume || !std::filesystem::exists(file)) return options;
  options.earlier = read_routing_record(file);
  const RoutingRecord& earlier = *options.earlier;
  check(earlier.fits(empty_routing_record(model)), "--record-routing: ", file.string(), " is a record of ",
        earlier.model, " in ", earlier.layers, " layers, the model is ", model_name(model.layer), " in ", model.layers);
  return options;
}

RoutingRecording::RoutingRecording(const RecordingOptions& options, const ModelConfig& model, std::int64_t steps_done,
                                   int rank)
    : file_(options.file), counter_(first_record(options, model, steps_done, rank)) {}

void RoutingRecording::write(Group world) const {
  const RoutingRecord record = counter_.sum(world);
  if (world.rank() != 0) return;
  std::filesystem::create_directories(std::filesystem::absolute(file_).parent_path());
  write_routing_record(file_, record);
}

}  // namespace coe
