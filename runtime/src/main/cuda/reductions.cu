// Sums over dims, the sum of squares of many arrays, and the largest of each row.
#include "heddle.cuh"

// ---- the transpose of broadcasting

// What of an array is summed into one output, and what into different ones. The reduced positions
// are cut into `parts` of `length`, summed by blocks of their own; with one part the sum goes to y,
// else to partial[part, output], which heddle_reduction_parts adds up.
struct Plan {
  int64 outputs;
  int64 count;
  int64 parts;
  int64 length;
};

__device__ __forceinline__ void finish(const Plan& plan, int64 output, int64 part, Sum sum,
                                       Sum* partial, Real* y) {
  if (plan.parts == 1) {
    y[output] = narrow(sum);
  } else {
    partial[part * plan.outputs + output] = sum;
  }
}

// Where neighbours are summed: a block for each output and part.
ENTRY KERNEL(heddle_reduction_sum_inner)(Plan plan, Six kept, Six keptStrides, Six reduced,
                                         Six reducedStrides, const Real* x, Sum* partial,
                                         Real* y) {
  __shared__ Sum shared[32];
  int64 output = blockIdx.x;
  int64 part = blockIdx.y;
  unsigned indices[6];
  unravel(static_cast<unsigned>(output), kept, indices);
  x += offset(indices, keptStrides);
  int64 start = part * plan.length;
  int64 end = start + plan.length < plan.count ? start + plan.length : plan.count;
  Sum sum = 0;
#pragma unroll 1
  for (int64 i = start + threadIdx.x; i < end; i += blockDim.x) {
    unravel(static_cast<unsigned>(i), reduced, indices);
    sum += widen(x[offset(indices, reducedStrides)]);
  }
  sum = blockSum(sum, shared);
  if (threadIdx.x == 0) {
    finish(plan, output, part, sum, partial, y);
  }
}

const int LANES = 8;

// Where neighbours go to different outputs: 32 outputs by 8 lanes of the sum a block.
ENTRY KERNEL(heddle_reduction_sum_outer)(Plan plan, Six kept, Six keptStrides, Six reduced,
                                         Six reducedStrides, const Real* x, Sum* partial,
                                         Real* y) {
  __shared__ Sum shared[LANES][33];
  int64 output = static_cast<int64>(blockIdx.x) * 32 + threadIdx.x;
  int64 part = blockIdx.y;
  Sum sum = 0;
  if (output < plan.outputs) {
    unsigned indices[6];
    unravel(static_cast<unsigned>(output), kept, indices);
    x += offset(indices, keptStrides);
    int64 start = part * plan.length;
    int64 end = start + plan.length < plan.count ? start + plan.length : plan.count;
#pragma unroll 1
    for (int64 i = start + threadIdx.y; i < end; i += LANES) {
      unravel(static_cast<unsigned>(i), reduced, indices);
      sum += widen(x[offset(indices, reducedStrides)]);
    }
  }
  shared[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y == 0 && output < plan.outputs) {
#pragma unroll
    for (int i = 1; i < LANES; i++) {
      sum += shared[i][threadIdx.x];
    }
    finish(plan, output, part, sum, partial, y);
  }
}

// y[output] = the sum of partial[part, output] over the parts, in their order; no parts give 0.
ENTRY KERNEL(heddle_reduction_parts)(int64 parts, int64 outputs, const Sum* partial, Real* y) {
#pragma unroll 1
  for (int64 i = globalThread(); i < outputs; i += globalThreads()) {
    Sum sum = 0;
#pragma unroll 1
    for (int64 part = 0; part < parts; part++) {
      sum += partial[part * outputs + i];
    }
    y[i] = narrow(sum);
  }
}

// ---- the sum of squares

// One of many arrays, of which each has blocks of its own.
struct Array {
  int64 firstBlock;
  int64 size;
  const Real* values;
};

const int SQUARES_EACH = 16384;

// partial[block] = the sum of the squares of SQUARES_EACH elements of one of the arrays.
ENTRY KERNEL(heddle_reduction_squares)(int count, const Array* arrays, double* partial) {
  __shared__ double shared[32];
  int first = 0;
  int last = count - 1;
#pragma unroll 1
  while (first < last) {
    int middle = (first + last + 1) / 2;
    if (arrays[middle].firstBlock <= blockIdx.x) {
      first = middle;
    } else {
      last = middle - 1;
    }
  }
  int64 start = (blockIdx.x - arrays[first].firstBlock) * SQUARES_EACH;
  int64 rest = arrays[first].size - start;
  double sum = 0;
  eachOfRow(arrays[first].values + start, rest < SQUARES_EACH ? rest : SQUARES_EACH,
            [&](int64, Sum value) {
              double wide = value;
              sum += wide * wide;
            });
  sum = blockSum(sum, shared);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;
  }
}

// total = the sum of n values, by one block.
ENTRY KERNEL(heddle_reduction_total)(int64 n, const double* partial, double* total) {
  __shared__ double shared[32];
  double sum = 0;
#pragma unroll 1
  for (int64 i = threadIdx.x; i < n; i += blockDim.x) {
    sum += partial[i];
  }
  sum = blockSum(sum, shared);
  if (threadIdx.x == 0) {
    *total = sum;
  }
}

// ---- the largest of each row

struct Best {
  Sum value;
  int64 index;
};

__device__ __forceinline__ void take(Best& best, Sum value, int64 index) {
  if (value > best.value || (value == best.value && index < best.index)) {
    best.value = value;
    best.index = index;
  }
}

__device__ __forceinline__ void takeOfWarp(Best& best) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    Sum value = __shfl_xor_sync(0xffffffffu, best.value, distance);
    int64 index = __shfl_xor_sync(0xffffffffu, best.index, distance);
    take(best, value, index);
  }
}

// y[row] = the index of the first of the largest. A NaN is never larger, but in the first column it
// is never beaten: so the plain loop has it.
ENTRY KERNEL(heddle_reduction_argmax)(int64 rows, int64 columns, const Real* x, int64* y) {
  __shared__ Sum values[32];
  __shared__ int64 indices[32];
  int lane = threadIdx.x % 32;
  int warps = blockDim.x / 32;
#pragma unroll 1
  for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
    const Real* start = x + row * columns;
    Best best = {minusInfinity(Sum()), 0};
    eachOfRow(start, columns, [&](int64 i, Sum value) { take(best, value, i); });
    takeOfWarp(best);
    __syncthreads();
    if (lane == 0) {
      values[threadIdx.x / 32] = best.value;
      indices[threadIdx.x / 32] = best.index;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
#pragma unroll 1
      for (int i = 1; i < warps; i++) {
        take(best, values[i], indices[i]);
      }
      Sum first = widen(*start);
      y[row] = first != first ? 0 : best.index;
    }
  }
}
