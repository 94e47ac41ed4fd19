#include "runtime/files/safetensors.h"

#include <cstring>

#include "tests/fuzz/fuzzing.h"

namespace coe {
namespace {

/// A file whose first eight bytes say where its header ends: at the first zero byte.
std::string with_length(std::string_view input) {
  const std::uint64_t length = std::min(input.size(), input.find('\0'));
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file.append(input.substr(0, length)).append(input.substr(std::min(input.size(), length + 1)));
}

void expect_promises(const SafetensorsFile& file, std::size_t bytes) {
  std::size_t data = 0;
  unsigned sum = 0;
  for (const std::string& name : file.names()) {
    const Tensor tensor = file.tensor(name);
    expect(file.contains(name), "it has what it names");
    expect(tensor.elements() >= 0 && tensor.bytes() <= bytes, "a tensor is smaller than the file");
    const auto place = reinterpret_cast<std::uintptr_t>(tensor.raw());
    expect(tensor.bytes() == 0 || place % size_of(tensor.dtype()) == 0, "a tensor is aligned");
    for (std::size_t i = 0; i < tensor.bytes(); ++i) sum += std::to_integer<unsigned>(tensor.raw()[i]);
    data += tensor.bytes();
  }
  expect(data + 8 <= bytes && sum <= 255 * data, "tensors do not overlap");
}

void read(std::string_view bytes) {
  const MemoryFile file(bytes);
  expect_read_or_refused(bytes.size(), [&] { expect_promises(SafetensorsFile(file.path()), bytes.size()); });
}

}  // namespace
}  // namespace coe

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  coe::read(coe::text_of(data, size));
  coe::read(coe::with_length(coe::text_of(data, size)));
  return 0;
}
