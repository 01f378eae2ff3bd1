// Attention without an array of queries by keys in memory, forward and backward, for any strides
// (D dense), head size up to the largest tile, and grouped queries. After Dao et al.,
// "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness", 2022, and Dao,
// "FlashAttention-2", 2023.
//
// A block has TY by TX threads and computes a tile of ROWS by COLUMNS scores: thread (ty, tx) those
// of the neighbouring rows from ty ROWS/TY on and of every TX-th column. What it sums up over tiles
// of columns stays in registers, for the same rows and every TX-th of the D elements.
#include "heads.cuh"

// The padding keeps rows aligned for packs and moves them over the banks.
template <int D, int N>
struct Tile {
  Sum at[N][D + PACK];
};

// Rows `first` on of a head, zeros beyond its end and beyond the head size.
template <int D, int N, int THREADS>
__device__ __forceinline__ void load(Tile<D, N>& tile, const Real* head, int64 stride, int first,
                                     int count, int headSize) {
#pragma unroll 1
  for (int i = threadIdx.x; i < N * D; i += THREADS) {
    int row = i / D;
    int d = i % D;
    bool inside = first + row < count && d < headSize;
    tile.at[row][d] = inside ? widen(head[(first + row) * stride + d]) : Sum(0);
  }
}

// products[i][j] = row i of a, of this thread, times column j of b, of this thread.
template <int D, int ROWS, int COLUMNS, int TY, int TX>
__device__ __forceinline__ void multiply(const Tile<D, ROWS>& a, const Tile<D, COLUMNS>& b,
                                         int headSize,
                                         Sum (&products)[ROWS / TY][COLUMNS / TX]) {
  const int RM = ROWS / TY;
  const int CN = COLUMNS / TX;
  int ty = threadIdx.x / TX;
  int tx = threadIdx.x % TX;
#pragma unroll
  for (int i = 0; i < RM; i++) {
#pragma unroll
    for (int j = 0; j < CN; j++) {
      products[i][j] = 0;
    }
  }
#pragma unroll 1
  for (int d = 0; d < headSize; d += PACK) {
    Sum right[CN][PACK];
#pragma unroll
    for (int j = 0; j < CN; j++) {
      loadPack(&b.at[tx + j * TX][d], right[j]);
    }
#pragma unroll
    for (int i = 0; i < RM; i++) {
      Sum left[PACK];
      loadPack(&a.at[ty * RM + i][d], left);
#pragma unroll
      for (int j = 0; j < CN; j++) {
#pragma unroll
        for (int e = 0; e < PACK; e++) {
          products[i][j] += left[e] * right[j][e];
        }
      }
    }
  }
}

// sums += weights b, with the weights [ROWS, COLUMNS] of all threads in shared memory.
template <int D, int ROWS, int COLUMNS, int TY, int TX>
__device__ __forceinline__ void accumulate(const Sum (&weights)[ROWS][COLUMNS + 1],
                                           const Tile<D, COLUMNS>& b,
                                           Sum (&sums)[ROWS / TY][D / TX]) {
  const int RM = ROWS / TY;
  const int DN = D / TX;
  int ty = threadIdx.x / TX;
  int tx = threadIdx.x % TX;
#pragma unroll 2
  for (int j = 0; j < COLUMNS; j++) {
    Sum left[RM];
#pragma unroll
    for (int i = 0; i < RM; i++) {
      left[i] = weights[ty * RM + i][j];
    }
#pragma unroll
    for (int n = 0; n < DN; n++) {
      Sum right = b.at[j][tx + n * TX];
#pragma unroll
      for (int i = 0; i < RM; i++) {
        sums[i][n] += left[i] * right;
      }
    }
  }
}

template <int ROWS, int COLUMNS, int TY, int TX>
__device__ __forceinline__ void publish(const Sum (&values)[ROWS / TY][COLUMNS / TX],
                                        Sum (&weights)[ROWS][COLUMNS + 1]) {
  const int RM = ROWS / TY;
  int ty = threadIdx.x / TX;
  int tx = threadIdx.x % TX;
#pragma unroll
  for (int i = 0; i < RM; i++) {
#pragma unroll
    for (int j = 0; j < COLUMNS / TX; j++) {
      weights[ty * RM + i][tx + j * TX] = values[i][j];
    }
  }
}

