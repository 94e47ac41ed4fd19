#include <cutlass/bfloat16.h>
#include <cutlass/cutlass.h>
#include <cutlass/gemm/device/gemm_universal_adapter.h>
#include <cutlass/epilogue/collective/collective_builder.hpp>
#include <cutlass/epilogue/dispatch_policy.hpp>
#include <cutlass/gemm/collective/collective_builder.hpp>
#include <cutlass/gemm/dispatch_policy.hpp>
#include <cutlass/gemm/group_array_problem_shape.hpp>
#include <cutlass/gemm/kernel/gemm_universal.hpp>

#include "kernels/products/grouped_product.cuh"

// Tensor memory accelerator and warp-group products of sm_90a, through CUTLASS's grouped kernel: it reads the extents
// and addresses of every group on the device, where a kernel of one block puts them.

namespace coe::cuda {
namespace {

using cutlass::layout::ColumnMajor;
using cutlass::layout::RowMajor;
using Bfloat = cutlass::bfloat16_t;
using Extents = cute::Shape<int, int, int>;

constexpr int kThreads = 128, kAlignment = 8;
constexpr std::int64_t kArrays = 8, kGroupBytes = 16 * kArrays, kKernelBytes = 1 << 20;

template <class LeftLayout, class RightLayout, class Added, class Out>
struct Grouped {
  using Tile = cute::Shape<cute::_128, cute::_256, cute::_64>;
  using Cluster = cute::Shape<cute::_2, cute::_1, cute::_1>;
  using Sm90 = cutlass::arch::Sm90;
  using TensorOp = cutlass::arch::OpClassTensorOp;
  static constexpr int kOutAlignment = 16 / static_cast<int>(sizeof(Out));
  using Epilogue = typename cutlass::epilogue::collective::CollectiveBuilder<
      Sm90, TensorOp, Tile, Cluster, cutlass::epilogue::collective::EpilogueTileAuto, float, float, Added, RowMajor*,
      kOutAlignment, Out, RowMajor*, kOutAlignment,
      cutlass::epilogue::PtrArrayTmaWarpSpecializedCooperative>::CollectiveOp;
  using Mainloop = typename cutlass::gemm::collective::CollectiveBuilder<
      Sm90, TensorOp, Bfloat, LeftLayout*, kAlignment, Bfloat, RightLayout*, kAlignment, float, Tile, Cluster,
      cutlass::gemm::collective::StageCountAutoCarveout<static_cast<int>(sizeof(typename Epilogue::SharedStorage))>,
      cutlass::gemm::KernelPtrArrayTmaWarpSpecializedCooperative>::CollectiveOp;
  using Kernel = cutlass::gemm::kernel::GemmUniversal<cutlass::gemm::GroupProblemShape<Extents>, Mainloop, Epilogue>;
  using Gemm = cutlass::gemm::device::GemmUniversalAdapter<Kernel>;
};

/// What the kernel reads of each group; arrays in the workspace.
template <class G, class Out>
struct Groups {
  Extents* extents;
  const Bfloat **left, **right;
  Out** out;
  typename G::Kernel::InternalStrideA* left_stride;
  typename G::Kernel::InternalStrideB* right_stride;
  typename G::Kernel::InternalStrideD* out_stride;
};

/// An operand's stride where its contiguous index is the second (row-major) or the first.
template <class Stride>
__device__ Stride stride_of(std::int64_t width) {
  Stride stride{};
  if constexpr (cute::is_static<cute::tuple_element_t<1, Stride>>::value) {
    cute::get<0>(stride) = width;
  } else {
    cute::get<1>(stride) = width;
  }
  return stride;
}

template <Wanted kWanted, class G, class Out>
__global__ void describe_kernel(GroupedProduct product, Groups<G, Out> groups) {
  const int g = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (g >= product.groups) return;
  const std::int64_t first = product.begin(g), rows = product.begin(g + 1) - first;
  const int n = static_cast<int>(product.n), k = static_cast<int>(product.k), m = static_cast<int>(rows);
  constexpr bool kOutput = kWanted == Wanted::kOutput, kWeight = kWanted == Wanted::kWeightGradient;
  // A group without rows has no tile: in the weight gradient it would sum over nothing.
  groups.extents[g] = m == 0    ? Extents{0, 0, 0}
                      : kWeight ? Extents{n, k, m}
                      : kOutput ? Extents{m, n, k}
                                : Extents{m, k, n};
  const std::int64_t weights = g * product.n * product.k, outputs = first * product.n, inputs = first * product.k;
  groups.left[g] = static_cast<const Bfloat*>(product.left) + (kOutput ? inputs : outputs);
  groups.right[g] = static_cast<const Bfloat*>(product.right) + (kWeight ? inputs : weights);
  groups.out[g] = static_cast<Out*>(product.out) + (kWeight ? weights : kOutput ? outputs : inputs);
  groups.left_stride[g] = stride_of<typename G::Kernel::InternalStrideA>(kOutput ? k : n);
  groups.right_stride[g] = stride_of<typename G::Kernel::InternalStrideB>(k);
  groups.out_stride[g] = stride_of<typename G::Kernel::InternalStrideD>(kOutput ? n : k);
}

void expect_done(cutlass::Status status) {
  if (status != cutlass::Status::kSuccess) {
    fail(ErrorCode::kSystem, "cuda: product: CUTLASS says ", cutlass::cutlassGetStatusString(status));
  }
}

template <Wanted kWanted, class LeftLayout, class RightLayout, class Added, class Out>
void run(const GroupedProduct& product, std::byte* workspace, const Stream& stream) {
  using G = Grouped<LeftLayout, RightLayout, Added, Out>;
  const auto array = [&](int index) { return workspace + kKernelBytes + index * 16 * product.groups; };
  const Groups<G, Out> groups{reinterpret_cast<Extents*>(array(0)),
                              reinterpret_cast<const Bfloat**>(array(1)),
                              reinterpret_cast<const Bfloat**>(array(2)),
                              reinterpret_cast<Out**>(array(3)),
                              reinterpret_cast<typename G::Kernel::InternalStrideA*>(array(4)),
                              reinterpret_cast<typename G::Kernel::InternalStrideB*>(array(5)),
                              reinterpret_cast<typename G::Kernel::InternalStrideD*>(array(6))};
  launch("product", describe_kernel<kWanted, G, Out>, {(product.groups + kThreads - 1) / kThreads, kThreads}, stream,
         product, groups);

  typename G::Gemm::Arguments arguments{};
  arguments.mode = cutlass::gemm::GemmUniversalMode::kGrouped;
  arguments.problem_shape = {static_cast<int>(product.groups), groups.extents, nullptr};
  arguments.mainloop = {groups.left, groups.left_stride, groups.right, groups.right_stride};
  arguments.epilogue.thread.alpha = 1.0F;
  arguments.epilogue.thread.beta = product.beta;
  arguments.epilogue.ptr_D = groups.out;
  arguments.epilogue.dD = groups.out_stride;
  if constexpr (!std::is_void_v<Added>) {
    arguments.epilogue.ptr_C = const_cast<const Added**>(groups.out);
    arguments.epilogue.dC = groups.out_stride;
  }
  arguments.hw_info.device_id = stream.device().index;
  int processors = 0;
  expect_success("product", cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, stream.device().index));
  arguments.hw_info.sm_count = processors;
  if (G::Gemm::get_workspace_size(arguments) > static_cast<std::size_t>(kKernelBytes)) {
    fail(ErrorCode::kInternal, "product: CUTLASS wants more than ", kKernelBytes, " bytes");
  }
  typename G::Gemm gemm;
  expect_done(gemm.initialize(arguments, workspace, use("product", stream)));
  expect_done(gemm.run(use("product", stream)));
}

}  // namespace

