#include <fmt/format.h>

#include <optional>

#include "runtime/files/checksum.h"
#include "runtime/training/checkpoint_manifest.h"
#include "tests/fuzz/fuzzing.h"

namespace coe {
namespace {

void read(const std::string& text) {
  std::optional<CheckpointManifest> manifest;
  expect_read_or_refused(text.size(), [&] { manifest = parse_manifest(text, "fuzz.json"); });
  if (!manifest) return;
  expect(!is_damaged_manifest(text), "what is accepted is whole");
  expect(parse_manifest(manifest_text(*manifest), "again.json") == *manifest, "what is accepted comes back");
  for (const Shard& shard : manifest->shards) {
    expect(shard.file.find('/') == std::string::npos && !shard.file.empty(), "shards are plain files");
  }
}

/// With the checksum without which nothing is read.
std::string sealed(std::string_view body) {
  const std::uint64_t sum = checksum_of(std::as_bytes(std::span(body)));
  return fmt::format("{},\"checksum\":\"{:016x}\"}}\n", body, sum);
}

}  // namespace
}  // namespace coe

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  coe::read(std::string(coe::text_of(data, size)));
  coe::read(coe::sealed(coe::text_of(data, size)));
  return 0;
}
