#include "comm/mpi_blocks.h"

#include "comm/mpi_job.h"

namespace coe {

MpiMemory::MpiMemory(std::span<const MPI_Aint> addresses, std::span<const int> lengths) {
  if (addresses.size() == 1) {
    address_ = reinterpret_cast<void*>(addresses.front());
    count_ = lengths.front();
    return;
  }
  check_mpi(
      MPI_Type_create_hindexed(static_cast<int>(lengths.size()), lengths.data(), addresses.data(), MPI_BYTE, &type_),
      "MPI_Type_create_hindexed");
  check_mpi(MPI_Type_commit(&type_), "MPI_Type_commit");
}

MpiMemory::~MpiMemory() {
  if (type_ != MPI_BYTE) MPI_Type_free(&type_);
}

void MpiBlocks::add(std::byte* data, std::size_t bytes) {
  MPI_Aint address = 0;
  check_mpi(MPI_Get_address(data, &address), "MPI_Get_address");
  bytes_ += bytes;
  if (!addresses_.empty() && addresses_.back() + lengths_.back() == address) {
    lengths_.back() += static_cast<int>(bytes);
    return;
  }
  addresses_.push_back(address);
  lengths_.push_back(static_cast<int>(bytes));
}

void MpiBlocks::clear() {
  addresses_.clear();
  lengths_.clear();
  bytes_ = 0;
}

}  // namespace coe