// The rows of this thread, as far as they are there, rounded.
template <int D, int ROWS, int TY, int TX>
__device__ __forceinline__ void write(const Sum (&sums)[ROWS / TY][D / TX], Real* head,
                                      int64 stride, int first, int count, int headSize) {
  const int RM = ROWS / TY;
  int ty = threadIdx.x / TX;
  int tx = threadIdx.x % TX;
#pragma unroll
  for (int i = 0; i < RM; i++) {
    int row = first + ty * RM + i;
    if (row < count) {
#pragma unroll
      for (int n = 0; n < D / TX; n++) {
        int d = tx + n * TX;
        if (d < headSize) {
          head[row * stride + d] = narrow(sums[i][n]);
        }
      }
    }
  }
}

// NaN is the largest, so that it is not lost.
__device__ __forceinline__ Sum larger(Sum a, Sum b) { return a > b || a != a ? a : b; }

// ---- forward

template <int D, int ROWS, int COLUMNS, int TY, int TX>
__device__ __forceinline__ void forward(const Problem& problem, const Real* q,
                                        const HeadStrides& qStrides, const Real* k,
                                        const HeadStrides& kStrides, const Real* v,
                                        const HeadStrides& vStrides, Sum scale, Real* out,
                                        const HeadStrides& outStrides, Sum* logSumExp) {
  const int THREADS = TY * TX;
  const int RM = ROWS / TY;
  const int CN = COLUMNS / TX;
  const int DN = D / TX;
  __shared__ __align__(16) Tile<D, ROWS> queryTile;
  __shared__ __align__(16) Tile<D, COLUMNS> keyOrValueTile;
  __shared__ Sum weights[ROWS][COLUMNS + 1];
  int queries = static_cast<int>(problem.queries);
  int keys = static_cast<int>(problem.keys);
  int headSize = static_cast<int>(problem.headSize);
  int tiles = (queries + ROWS - 1) / ROWS;
  Place at = place(tiles, static_cast<int>(problem.heads));
  // The last queries see the most keys: they come first.
  int first = (tiles - 1 - at.tile) * ROWS;
  int keyHead = at.head / static_cast<int>(problem.group);
  const Real* keyStart = headStart(k, kStrides, at.batch, keyHead);
  const Real* valueStart = headStart(v, vStrides, at.batch, keyHead);
  int ty = threadIdx.x / TX;
  int tx = threadIdx.x % TX;

  load<D, ROWS, THREADS>(queryTile, headStart(q, qStrides, at.batch, at.head), qStrides.position,
                         first, queries, headSize);
  Sum largest[RM];
  Sum total[RM];
  Sum sums[RM][DN];
  int visible[RM];
#pragma unroll
  for (int i = 0; i < RM; i++) {
    largest[i] = minusInfinity(Sum());
    total[i] = 0;
    visible[i] = visibleKeys(problem, first + ty * RM + i);
#pragma unroll
    for (int n = 0; n < DN; n++) {
      sums[i][n] = 0;
    }
  }
  int end = visibleKeys(problem, first + ROWS - 1);
#pragma unroll 1
  for (int start = 0; start < end; start += COLUMNS) {
    load<D, COLUMNS, THREADS>(keyOrValueTile, keyStart, kStrides.position, start, keys, headSize);
    __syncthreads();
    Sum scores[RM][CN];
    multiply<D, ROWS, COLUMNS, TY, TX>(queryTile, keyOrValueTile, headSize, scores);
#pragma unroll
    for (int i = 0; i < RM; i++) {
      Sum maximum = largest[i];
#pragma unroll
      for (int j = 0; j < CN; j++) {
        bool seen = start + tx + j * TX < visible[i];
        scores[i][j] = seen ? scale * scores[i][j] : minusInfinity(Sum());
        maximum = larger(maximum, scores[i][j]);
      }
#pragma unroll
      for (int distance = TX / 2; distance > 0; distance /= 2) {
        maximum = larger(maximum, __shfl_xor_sync(0xffffffffu, maximum, distance));
      }
      // Nothing seen yet: any finite number keeps -inf - -inf out.
      Sum shift = maximum == minusInfinity(Sum()) ? Sum(0) : maximum;
      Sum factor = exponential(largest[i] - shift);
      total[i] *= factor;
#pragma unroll
      for (int j = 0; j < CN; j++) {
        scores[i][j] = exponential(scores[i][j] - shift);
        total[i] += scores[i][j];
      }
#pragma unroll
      for (int n = 0; n < DN; n++) {
        sums[i][n] *= factor;
      }
      largest[i] = maximum;
    }
    publish<ROWS, COLUMNS, TY, TX>(scores, weights);
    __syncthreads();
    load<D, COLUMNS, THREADS>(keyOrValueTile, valueStart, vStrides.position, start, keys,
                              headSize);
    __syncthreads();
    accumulate<D, ROWS, COLUMNS, TY, TX>(weights, keyOrValueTile, sums);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < RM; i++) {
#pragma unroll
    for (int distance = TX / 2; distance > 0; distance /= 2) {
      total[i] += __shfl_xor_sync(0xffffffffu, total[i], distance);
    }
    bool empty = total[i] == Sum(0);
    Sum factor = empty ? Sum(0) : Sum(1) / total[i];
#pragma unroll
    for (int n = 0; n < DN; n++) {
      sums[i][n] *= factor;
    }
    int row = first + ty * RM + i;
    if (tx == 0 && row < queries) {
      int64 statistic = (at.batch * problem.heads + at.head) * problem.queries + row;
      logSumExp[statistic] =
          empty ? minusInfinity(Sum()) : largest[i] + logarithm(total[i]);
    }
  }
  write<D, ROWS, TY, TX>(sums, headStart(out, outStrides, at.batch, at.head),
                         outStrides.position, first, queries, headSize);
}

