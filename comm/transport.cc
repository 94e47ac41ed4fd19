#include "comm/transport.h"

#include <sstream>

namespace coe {

std::string Phase::text() const {
  std::ostringstream text;
  text << name;
  const char* separator = " of ";
  const auto add = [&](const char* what, int number) {
    if (number < 0) return;
    text << separator << what << number;
    separator = ", ";
  };
  add("layer ", layer);
  add("iteration ", iteration);
  add("chunk ", chunk);
  return text.str();
}

}  // namespace coe
