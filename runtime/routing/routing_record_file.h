#pragma once

#include <filesystem>

#include "runtime/routing/routing_record.h"

namespace coe {

/// What safetensors metadata calls the "format" of a routing record.
inline constexpr std::string_view kRoutingRecordFormat = "coe-routing-record";

/// Writes the record as safetensors, int64 tensors under the names of its members, the rest as metadata; the file
/// appears at once or not at all. Throws kSystem where the system refuses.
void write_routing_record(const std::filesystem::path& file, const RoutingRecord& record);

/// Reads it back and believes none of it: throws kBadInput, naming the file and the tensor, for another format or
/// version, missing or surplus tensors, shapes that differ from the metadata's, and counts that no routing makes.
RoutingRecord read_routing_record(const std::filesystem::path& file);

}  // namespace coe
