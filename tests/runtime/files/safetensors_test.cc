#include "runtime/files/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>

#include "kernels/memory/error.h"
#include "tests/runtime/files/scratch_directory.h"

namespace coe {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

/// A file of exactly these parts, `length` written as its first eight bytes.
fs::path write_file(const fs::path& file, std::uint64_t length, const std::string& header, const std::string& data) {
  std::ofstream out(file, std::ios::binary);
  for (int byte = 0; byte < 8; ++byte) out.put(static_cast<char>(length >> (8 * byte)));
  out << header << data;
  return file;
}

std::string read_bytes(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string message_of(const auto& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Safetensors, ReadsBytesWrittenByHand) {
  const ScratchDirectory scratch;
  const std::string header = R"({"__metadata__":{"format":"pt"},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},)"
                             R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}} )";
  // 1.0F is 0x3f800000, -2.0F is 0xc0000000, least significant byte first.
  const std::string data("\x00\x00\x80\x3f\x00\x00\x00\xc0\x05\x06\x07", 11);
  const SafetensorsFile file(write_file(scratch / "x.safetensors", header.size(), header, data));
  EXPECT_THAT(file.names(), testing::ElementsAre("a", "b"));
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.tensor("a").shape(), (Shape{2, 1}));
  EXPECT_THAT(file.tensor("a").span<float>(), testing::ElementsAre(1.0F, -2.0F));
  EXPECT_THAT(file.tensor("b").span<std::uint8_t>(), testing::ElementsAre(5, 6, 7));
  EXPECT_TRUE(file.contains("a"));
  EXPECT_FALSE(file.contains("c"));
  EXPECT_THAT(message_of([&] { file.tensor("c"); }), HasSubstr("has no tensor c"));
}

TEST(Safetensors, TensorsThatLieAskewAreReadableAllTheSame) {
  const ScratchDirectory scratch;
  const std::string header =
      R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"F32","shape":[],"data_offsets":[1,5]}})";
  const SafetensorsFile file(
      write_file(scratch / "x.safetensors", header.size(), header, std::string("\x05\x00\x00\x80\x3f", 5)));
  EXPECT_THAT(file.tensor("a").span<float>(), testing::ElementsAre(1.0F));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file.tensor("a").raw()) % 4, 0U);
}

TEST(Safetensors, WritesTheBytesOfTheFormat) {
  const ScratchDirectory scratch;
  std::int32_t numbers[] = {1, -1};
  write_safetensors(scratch / "x.safetensors", {{"k", "v"}}, {{"n", Tensor(numbers, DType::kI32, {1, 2})}});
  std::string header = R"({"__metadata__":{"k":"v"},"n":{"dtype":"I32","shape":[1,2],"data_offsets":[0,8]}})";
  ASSERT_EQ(header.size(), 81U);  // hence seven spaces up to a multiple of eight
  header += "       ";
  const std::string length("\x58\0\0\0\0\0\0\0", 8), data("\1\0\0\0\xff\xff\xff\xff", 8);
  EXPECT_EQ(read_bytes(scratch / "x.safetensors"), length + header + data);
}

TEST(Safetensors, ReadBackWhatWasWritten) {
  const ScratchDirectory scratch;
  std::uint8_t bytes[] = {1, 2, 3};
  std::uint16_t halves[] = {65535};
  float floats[] = {1.5F, -0.0F, 3e-40F, 4.0F};
  double doubles[] = {0.1};
  std::int64_t longs[] = {INT64_MIN, INT64_MAX};
  const std::map<std::string, std::string> metadata = {{"config", R"({"a": "ü\n"})"}, {"format", "x"}};
  const SafetensorsDigest digest = write_safetensors(scratch / "x.safetensors", metadata,
                                                     {{"bytes", Tensor(bytes, DType::kU8, {3})},
                                                      {"halves", Tensor(halves, DType::kU16, {1})},
                                                      {"floats", Tensor(floats, DType::kF32, {2, 1, 2, 1})},
                                                      {"nothing", Tensor(nullptr, DType::kF32, {0, 4})},
                                                      {"scalar", Tensor(doubles, DType::kF64, Shape{})},
                                                      {"longs", Tensor(longs, DType::kI64, {2})}});
  const SafetensorsFile file(scratch / "x.safetensors");
  EXPECT_EQ(file.metadata(), metadata);
  EXPECT_EQ(file.names().size(), 6U);
  EXPECT_THAT(file.tensor("bytes").span<std::uint8_t>(), testing::ElementsAreArray(bytes));
  EXPECT_THAT(file.tensor("halves").span<std::uint16_t>(), testing::ElementsAreArray(halves));
  EXPECT_EQ(file.tensor("floats").shape(), (Shape{2, 1, 2, 1}));
  EXPECT_EQ(std::memcmp(file.tensor("floats").raw(), floats, sizeof floats), 0);
  EXPECT_EQ(file.tensor("nothing").shape(), (Shape{0, 4}));
  EXPECT_THAT(file.tensor("scalar").span<double>(), testing::ElementsAre(0.1));
  EXPECT_THAT(file.tensor("longs").span<std::int64_t>(), testing::ElementsAreArray(longs));
  EXPECT_EQ(digest.bytes, fs::file_size(scratch / "x.safetensors"));
  EXPECT_EQ(digest.tensors.size(), 6U);
  file.require_header(digest);
  for (const std::string& name : file.names()) file.require_tensor(digest, name);
}