// ---- backward

// delta[b,h,i] = Σ dout out over the head's elements, one thread each, in the order in which
// multiply() sums: a query that sees one key, whose out is that key's value, has a slope of exactly 0.
ENTRY KERNEL(heddle_attention_delta)(Problem problem, int64 rows, const Real* out,
                                     HeadStrides outStrides, const Real* dout,
                                     HeadStrides doutStrides, Sum* delta) {
#pragma unroll 1
  for (int64 row = globalThread(); row < rows; row += globalThreads()) {
    int64 query = row % problem.queries;
    int64 rest = row / problem.queries;
    int64 head = rest % problem.heads;
    int64 batch = rest / problem.heads;
    const Real* result = headStart(out, outStrides, batch, head) + query * outStrides.position;
    const Real* gradient = headStart(dout, doutStrides, batch, head) + query * doutStrides.position;
    int64 headSize = problem.headSize;
    int64 d = 0;
    Sum sum = 0;
    if (packed(result) && packed(gradient)) {
#pragma unroll 1
      for (; d + PACK <= headSize; d += PACK) {
        Sum left[PACK];
        Sum right[PACK];
        loadPack(gradient + d, left);
        loadPack(result + d, right);
#pragma unroll
        for (int e = 0; e < PACK; e++) {
          sum += left[e] * right[e];
        }
      }
    }
#pragma unroll 1
    for (; d < headSize; d++) {
      sum += widen(gradient[d]) * widen(result[d]);
    }
    delta[row] = sum;
  }
}

// A query's part of ds: p = exp(scale s - logSumExp), ds = scale p (dp - delta).
struct Query {
  Sum logSumExp;
  Sum delta;
};

__device__ __forceinline__ Query statistics(const Problem& problem, int batch, int head, int query,
                                            const Sum* logSumExp, const Sum* delta) {
  if (query >= problem.queries) {
    return {minusInfinity(Sum()), Sum(0)};
  }
  int64 at = (batch * problem.heads + head) * problem.queries + query;
  return {logSumExp[at], delta[at]};
}

