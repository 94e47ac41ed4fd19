#pragma once

#include "kernels/memory/bf16.h"

struct __nv_bfloat16 {
  coe::Bf16 number;
  __nv_bfloat16() = default;
  explicit __nv_bfloat16(float x) : number(coe::to_bf16(x)) {}
};

inline float __bfloat162float(__nv_bfloat16 x) { return coe::to_float(x.number); }
inline __nv_bfloat16 __float2bfloat16(float x) { return __nv_bfloat16(x); }
