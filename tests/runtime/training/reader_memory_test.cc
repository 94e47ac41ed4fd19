#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "runtime/data/jsonl_file.h"
#include "runtime/files/checksum.h"
#include "runtime/files/safetensors.h"
#include "runtime/training/checkpoint_manifest.h"
#include "tests/bad_input.h"
#include "tests/largest_allocation.h"
#include "tests/runtime/files/temporary_file.h"

namespace coe {
namespace {

using Reader = std::function<void(const TemporaryFile&)>;

/// Has a file refused; no piece of memory may be larger than it, but for a few KiB.
void expect_refused_in_its_own_size(const std::string& bytes, const Reader& read) {
  constexpr std::size_t kFew = 8192, kCacheLine = 64;
  const TemporaryFile file(".bad", bytes);
  std::size_t largest = 0;
  const std::string message = bad_input([&] {
    const LargestAllocation watch;
    try {
      read(file);
    } catch (...) {
      largest = watch.bytes();
      throw;
    }
  });
  // One more ends a string of the file's size, and buffers are made of whole cache lines.
  const std::size_t whole = (bytes.size() / kCacheLine + 1) * kCacheLine;
  EXPECT_LE(largest, std::max(kFew, whole)) << message;
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

constexpr int kMany = 20'000;
/// JSON whose tree is much larger than its text.
const std::vector<std::string> kWide = {"[" + repeated("0,", kMany) + "0]",
                                        "[" + repeated("{},", kMany) + "0]",
                                        "{\"x\":[" + repeated("1e3,", kMany) + "0]}",
                                        "\"" + repeated("\\n", kMany) + "\"",
                                        repeated("[", kMany),
                                        "{\"" + repeated("k", kMany) + "\":{\"" + repeated("k", kMany) + "\":0}}"};

TEST(ReaderMemory, SafetensorsAreReadInTheFilesOwnSize) {
  const Reader read = [](const TemporaryFile& file) { SafetensorsFile{file.path()}; };
  std::vector<std::string> headers = kWide;
  // What a header claims takes no memory.
  headers.push_back(R"({"a":{"dtype":"F64","shape":[1099511627776],"data_offsets":[0,8796093022208]}})");
  // Tensors of no bytes are many in little text.
  std::string many = "{";
  for (int i = 0; i < kMany; ++i) {
    many += fmt::format(R"("{}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}},)", i);
  }
  headers.push_back(many + R"("x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})");
  for (const std::string& header : headers) {
    std::string length(8, '\0');
    for (std::size_t byte = 0; byte < 8; ++byte) length[byte] = static_cast<char>(header.size() >> (8 * byte));
    expect_refused_in_its_own_size(length + header, read);
  }
  expect_refused_in_its_own_size(std::string("\xff\xff\xff\x05\0\0\0\0{}", 10), read);
}

TEST(ReaderMemory, JsonlIsReadInTheFilesOwnSize) {
  DataConfig data;
  data.fields = {"question"};
  for (const std::string& line : kWide) {
    expect_refused_in_its_own_size("{\"question\":\"q\"}\n" + line + "\n",
                                   [&](const TemporaryFile& file) { open_jsonl_file(file.path(), data, 256); });
  }
}

TEST(ReaderMemory, AManifestIsReadInItsOwnSize) {
  for (const std::string& model : kWide) {
    const std::string body = R"({"format":"coe-checkpoint-2","model":)" + model;
    const std::string text =
        fmt::format("{},\"checksum\":\"{:016x}\"}}\n", body, checksum_of(std::as_bytes(std::span(body))));
    expect_refused_in_its_own_size(text, [&](const TemporaryFile& file) { parse_manifest(text, file.path()); });
  }
}

}  // namespace
}  // namespace coe
