// Arrays of row numbers, and how a bad one reaches the host.
#pragma once
#include "heddle.cuh"

// The first row number found out of range, in memory that the host reads: no kernel stops and
// nobody waits for it. CudaRowFaults in Java reads it and throws.
struct RowFault {
  // 0 nothing, 1 being written, 2 there to read.
  unsigned state;
  // Which kernel found it: see CudaRowFaults.
  int kernel;
  int64 entry;
  int64 row;
  int64 rows;
};

__device__ __forceinline__ void reportRow(RowFault* fault, int kernel, int64 entry, int64 row,
                                          int64 rows) {
  if (atomicCAS(&fault->state, 0u, 1u) == 0u) {
    fault->kernel = kernel;
    fault->entry = entry;
    fault->row = row;
    fault->rows = rows;
    __threadfence_system();
    atomicExch(&fault->state, 2u);
  }
}

// Entry i of an I64 (wide) or I32 array.
__device__ __forceinline__ int64 rowAt(const void* rows, int wide, int64 i) {
  return wide ? static_cast<const int64*>(rows)[i] : static_cast<const int*>(rows)[i];
}
