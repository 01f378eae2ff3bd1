// The sum of rows into rows, in the order of the entries: the transpose of the gather.
#include "rows.cuh"

const int THREADS = 256;
const int COLUMNS_EACH = 4;
const int WARPS = THREADS / 32;

// How many entries are searched between two looks at whether one was found.
const int SEARCH = 8 * THREADS;

// y[rows[i],:] += x[i,:] in the order of i. A block for each entry (x) and tile of columns (y): that
// of the first entry of a row adds up all entries of that row, the others end. So a sum has one
// writer and one order, rows that nobody names cost nothing, and no scratch is needed.
ENTRY KERNEL(heddle_scatter_add_rows)(int64 n, int64 columns, const Real* x, int64 xStride,
                                      const void* rows, int wide, Real* y, int64 yStride,
                                      int64 rowCount, RowFault* fault) {
  __shared__ unsigned matches[WARPS];
  int thread = threadIdx.x;
  int lane = thread % 32;
  int warp = thread / 32;
  int64 entry = blockIdx.x;
  int64 row = rowAt(rows, wide, entry);
  if (row >= rowCount && thread == 0 && blockIdx.y == 0) {
    reportRow(fault, 1, entry, row, rowCount);
  }
  if (row < 0 || row >= rowCount) {
    return;
  }

#pragma unroll 1
  for (int64 start = 0; start < entry; start += SEARCH) {
    bool earlier = false;
#pragma unroll 1
    for (int i = 0; i < SEARCH; i += THREADS) {
      int64 other = start + i + thread;
      earlier = earlier || (other < entry && rowAt(rows, wide, other) == row);
    }
    unsigned mask = __ballot_sync(0xffffffffu, earlier);
    if (lane == 0) {
      matches[warp] = mask;
    }
    __syncthreads();
    unsigned any = 0;
#pragma unroll
    for (int i = 0; i < WARPS; i++) {
      any |= matches[i];
    }
    if (any != 0) {
      return;
    }
    __syncthreads();
  }

  int64 column = static_cast<int64>(blockIdx.y) * (THREADS * COLUMNS_EACH) + thread;
  Real* to = y + row * yStride + column;
  const Real* from = x + column;
  Sum sums[COLUMNS_EACH];
#pragma unroll
  for (int j = 0; j < COLUMNS_EACH; j++) {
    sums[j] = column + j * THREADS < columns ? widen(to[j * THREADS]) : Sum(0);
  }
#pragma unroll 1
  for (int64 start = entry; start < n; start += THREADS) {
    int64 other = start + thread;
    unsigned mask =
        __ballot_sync(0xffffffffu, other < n && rowAt(rows, wide, other) == row);
    if (lane == 0) {
      matches[warp] = mask;
    }
    __syncthreads();
#pragma unroll 1
    for (int i = 0; i < WARPS; i++) {
      unsigned rest = matches[i];
#pragma unroll 1
      while (rest != 0) {
        const Real* source = from + (start + i * 32 + __ffs(rest) - 1) * xStride;
        rest &= rest - 1;
#pragma unroll
        for (int j = 0; j < COLUMNS_EACH; j++) {
          if (column + j * THREADS < columns) {
            sums[j] += widen(source[j * THREADS]);
          }
        }
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int j = 0; j < COLUMNS_EACH; j++) {
    if (column + j * THREADS < columns) {
      to[j * THREADS] = narrow(sums[j]);
    }
  }
}