TEST(Safetensors, EveryFlippedBitIsFoundAndPlaced) {
  const ScratchDirectory scratch;
  const fs::path path = scratch / "x.safetensors";
  std::uint8_t ones[] = {1, 2, 3, 4, 5};
  const SafetensorsDigest digest =
      write_safetensors(path, {}, {{"a", Tensor(ones, DType::kU8, {2})}, {"b", Tensor(ones + 2, DType::kU8, {3})}});
  const std::string whole = read_bytes(path);
  const std::size_t data = whole.size() - 5;
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    std::ofstream(path, std::ios::binary) << flipped;
    const std::string message = message_of([&] {
      const SafetensorsFile file(path);
      file.require_header(digest);
      for (const std::string& name : file.names()) file.require_tensor(digest, name);
    });
    ASSERT_THAT(message, testing::StartsWith(path.string() + ": ")) << "bit " << bit;
    if (bit / 8 < data) continue;
    ASSERT_THAT(message, HasSubstr(bit / 8 < data + 2 ? "tensor \"a\"" : "tensor \"b\""));
  }
}

TEST(Safetensors, AFileWithoutTensorsIsLegal) {
  const ScratchDirectory scratch;
  write_safetensors(scratch / "x.safetensors", {}, {});
  EXPECT_TRUE(SafetensorsFile(scratch / "x.safetensors").names().empty());
}

TEST(Safetensors, NothingButTheFileItselfStaysBeside) {
  const ScratchDirectory scratch;
  std::uint8_t byte[] = {1};
  write_safetensors(scratch / "x.safetensors", {}, {{"w", Tensor(byte, DType::kU8, {1})}});
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path()), fs::directory_iterator()), 1);
}

TEST(Safetensors, RefusesToWriteWhereItCannot) {
  const ScratchDirectory scratch;
  try {
    write_safetensors(scratch / "missing" / "x.safetensors", {}, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSystem);
    EXPECT_THAT(error.what(), HasSubstr("x.safetensors: cannot be written: No such file or directory"));
  }
}

TEST(Safetensors, RefusesToWriteANameTwice) {
  const ScratchDirectory scratch;
  std::uint8_t byte[] = {1};
  const Tensor tensor(byte, DType::kU8, {1});
  EXPECT_THROW(write_safetensors(scratch / "x", {}, {{"w", tensor}, {"w", tensor}}), Error);
  EXPECT_FALSE(fs::exists(scratch / "x"));
}

TEST(Safetensors, RefusesWhatIsNoReadableFile) {
  const ScratchDirectory scratch;
  EXPECT_THAT(message_of([&] { SafetensorsFile{scratch / "x"}; }), HasSubstr("cannot be read: No such file"));
  EXPECT_THAT(message_of([&] { SafetensorsFile{scratch.path()}; }), HasSubstr("not a regular file"));
  std::ofstream(scratch / "empty").put('x').flush();
  EXPECT_THAT(message_of([&] { SafetensorsFile{scratch / "empty"}; }), HasSubstr("1 bytes"));
}

TEST(Safetensors, RefusesAWrongHeaderLength) {
  const ScratchDirectory scratch;
  const fs::path longer = write_file(scratch / "longer", 3, "{}", "");
  EXPECT_THAT(message_of([&] { SafetensorsFile{longer}; }), HasSubstr("header has 3 bytes, the file has 2"));
  const fs::path huge = write_file(scratch / "huge", UINT64_MAX, "{}", "");
  EXPECT_THAT(message_of([&] { SafetensorsFile{huge}; }), HasSubstr("not a safetensors file"));
}

TEST(Safetensors, OpensTheCarriedCases) {
  const fs::path cases = fs::path(COE_SOURCE_DIR) / "tests/cases";
  int opened = 0;
  for (const auto& entry : fs::directory_iterator(cases)) {
    if (entry.path().extension() != ".safetensors") continue;
    const SafetensorsFile file(entry.path());
    EXPECT_TRUE(file.metadata().contains("config")) << entry.path();
    EXPECT_FALSE(file.names().empty()) << entry.path();
    ++opened;
  }
  EXPECT_GT(opened, 0);
}

}  // namespace
}  // namespace coe
