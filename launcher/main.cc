#include <string>
#include <vector>

#include "launcher/command.h"
#include "launcher/failure.h"

int main(int count, char** values) {
  const std::vector<std::string> arguments(values + 1, values + count);
  try {
    return coe::run_command(arguments);
  } catch (const std::exception& error) {
    return coe::report_failure(error);
  }
}
