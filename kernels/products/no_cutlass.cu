#include "kernels/products/grouped_product.cuh"

// Stands in for product_hopper.cu where CUTLASS is not installed: product_bf16.cu then does all.

namespace coe::cuda {

bool hopper_takes(const GroupedProduct& /*product*/, const Stream& /*stream*/) { return false; }

std::int64_t hopper_workspace_bytes(std::int64_t /*groups*/) { return 0; }

void product_hopper(Wanted /*wanted*/, const GroupedProduct& /*product*/, std::byte* /*workspace*/,
                    const Stream& /*stream*/) {
  fail(ErrorCode::kInternal, "product: this build has no CUTLASS");
}

}  // namespace coe::cuda
