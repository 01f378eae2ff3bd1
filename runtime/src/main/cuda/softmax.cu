// Softmax and cross-entropy by rows, a block each: their forwards read a row once for the largest
// value and the sum of exponentials together.
#include "rows.cuh"

// The largest value seen and Σ exp(value - largest).
struct LogSum {
  Sum largest;
  Sum sum;
};

__device__ __forceinline__ LogSum nothing() { return {minusInfinity(Sum()), Sum(0)}; }

__device__ __forceinline__ void take(LogSum& all, Sum value) {
  if (value > all.largest) {
    // value - value is 0, or NaN for an infinity: exp(inf - inf) of the plain form.
    all.sum = all.sum * exponential(all.largest - value) + (value - value + Sum(1));
    all.largest = value;
  } else if (value != minusInfinity(Sum())) {
    all.sum += exponential(value - all.largest);
  }
}

__device__ __forceinline__ LogSum together(LogSum a, LogSum b) {
  Sum largest = a.largest > b.largest ? a.largest : b.largest;
  if (largest == minusInfinity(Sum())) {
    return {largest, a.sum + b.sum};
  }
  return {largest, a.sum * exponential(a.largest - largest) + b.sum * exponential(b.largest - largest)};
}

__device__ __forceinline__ LogSum warpTogether(LogSum all) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    LogSum other;
    other.largest = __shfl_xor_sync(0xffffffffu, all.largest, distance);
    other.sum = __shfl_xor_sync(0xffffffffu, all.sum, distance);
    all = together(all, other);
  }
  return all;
}

// Of a whole row, to all threads of the block.
__device__ __forceinline__ LogSum logSum(const Real* row, int64 columns, LogSum (&shared)[32]) {
  LogSum all = nothing();
  eachOfRow(row, columns, [&](int64, Sum value) { take(all, value); });
  all = warpTogether(all);
  int warps = blockDim.x / 32;
  if (warps == 1) {
    return all;
  }
  int lane = threadIdx.x % 32;
  __syncthreads();
  if (lane == 0) {
    shared[threadIdx.x / 32] = all;
  }
  __syncthreads();
  return warpTogether(lane < warps ? shared[lane] : nothing());
}

// y = softmax of each row of x; zeros for a row of -inf. y may be x.
ENTRY KERNEL(heddle_softmax_forward)(int64 rows, int64 columns, const Real* x, Real* y) {
  __shared__ LogSum shared[32];
#pragma unroll 1
  for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
    const Real* from = x + row * columns;
    LogSum all = logSum(from, columns, shared);
    bool empty = all.sum == Sum(0);
    Sum factor = Sum(1) / all.sum;
    mapRow(from, columns, y + row * columns, [=](int64, Sum value) {
      return empty ? Sum(0) : exponential(value - all.largest) * factor;
    });
  }
}

// dx = y (dy - Σ dy y) by rows. dx may be dy.
ENTRY KERNEL(heddle_softmax_backward)(int64 rows, int64 columns, const Real* y, const Real* dy,
                                      Real* dx) {
  __shared__ Sum shared[32];
#pragma unroll 1
  for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
    const Real* probabilities = y + row * columns;
    const Real* gradient = dy + row * columns;
    Sum dot = 0;
    eachOfRow(gradient, columns,
              [&](int64 i, Sum d) { dot += d * widen(probabilities[i]); });
    dot = blockSum(dot, shared);
    mapRow(gradient, columns, dx + row * columns,
           [=](int64 i, Sum d) { return widen(probabilities[i]) * (d - dot); });
  }
}

// The log-sum-exp of each row, and the logit of its target, 0 if that is not among these columns.
// A target that is none of the classes is reported.
ENTRY KERNEL(heddle_softmax_cross_entropy)(int64 rows, int64 columns, const Real* logits,
                                           const int64* targets, int64 firstColumn, int64 classes,
                                           Sum* logSumExp, Sum* targetLogit, RowFault* fault) {
  __shared__ LogSum shared[32];
#pragma unroll 1
  for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
    const Real* from = logits + row * columns;
    LogSum all = logSum(from, columns, shared);
    if (threadIdx.x == 0) {
      bool empty = all.sum == Sum(0);
      logSumExp[row] = empty ? minusInfinity(Sum()) : all.largest + logarithm(all.sum);
      int64 target = targets[row];
      if (target >= classes) {
        reportRow(fault, 2, row, target, classes);
      }
      int64 column = target - firstColumn;
      bool here = target >= 0 && column >= 0 && column < columns;
      targetLogit[row] = here ? widen(from[column]) : Sum(0);
    }
  }
}

// dlogits = dloss (exp(logits - logSumExp) - onehot(target)), 0 for a row without target. dlogits
// may be logits.
ENTRY KERNEL(heddle_softmax_cross_entropy_backward)(int64 rows, int64 columns, const Real* logits,
                                                    const int64* targets, int64 firstColumn,
                                                    const Sum* logSumExp, const Sum* dloss,
                                                    Real* dlogits) {
  Sum scale = *dloss;
#pragma unroll 1
  for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
    int64 target = targets[row];
    int64 wanted = target - firstColumn;
    Sum logSum = logSumExp[row];
    mapRow(logits + row * columns, columns, dlogits + row * columns, [=](int64 i, Sum value) {
      Sum probability = exponential(value - logSum);
      return target < 0 ? Sum(0) : scale * (probability - (i == wanted ? Sum(1) : Sum(0)));
    });
  }
}
