#include <string>
#include <vector>

#include "kernels/memory/error.h"
#include "launcher/command.h"
#include "launcher/failure.h"
#include "launcher/tell.h"

int main(int count, char** values) {
  const std::vector<std::string> arguments(values + 1, values + count);
  try {
    const int code = coe::run_command(arguments);
    // What was printed may wait in a buffer still.
    if (code != 0 || coe::print_out("")) return code;
    coe::fail(coe::ErrorCode::kSystem, "stdout cannot be written: disk full, or closed at its other end?");
  } catch (const std::exception& error) {
    return coe::report_failure(error);
  }
}
