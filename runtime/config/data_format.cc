#include "runtime/config/data_format.h"

namespace coe {

DataFormat format_of(const DataConfig& data, const std::filesystem::path& path) {
  if (data.format != DataFormat::kAuto) return data.format;
  if (path.empty()) return DataFormat::kMaths;
  if (path.extension() == ".jsonl") return DataFormat::kJsonl;
  return path.extension() == ".bin" ? DataFormat::kTokens : DataFormat::kText;
}

}  // namespace coe
