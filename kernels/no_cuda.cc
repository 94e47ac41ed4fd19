// Stands in for every .cu file where there is no CUDA.

#include "kernels/decoder/adamw.h"
#include "kernels/decoder/attention.h"
#include "kernels/decoder/cross_entropy.h"
#include "kernels/decoder/embedding.h"
#include "kernels/decoder/rms_norm.h"
#include "kernels/decoder/rope.h"
#include "kernels/memory/copy.h"
#include "kernels/memory/device.h"
#include "kernels/memory/device_calls.h"
#include "kernels/memory/error.h"
#include "kernels/memory/sum_parts.h"
#include "kernels/products/grouped_gemm.h"
#include "kernels/products/linear.h"
#include "kernels/products/swiglu.h"
#include "kernels/routing/balance_loss.h"
#include "kernels/routing/buckets.h"
#include "kernels/routing/grants.h"
#include "kernels/routing/reroute.h"
#include "kernels/routing/route.h"
#include "kernels/routing/router_noise.h"
#include "kernels/routing/router_product.h"
#include "kernels/routing/rows.h"
#include "kernels/routing/segments.h"
#include "kernels/routing/tally.h"

namespace coe {

int cuda_devices() { return 0; }

namespace {

[[noreturn]] void no_cuda() {
  fail(ErrorCode::kBadInput, "device cuda: this build has no CUDA: build it with -DCOE_CUDA=ON where nvcc is");
}

}  // namespace

std::string cuda_device_name(int /*index*/) { no_cuda(); }
std::string cuda_device_address(int /*index*/) { no_cuda(); }

namespace cuda {

std::byte* allocate(std::size_t, int) { no_cuda(); }
void release(std::byte*, int) noexcept {}
std::byte* allocate_pinned(std::size_t, int) { no_cuda(); }
void release_pinned(std::byte*) noexcept {}
void* make_stream(int) { no_cuda(); }
void destroy_stream(void*, int) noexcept {}
bool stream_done(void*) { no_cuda(); }
void* make_event(int) { no_cuda(); }
void destroy_event(void*, int) noexcept {}
void record_event(void*, void*, int) { no_cuda(); }
void hold_stream(void*, void*, int) { no_cuda(); }
bool event_done(void*) { no_cuda(); }
double seconds_between(void*, void*) { no_cuda(); }
std::byte* allocate_shared(std::size_t, int, int&) { no_cuda(); }
std::byte* map_shared(int, std::size_t, int) { no_cuda(); }
void unmap_shared(std::byte*, std::size_t, int) noexcept {}
void write_number(void*, std::byte*, std::uint32_t, int) { no_cuda(); }
void await_number(void*, std::byte*, std::uint32_t, int) { no_cuda(); }

void push_range(const char*) noexcept {}
void pop_range() noexcept {}

void begin_capture(void*, int) { no_cuda(); }
void* end_capture(void*, int) { no_cuda(); }
void launch_graph(void*, void*, int) { no_cuda(); }
void destroy_graph(void*) noexcept {}

void copy(const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void write(std::span<const std::int64_t>, const Tensor&, const Stream&) { no_cuda(); }
void clear(const Tensor&, const Stream&) { no_cuda(); }
void fill(const Tensor&, float, const Stream&) { no_cuda(); }
void cast(const Tensor&, const Tensor&, const Stream&) { no_cuda(); }

std::int64_t linear_workspace_bytes(std::int64_t, std::int64_t, std::int64_t) { no_cuda(); }
void linear(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void linear_input_gradient(const Tensor&, const Tensor&, float, const Tensor&, const Tensor&, const Stream&) {
  no_cuda();
}
void linear_weight_gradient(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }

std::int64_t grouped_workspace_bytes(std::int64_t) { no_cuda(); }
void grouped_linear(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Stream&) {
  no_cuda();
}
void grouped_linear_input_gradient(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                   const Stream&) {
  no_cuda();
}
void grouped_linear_weight_gradient(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                    const Stream&) {
  no_cuda();
}

void attention(const Tensor&, const Tensor&, const Tensor&, const DocumentRows&, int, const Tensor&, const Tensor&,
               const Stream&) {
  no_cuda();
}
void attention_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const DocumentRows&,
                        int, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Stream&) {
  no_cuda();
}

void rms_norm(const Tensor&, const Tensor&, float, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void rms_norm_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                       const Tensor&, const Stream&) {
  no_cuda();
}

std::int64_t embedding_workspace_bytes(std::int64_t, std::int64_t) { no_cuda(); }
void embedding(const Tensor&, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void embedding_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void rope(const Tensor&, int, const Tensor&, const Tensor&, const Tensor&, bool, const Stream&) { no_cuda(); }
void cross_entropy(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void cross_entropy_backward(const Tensor&, const Tensor&, float, const Tensor&, const Tensor&, const Tensor&,
                            const Stream&) {
  no_cuda();
}
void adamw(const AdamWFactors&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
           const Tensor&, const Tensor&, const Stream&) {
  no_cuda();
}
void sum_of_squares(const Tensor&, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }

void gather_rows(const Tensor&, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void add(const Tensor&, float, const Tensor&, const Stream&) { no_cuda(); }
void scatter_rows(const Tensor&, const Tensor&, const RowPlaces&, const RowBlocks&, const Stream&) { no_cuda(); }
void combine_rows(const RowBlocks&, const RowPlaces&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                  const Tensor&, const Stream&) {
  no_cuda();
}
void clear_runs_of_rows(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void collect_scalars(const RowBlocks&, const RowPlaces&, const Tensor&, const Stream&) { no_cuda(); }

void swiglu(const Tensor&, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void swiglu_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                     const Tensor&, const Stream&) {
  no_cuda();
}

void route_topk(const Tensor&, const Tensor&, const TopkRule&, const TopkScores&, const DeviceChoices&, const Tensor&,
                const Stream&) {
  no_cuda();
}
void route_topk_backward(const TopkScores&, const DeviceChoices&, const TopkRule&, const Tensor&, const Tensor&, float,
                         const Tensor&, const Stream&) {
  no_cuda();
}
void route_relu(const Tensor&, const Tensor&, const DeviceChoices&, const Tensor&, const Stream&) { no_cuda(); }
void route_relu_backward(const DeviceChoices&, const Tensor&, const Tensor&, const Tensor&, const Stream&) {
  no_cuda();
}
void scale_counts(const Tensor&, double, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void add_balance_loss(const TopkScores&, const Tensor&, float, const Tensor&, const Tensor&, const Stream&) {
  no_cuda();
}

void jitter(const Tensor&, const TokenDraw&, float, const Tensor&, const Stream&) { no_cuda(); }
void jitter_backward(const Tensor&, const TokenDraw&, float, const Tensor&, const Stream&) { no_cuda(); }
void add_router_noise(const Tensor&, const Tensor&, const TokenDraw&, const Stream&) { no_cuda(); }
void router_noise_backward(const Tensor&, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void split_halves(const Tensor&, std::int64_t, const Tensor&, const Stream&) { no_cuda(); }
void add_halves(const Tensor&, float, const Tensor&, const Stream&) { no_cuda(); }

void sum_parts(const Tensor&, std::int64_t, const Tensor&, const Stream&) { no_cuda(); }

void tally(const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void tally_rerouted(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }

void count_buckets(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void scan_buckets(const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void sum_sources(const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void place_buckets(const Tensor&, const Holders&, int, std::int64_t, const BucketPlaces&, const Stream&,
                   const HolderRoom&) {
  no_cuda();
}
void scatter_buckets(const Tensor&, const Tensor&, const Tensor&, const Holders&, const BucketPlaces&, const RowPlaces&,
                     const Stream&) {
  no_cuda();
}
void place_segments(const Tensor&, const Holders&, int, std::int64_t, const Tensor&, const Tensor&, const Stream&) {
  no_cuda();
}
void size_messages(const Tensor&, const Holders&, int, const Tensor&, const Stream&) { no_cuda(); }
void gather_segments(const Tensor&, const SegmentRows&, const SegmentRows&, const Stream&) { no_cuda(); }
void scatter_segments(const Tensor&, const SegmentRows&, const SegmentRows&, const Stream&) { no_cuda(); }

void list_scores(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void grant_by_position(const Tensor&, int, std::int32_t, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }
void grant_by_score(const Tensor&, const Tensor&, int, std::int32_t, const Tensor&, const Tensor&, const Stream&) {
  no_cuda();
}
void mark_kept(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Stream&) { no_cuda(); }

void ask_next_best(const Tensor&, const Tensor&, const TopkRule&, const DeviceChoices&, const Tensor&, bool,
                   const Standbys&, const Stream&) {
  no_cuda();
}
void merge_standbys(const Tensor&, const TopkRule&, const DeviceChoices&, const Tensor&, const Standbys&,
                    const DeviceChoices&, const Tensor&, const Stream&) {
  no_cuda();
}

}  // namespace cuda
}  // namespace coe
