#include "launcher/bench/gemm_rate.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/memory/error.h"
#include "kernels/products/linear.h"
#include "launcher/bench/product_library.h"

namespace coe {
namespace {

void own_product(const Tensor& x, const Tensor& w, const Tensor& y) { linear(x, w, y); }

std::vector<ProductLibrary> libraries() {
  std::vector<ProductLibrary> all{{"linear", own_product}, onednn(), openblas()};
  std::erase_if(all, [](const ProductLibrary& one) { return one.product == nullptr; });
  return all;
}

}  // namespace

std::vector<std::string_view> gemm_ways() {
  std::vector<std::string_view> names;
  for (const ProductLibrary& one : libraries()) names.push_back(one.name);
  return names;
}

double time_gemm(std::string_view way, const Tensor& x, const Tensor& w, const Tensor& y) {
  expect_shape("time_gemm: w", w, {y.extent(1), x.extent(1)});
  expect_shape("time_gemm: y", y, {x.extent(0), w.extent(0)});
  const std::vector<ProductLibrary> all = libraries();
  const auto found = std::ranges::find(all, way, &ProductLibrary::name);
  check(found != all.end(), "time_gemm: way is ", way, ", must be one of gemm_ways()");
  const auto begin = std::chrono::steady_clock::now();
  found->product(x, w, y);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace coe
