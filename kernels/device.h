#pragma once

namespace coe {

/// Where memory lives.
struct Device {
  enum class Kind { kCpu } kind = Kind::kCpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};

inline constexpr Device kCpu{};

}  // namespace coe