std::int64_t hopper_workspace_bytes(std::int64_t groups) { return kKernelBytes + groups * kGroupBytes; }

bool hopper_takes(const GroupedProduct& product, const Stream& stream) {
  int major = 0;
  expect_success("product", cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, stream.device().index));
  const auto aligned = [](const void* memory) { return reinterpret_cast<std::uintptr_t>(memory) % 16 == 0; };
  return major == 9 && product.n % kAlignment == 0 && product.k % kAlignment == 0 && product.rows > 0 &&
         aligned(product.left) && aligned(product.right) && aligned(product.out);
}

void product_hopper(Wanted wanted, const GroupedProduct& product, std::byte* workspace, const Stream& stream) {
  switch (wanted) {
    case Wanted::kOutput: return run<Wanted::kOutput, RowMajor, ColumnMajor, void, Bfloat>(product, workspace, stream);
    case Wanted::kInputGradient:
      if (product.beta == 0) {
        return run<Wanted::kInputGradient, RowMajor, RowMajor, void, Bfloat>(product, workspace, stream);
      }
      return run<Wanted::kInputGradient, RowMajor, RowMajor, Bfloat, Bfloat>(product, workspace, stream);
    case Wanted::kWeightGradient:
      return run<Wanted::kWeightGradient, ColumnMajor, RowMajor, float, float>(product, workspace, stream);
  }
}

}  // namespace coe::cuda
