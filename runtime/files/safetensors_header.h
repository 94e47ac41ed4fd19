#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "kernels/memory/tensor.h"

namespace coe {

/// What the JSON header of a safetensors file says of one tensor; offsets count from the end of the header.
struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  std::uint64_t begin = 0, end = 0;
};

struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;
  std::deque<SafetensorsEntry> entries;  ///< In the order of their data, which they cover without a gap.
};

/// Reads a header that describes `data_bytes` bytes and believes none of it: throws kBadInput, naming `file` and the
/// tensor, for bad JSON, repeated names, unknown dtypes, more than four axes, and data that overlaps, leaves a hole or
/// has another size than its shape says. Source: the format section of github.com/huggingface/safetensors.
SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes, const std::string& file);

/// The header of such a file as text, padded with spaces to a multiple of eight bytes.
std::string safetensors_header_text(const SafetensorsHeader& header);

}  // namespace coe
