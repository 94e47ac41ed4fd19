#include "launcher/tell.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

namespace coe {

void tell_unfinished(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void tell(std::string_view line) { tell_unfinished(std::string(line) + '\n'); }

bool print_out(std::string_view text) {
  const bool whole = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return std::fflush(stdout) == 0 && whole && std::ferror(stdout) == 0;
}

}  // namespace coe