// The probability, 0 where the query does not see the key or sees none.
__device__ __forceinline__ Sum probability(Sum score, Sum scale, Sum logSumExp, bool seen) {
  bool there = seen && logSumExp != minusInfinity(Sum());
  return there ? exponential(scale * score - logSumExp) : Sum(0);
}

// dq = Σ ds k for a tile of queries, over tiles of keys.
template <int D, int ROWS, int COLUMNS, int TY, int TX>
__device__ __forceinline__ void backwardOfQueries(
    const Problem& problem, const Real* q, const HeadStrides& qStrides, const Real* k,
    const HeadStrides& kStrides, const Real* v, const HeadStrides& vStrides, const Sum* logSumExp,
    const Sum* delta, const Real* dout, const HeadStrides& doutStrides, Sum scale, Real* dq,
    const HeadStrides& dqStrides) {
  const int THREADS = TY * TX;
  const int RM = ROWS / TY;
  const int CN = COLUMNS / TX;
  const int DN = D / TX;
  __shared__ __align__(16) Tile<D, ROWS> queryTile;
  __shared__ __align__(16) Tile<D, ROWS> gradientTile;
  __shared__ __align__(16) Tile<D, COLUMNS> keyTile;
  __shared__ __align__(16) Tile<D, COLUMNS> valueTile;
  __shared__ Sum weights[ROWS][COLUMNS + 1];
  int queries = static_cast<int>(problem.queries);
  int keys = static_cast<int>(problem.keys);
  int headSize = static_cast<int>(problem.headSize);
  int tiles = (queries + ROWS - 1) / ROWS;
  Place at = place(tiles, static_cast<int>(problem.heads));
  int first = (tiles - 1 - at.tile) * ROWS;
  int keyHead = at.head / static_cast<int>(problem.group);
  const Real* keyStart = headStart(k, kStrides, at.batch, keyHead);
  const Real* valueStart = headStart(v, vStrides, at.batch, keyHead);
  int ty = threadIdx.x / TX;
  int tx = threadIdx.x % TX;

  load<D, ROWS, THREADS>(queryTile, headStart(q, qStrides, at.batch, at.head), qStrides.position,
                         first, queries, headSize);
  load<D, ROWS, THREADS>(gradientTile, headStart(dout, doutStrides, at.batch, at.head),
                         doutStrides.position, first, queries, headSize);
  Query query[RM];
  int visible[RM];
  Sum sums[RM][DN];
#pragma unroll
  for (int i = 0; i < RM; i++) {
    int row = first + ty * RM + i;
    query[i] = statistics(problem, at.batch, at.head, row, logSumExp, delta);
    visible[i] = visibleKeys(problem, row);
#pragma unroll
    for (int n = 0; n < DN; n++) {
      sums[i][n] = 0;
    }
  }
  int end = visibleKeys(problem, first + ROWS - 1);
#pragma unroll 1
  for (int start = 0; start < end; start += COLUMNS) {
    load<D, COLUMNS, THREADS>(keyTile, keyStart, kStrides.position, start, keys, headSize);
    load<D, COLUMNS, THREADS>(valueTile, valueStart, vStrides.position, start, keys, headSize);
    __syncthreads();
    Sum scores[RM][CN];
    Sum slopes[RM][CN];
    multiply<D, ROWS, COLUMNS, TY, TX>(queryTile, keyTile, headSize, scores);
    multiply<D, ROWS, COLUMNS, TY, TX>(gradientTile, valueTile, headSize, slopes);
#pragma unroll
    for (int i = 0; i < RM; i++) {
#pragma unroll
      for (int j = 0; j < CN; j++) {
        bool seen = start + tx + j * TX < visible[i];
        Sum p = probability(scores[i][j], scale, query[i].logSumExp, seen);
        slopes[i][j] = scale * p * (slopes[i][j] - query[i].delta);
      }
    }
    publish<ROWS, COLUMNS, TY, TX>(slopes, weights);
    __syncthreads();
    accumulate<D, ROWS, COLUMNS, TY, TX>(weights, keyTile, sums);
    __syncthreads();
  }
  write<D, ROWS, TY, TX>(sums, headStart(dq, dqStrides, at.batch, at.head), dqStrides.position,
                         first, queries, headSize);
}

