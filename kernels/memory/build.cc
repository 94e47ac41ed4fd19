#include "kernels/memory/build.h"

namespace coe {
namespace {

std::string instructions_compiled_for() {
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512CD__) && defined(__AVX512DQ__) && \
    defined(__AVX512VL__)
  std::string name = "x86-64-v4";
#elif defined(__AVX2__) && defined(__FMA__)
  std::string name = "x86-64-v3";
#elif defined(__SSE4_2__)
  std::string name = "x86-64-v2";
#elif defined(__x86_64__)
  std::string name = "x86-64";
#elif defined(__ARM_FEATURE_SVE)
  std::string name = "aarch64 with SVE";
#else
  std::string name = "another";
#endif
#ifdef __AVX512BF16__
  name += " with bf16";
#endif
#ifdef __AMX_TILE__
  name += " with amx";
#endif
  return name;
}

std::string processor_here() {
#ifdef __x86_64__
  __builtin_cpu_init();
  const bool bf16 = __builtin_cpu_supports("avx512bf16");
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    return bf16 ? "x86-64-v4 with bf16" : "x86-64-v4";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "x86-64-v3";
  return __builtin_cpu_supports("sse4.2") ? "x86-64-v2" : "x86-64";
#else
  return instructions_compiled_for();
#endif
}

}  // namespace

const Build& build() {
  static const Build kBuild{COE_VERSION, COE_BUILD_TYPE, instructions_compiled_for(), processor_here()};
  return kBuild;
}

}  // namespace coe
