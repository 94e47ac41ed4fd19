#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <bit>

// What kernels/products/tensor_core.cuh says in instructions, by their fragments' layouts (PTX ISA, "Matrix Fragments
// for mma.m16n8k16", "ldmatrix").

namespace coe::cuda {

inline void copy_16(void* to, const void* from, int bytes) {
  std::memset(to, 0, 16);
  std::memcpy(to, from, static_cast<std::size_t>(bytes));
}
inline void copy_4(void* to, const void* from, int bytes) {
  std::memset(to, 0, 4);
  std::memcpy(to, from, static_cast<std::size_t>(bytes));
}
inline void commit_copies() {}
template <int kLeft>
void wait_for_copies() {}

/// Of four matrices the elements of which every lane gives the address of a row.
class Matrices {
 public:
  explicit Matrices(const __nv_bfloat16* row) {
    rows_[emulator::lane()] = reinterpret_cast<std::uintptr_t>(row);
    emulator::meet_warp();
  }
  /// All lanes have read before any goes on.
  ~Matrices() { emulator::meet_warp(); }
  Matrices(const Matrices&) = delete;
  Matrices& operator=(const Matrices&) = delete;

  unsigned element(int matrix, int row, int index) const {
    return reinterpret_cast<const __nv_bfloat16*>(rows_[matrix * 8 + row])[index].number.bits;
  }

 private:
  std::uint64_t* const rows_ = emulator::lanes();
};

inline void load_matrices(const __nv_bfloat16* row, unsigned (&to)[4]) {
  const Matrices all(row);
  const int line = static_cast<int>(emulator::lane()) / 4, pair = static_cast<int>(emulator::lane()) % 4 * 2;
  for (int m = 0; m < 4; ++m) to[m] = all.element(m, line, pair) | all.element(m, line, pair + 1) << 16;
}
inline void load_matrices_transposed(const __nv_bfloat16* row, unsigned (&to)[4]) {
  const Matrices all(row);
  const int line = static_cast<int>(emulator::lane()) / 4, pair = static_cast<int>(emulator::lane()) % 4 * 2;
  for (int m = 0; m < 4; ++m) to[m] = all.element(m, pair, line) | all.element(m, pair + 1, line) << 16;
}

/// sum [16, 8] += a [16, 16] b [16, 8]
inline void multiply_add(const unsigned (&a)[4], unsigned b0, unsigned b1, float (&sum)[4]) {
  struct Operands {
    float a[16][16], b[16][8];
  };
  static thread_local Operands warps[emulator::kMostThreads / emulator::kWarp];
  Operands& all = warps[threadIdx.x / emulator::kWarp];
  const unsigned line = emulator::lane() / 4, pair = emulator::lane() % 4 * 2;
  const auto half = [](unsigned both, unsigned i) {
    return to_float(Bf16{static_cast<std::uint16_t>(both >> (16 * i))});
  };
  for (unsigned i = 0; i < 2; ++i) {
    for (unsigned part = 0; part < 4; ++part) all.a[line + part % 2 * 8][pair + part / 2 * 8 + i] = half(a[part], i);
    all.b[pair + i][line] = half(b0, i);
    all.b[pair + 8 + i][line] = half(b1, i);
  }
  emulator::meet_warp();
  for (unsigned part = 0; part < 4; ++part) {
    for (unsigned k = 0; k < 16; ++k) sum[part] += all.a[line + part / 2 * 8][k] * all.b[k][pair + part % 2];
  }
  emulator::meet_warp();
}

inline int anew(int x) { return x; }

inline unsigned pack(float low, float high) {
  return to_bf16(low).bits | static_cast<unsigned>(to_bf16(high).bits) << 16;
}

inline float power_of_two(float x) { return std::exp2(x); }

}  // namespace coe::cuda