// dk = Σ ds q and dv = Σ p dout for a tile of keys, over the heads that read it and their queries,
// in that order.
template <int D, int ROWS, int COLUMNS, int TY, int TX>
__device__ __forceinline__ void backwardOfKeys(
    const Problem& problem, const Real* q, const HeadStrides& qStrides, const Real* k,
    const HeadStrides& kStrides, const Real* v, const HeadStrides& vStrides, const Sum* logSumExp,
    const Sum* delta, const Real* dout, const HeadStrides& doutStrides, Sum scale, Real* dk,
    const HeadStrides& dkStrides, Real* dv, const HeadStrides& dvStrides) {
  const int THREADS = TY * TX;
  const int RM = ROWS / TY;
  const int CN = COLUMNS / TX;
  const int DN = D / TX;
  __shared__ __align__(16) Tile<D, ROWS> keyTile;
  __shared__ __align__(16) Tile<D, ROWS> valueTile;
  __shared__ __align__(16) Tile<D, COLUMNS> queryTile;
  __shared__ __align__(16) Tile<D, COLUMNS> gradientTile;
  __shared__ Sum weights[ROWS][COLUMNS + 1];
  int queries = static_cast<int>(problem.queries);
  int keys = static_cast<int>(problem.keys);
  int headSize = static_cast<int>(problem.headSize);
  int group = static_cast<int>(problem.group);
  int tiles = (keys + ROWS - 1) / ROWS;
  Place at = place(tiles, static_cast<int>(problem.heads) / group);
  int first = at.tile * ROWS;
  int ty = threadIdx.x / TX;
  int tx = threadIdx.x % TX;

  load<D, ROWS, THREADS>(keyTile, headStart(k, kStrides, at.batch, at.head), kStrides.position,
                         first, keys, headSize);
  load<D, ROWS, THREADS>(valueTile, headStart(v, vStrides, at.batch, at.head), vStrides.position,
                         first, keys, headSize);
  Sum keySums[RM][DN];
  Sum valueSums[RM][DN];
#pragma unroll
  for (int i = 0; i < RM; i++) {
#pragma unroll
    for (int n = 0; n < DN; n++) {
      keySums[i][n] = 0;
      valueSums[i][n] = 0;
    }
  }
  int from = firstQuery(problem, first) / COLUMNS * COLUMNS;
#pragma unroll 1
  for (int member = 0; member < group; member++) {
    int head = at.head * group + member;
    const Real* queryStart = headStart(q, qStrides, at.batch, head);
    const Real* gradientStart = headStart(dout, doutStrides, at.batch, head);
#pragma unroll 1
    for (int start = from; start < queries; start += COLUMNS) {
      load<D, COLUMNS, THREADS>(queryTile, queryStart, qStrides.position, start, queries,
                                headSize);
      load<D, COLUMNS, THREADS>(gradientTile, gradientStart, doutStrides.position, start, queries,
                                headSize);
      __syncthreads();
      Sum scores[RM][CN];
      Sum slopes[RM][CN];
      multiply<D, ROWS, COLUMNS, TY, TX>(keyTile, queryTile, headSize, scores);
      multiply<D, ROWS, COLUMNS, TY, TX>(valueTile, gradientTile, headSize, slopes);
#pragma unroll
      for (int j = 0; j < CN; j++) {
        int row = start + tx + j * TX;
        Query query = statistics(problem, at.batch, head, row, logSumExp, delta);
        int visible = visibleKeys(problem, row);
#pragma unroll
        for (int i = 0; i < RM; i++) {
          bool seen = first + ty * RM + i < visible;
          Sum p = probability(scores[i][j], scale, query.logSumExp, seen);
          scores[i][j] = p;
          slopes[i][j] = scale * p * (slopes[i][j] - query.delta);
        }
      }
      publish<ROWS, COLUMNS, TY, TX>(scores, weights);
      __syncthreads();
      accumulate<D, ROWS, COLUMNS, TY, TX>(weights, gradientTile, valueSums);
      __syncthreads();
      publish<ROWS, COLUMNS, TY, TX>(slopes, weights);
      __syncthreads();
      accumulate<D, ROWS, COLUMNS, TY, TX>(weights, queryTile, keySums);
      __syncthreads();
    }
  }
  write<D, ROWS, TY, TX>(keySums, headStart(dk, dkStrides, at.batch, at.head),
                         dkStrides.position, first, keys, headSize);
  write<D, ROWS, TY, TX>(valueSums, headStart(dv, dvStrides, at.batch, at.head),
                         dvStrides.position, first, keys, headSize);
}

