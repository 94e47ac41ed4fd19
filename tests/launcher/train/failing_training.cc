#include <cstdlib>

#include "launcher/failure.h"
#include "tests/faulty_training.h"

/// failing_training FOLDER POST: a job under mpirun in which rank 1 throws instead of its post number POST; its flight
/// files lie in FOLDER. Ends with 0 where POST is beyond the last.
int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    const auto open = [&](coe::Transport&) { return std::filesystem::path(argv[1]); };
    return coe::run_recorded_ranks({}, open, [&](coe::Transport& world, coe::FlightRecorder& recorder) {
      coe::train_faultily(world, recorder, std::atol(argv[2]));
    });
  } catch (const std::exception& error) {
    return coe::report_failure(error);
  }
}