// ---- entries: head sizes up to D, tiles that fit 48 KiB of shared memory. CudaAttentionKernels in
// Java knows the ROWS and TY TX of each.

#define FORWARD(D, ROWS, COLUMNS, TY, TX)                                                        \
  ENTRY __launch_bounds__(TY* TX, 2) KERNEL(heddle_attention_forward_##D)(                          \
      Problem problem, const Real* q, HeadStrides qStrides, const Real* k, HeadStrides kStrides, \
      const Real* v, HeadStrides vStrides, Sum scale, Real* out, HeadStrides outStrides,         \
      Sum* logSumExp) {                                                                          \
    forward<D, ROWS, COLUMNS, TY, TX>(problem, q, qStrides, k, kStrides, v, vStrides, scale,     \
                                      out, outStrides, logSumExp);                               \
  }

#define BACKWARD(D, ROWS, COLUMNS, TY, TX)                                                       \
  ENTRY __launch_bounds__(TY* TX, 2) KERNEL(heddle_attention_backward_queries_##D)(                 \
      Problem problem, const Real* q, HeadStrides qStrides, const Real* k, HeadStrides kStrides, \
      const Real* v, HeadStrides vStrides, const Sum* logSumExp, const Sum* delta,               \
      const Real* dout, HeadStrides doutStrides, Sum scale, Real* dq, HeadStrides dqStrides) {   \
    backwardOfQueries<D, ROWS, COLUMNS, TY, TX>(problem, q, qStrides, k, kStrides, v, vStrides,  \
                                                logSumExp, delta, dout, doutStrides, scale, dq,  \
                                                dqStrides);                                      \
  }                                                                                              \
  ENTRY __launch_bounds__(TY* TX, 2) KERNEL(heddle_attention_backward_keys_##D)(                    \
      Problem problem, const Real* q, HeadStrides qStrides, const Real* k, HeadStrides kStrides, \
      const Real* v, HeadStrides vStrides, const Sum* logSumExp, const Sum* delta,               \
      const Real* dout, HeadStrides doutStrides, Sum scale, Real* dk, HeadStrides dkStrides,     \
      Real* dv, HeadStrides dvStrides) {                                                         \
    backwardOfKeys<D, ROWS, COLUMNS, TY, TX>(problem, q, qStrides, k, kStrides, v, vStrides,     \
                                             logSumExp, delta, dout, doutStrides, scale, dk,     \
                                             dkStrides, dv, dvStrides);                          \
  }

#if defined(REAL_F64)
FORWARD(32, 32, 32, 8, 16)
FORWARD(64, 32, 16, 8, 16)
FORWARD(128, 16, 16, 8, 16)
BACKWARD(32, 16, 16, 8, 16)
BACKWARD(64, 16, 16, 8, 16)
BACKWARD(128, 8, 8, 8, 8)
#else
FORWARD(32, 64, 32, 8, 16)
FORWARD(64, 64, 32, 8, 16)
FORWARD(128, 32, 32, 8, 16)
FORWARD(256, 16, 16, 8, 16)
BACKWARD(32, 32, 32, 8, 16)
BACKWARD(64, 32, 32, 8, 16)
BACKWARD(128, 16, 16, 8, 16)
BACKWARD(256, 8, 8, 8, 8)
#endif
