// Attention of bf16 on tensor cores (compute capability 8.0 and up), forward and backward: the
// algorithm of attention.cu with products by mma.sync. For head sizes that are multiples of 8 up to
// D, and rows whose starts are aligned to 16 bytes; attention.cu does the rest.
//
// A block has four warps and 64 rows (queries, or keys in backwardOfKeys), 16 a warp, and walks over
// tiles of COLUMNS of the others. Scores stay in registers: the layout in which mma.sync leaves
// them is that in which it takes its left operand, so what follows needs no shared memory.
#define REAL_BF16
#include "heads.cuh"

const int ROWS = 64;
const int THREADS = 128;
const float LOG2_E = 1.44269504088896340736f;
const float LN_2 = 0.69314718055994530942f;

// ---- shared tiles: rows of D elements in chunks of eight, the chunks permuted by row so that the
// eight rows of a matrix that ldmatrix reads lie in different banks

const int CHUNK_BYTES = 16;

// What a chunk's number is combined with by exclusive or in that row; rows eight apart are alike.
template <int D>
__device__ __forceinline__ unsigned permutation(unsigned row) {
  return D == 32 ? (row >> 1) & 3 : row & 7;
}

__device__ __forceinline__ unsigned sharedAddress(const bf16* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// Starts to load rows `first` on of a head, zeros beyond its end and beyond the head size.
template <int D, int N>
__device__ __forceinline__ void startLoad(bf16* tile, const bf16* head, int64 stride, int first,
                                          int count, int headSize) {
  const int CHUNKS = D / 8;
  const int STEP = THREADS / CHUNKS;
  int row = threadIdx.x / CHUNKS;
  int chunk = threadIdx.x % CHUNKS;
  bf16* to = tile + row * D + (chunk ^ permutation<D>(row)) * 8;
  const bf16* from = head + (first + row) * stride + chunk * 8;
  bool inside = chunk * 8 < headSize;
#pragma unroll
  for (int i = 0; i < N / STEP; i++) {
    if (inside && first + row + i * STEP < count) {
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                       sharedAddress(to + i * STEP * D)),
                   "l"(__cvta_generic_to_global(from))
                   : "memory");
    } else {
      *reinterpret_cast<uint4*>(to + i * STEP * D) = make_uint4(0, 0, 0, 0);
    }
    from += STEP * stride;
  }
}

__device__ __forceinline__ void commitLoads() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits for the loads of this thread; the block still has to be synchronised.
__device__ __forceinline__ void finishLoads() {
  asm volatile("cp.async.wait_group 0;" ::: "memory");
}

// ---- fragments

struct Fragment {
  unsigned at[4];
};

__device__ __forceinline__ Fragment loadMatrices(unsigned address) {
  Fragment f;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(f.at[0]), "=r"(f.at[1]), "=r"(f.at[2]), "=r"(f.at[3])
               : "r"(address)
               : "memory");
  return f;
}

__device__ __forceinline__ Fragment loadTransposed(unsigned address) {
  Fragment f;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(f.at[0]), "=r"(f.at[1]), "=r"(f.at[2]), "=r"(f.at[3])
               : "r"(address)
               : "memory");
  return f;
}

// Where a lane reads in 16 rows of a tile: its row, and the place of its chunk in the first two.
struct Lane {
  unsigned row;
  unsigned chunk;
};

// Chunk `even` or the one behind it, rows from `row` on, a multiple of 8.
template <int D>
__device__ __forceinline__ unsigned address(unsigned tile, const Lane& lane, int row, int even) {
  return tile + lane.row + row * D * 2 + ((even * CHUNK_BYTES) ^ lane.chunk);
}

template <int D>
__device__ __forceinline__ Lane lane(unsigned row, unsigned second) {
  return {row * D * 2, (second ^ permutation<D>(row)) * CHUNK_BYTES};
}

// For the left operand of a product, and for the right operand of one that is not transposed: rows
// down, then chunks.
template <int D>
__device__ __forceinline__ Lane downLane() {
  unsigned l = threadIdx.x % 32;
  return lane<D>(l % 16, l / 16);
}

// For the right operand of a product with the transpose: chunks across, then rows.
template <int D>
__device__ __forceinline__ Lane acrossLane() {
  unsigned l = threadIdx.x % 32;
  return lane<D>(l % 8 + l / 16 * 8, l / 8 % 2);
}

// c += a b for 16 rows, 8 columns and 16 inner elements.
__device__ __forceinline__ void multiplyAdd(float (&c)[4], const Fragment& a, unsigned b0,
                                            unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ unsigned pair(float low, float high) {
  unsigned result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}

// Sixteen columns of scores, two results of mma.sync, as a left operand.
__device__ __forceinline__ Fragment asLeft(const float (&a)[4], const float (&b)[4]) {
  return {{pair(a[0], a[1]), pair(a[2], a[3]), pair(b[0], b[1]), pair(b[2], b[3])}};
}

template <int N>
__device__ __forceinline__ void clear(float (&c)[N][4]) {
#pragma unroll
  for (int n = 0; n < N; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      c[n][i] = 0;
    }
  }
}

// c = rows of a (16 from `row` on) times the transpose of b.
template <int D, int COLUMNS>
__device__ __forceinline__ void scoresOf(const bf16* a, int row, const bf16* b,
                                         float (&c)[COLUMNS / 8][4]) {
  unsigned aTile = sharedAddress(a) + row * D * 2;
  unsigned bTile = sharedAddress(b);
  Lane down = downLane<D>();
  Lane across = acrossLane<D>();
  clear(c);
#pragma unroll
  for (int step = 0; step < D / 16; step++) {
    Fragment rows = loadMatrices(address<D>(aTile, down, 0, 2 * step));
#pragma unroll
    for (int n = 0; n < COLUMNS / 16; n++) {
      Fragment columns = loadMatrices(address<D>(bTile, across, 16 * n, 2 * step));
      multiplyAdd(c[2 * n], rows, columns.at[0], columns.at[1]);
      multiplyAdd(c[2 * n + 1], rows, columns.at[2], columns.at[3]);
    }
  }
}

// sums += weights b.
template <int D, int COLUMNS>
__device__ __forceinline__ void accumulate(const float (&weights)[COLUMNS / 8][4], const bf16* b,
                                           float (&sums)[D / 8][4]) {
  unsigned bTile = sharedAddress(b);
  Lane down = downLane<D>();
#pragma unroll
  for (int step = 0; step < COLUMNS / 16; step++) {
    Fragment rows = asLeft(weights[2 * step], weights[2 * step + 1]);
#pragma unroll
    for (int n = 0; n < D / 16; n++) {
      Fragment columns = loadTransposed(address<D>(bTile, down, 16 * step, 2 * n));
      multiplyAdd(sums[2 * n], rows, columns.at[0], columns.at[1]);
      multiplyAdd(sums[2 * n + 1], rows, columns.at[2], columns.at[3]);
    }
  }
}

// A thread holds rows r and r + 8 of its warp's 16 with r = lane / 4, and of each eight columns 2c
// and 2c + 1 with c = lane % 4.
__device__ __forceinline__ int threadRow() {
  return static_cast<int>(threadIdx.x) / 32 * 16 + threadIdx.x % 32 / 4;
}
__device__ __forceinline__ int threadColumn() { return threadIdx.x % 4 * 2; }

// head[first + row] = factor sums, as far as the rows are there.
template <int D>
__device__ __forceinline__ void write(const float (&sums)[D / 8][4], float factor, bf16* head,
                                      int64 stride, int first, int count, int headSize) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    int row = first + threadRow() + 8 * half;
    if (row < count) {
#pragma unroll
      for (int n = 0; n < D / 8; n++) {
        if (8 * n < headSize) {
          unsigned two = pair(factor * sums[n][2 * half], factor * sums[n][2 * half + 1]);
          *reinterpret_cast<unsigned*>(head + row * stride + 8 * n + threadColumn()) = two;
        }
      }
    }
  }
}

__device__ __forceinline__ float larger(float a, float b) { return a > b || a != a ? a : b; }

// ---- forward

template <int D, int COLUMNS>
__device__ __forceinline__ void forward(const Problem& problem, const bf16* q,
                                        const HeadStrides& qStrides, const bf16* k,
                                        const HeadStrides& kStrides, const bf16* v,
                                        const HeadStrides& vStrides, float scale, bf16* out,
                                        const HeadStrides& outStrides, float* logSumExp) {
  __shared__ __align__(16) bf16 queryTile[ROWS * D];
  __shared__ __align__(16) bf16 keyTile[COLUMNS * D];
  __shared__ __align__(16) bf16 valueTile[COLUMNS * D];
  int queries = static_cast<int>(problem.queries);
  int keys = static_cast<int>(problem.keys);
  int headSize = static_cast<int>(problem.headSize);
  int tiles = (queries + ROWS - 1) / ROWS;
  Place at = place(tiles, static_cast<int>(problem.heads));
  // The last queries see the most keys: they come first.
  int first = (tiles - 1 - at.tile) * ROWS;
  int keyHead = at.head / static_cast<int>(problem.group);
  const bf16* keyStart = headStart(k, kStrides, at.batch, keyHead);
  const bf16* valueStart = headStart(v, vStrides, at.batch, keyHead);
  int warpRow = threadIdx.x / 32 * 16;
  float scale2 = scale * LOG2_E;

  int end = visibleKeys(problem, first + ROWS - 1);
  startLoad<D, ROWS>(queryTile, headStart(q, qStrides, at.batch, at.head), qStrides.position,
                     first, queries, headSize);
  if (end > 0) {
    startLoad<D, COLUMNS>(keyTile, keyStart, kStrides.position, 0, keys, headSize);
  }
  commitLoads();

  float largest[2] = {minusInfinity(0.0f), minusInfinity(0.0f)};
  float total[2] = {0, 0};
  int visible[2];
  visible[0] = visibleKeys(problem, first + threadRow());
  visible[1] = visibleKeys(problem, first + threadRow() + 8);
  float sums[D / 8][4];
  clear(sums);
#pragma unroll 1
  for (int start = 0; start < end; start += COLUMNS) {
    finishLoads();
    __syncthreads();
    // Values load while the scores are computed, and the next keys while they are summed up.
    startLoad<D, COLUMNS>(valueTile, valueStart, vStrides.position, start, keys, headSize);
    commitLoads();
    float scores[COLUMNS / 8][4];
    scoresOf<D, COLUMNS>(queryTile, warpRow, keyTile, scores);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float maximum = largest[half];
#pragma unroll
      for (int n = 0; n < COLUMNS / 8; n++) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; i++) {
          int key = start + 8 * n + threadColumn() + (i & 1);
          scores[n][i] = key < visible[half] ? scale2 * scores[n][i] : minusInfinity(0.0f);
          maximum = larger(maximum, scores[n][i]);
        }
      }
      maximum = larger(maximum, __shfl_xor_sync(0xffffffffu, maximum, 1));
      maximum = larger(maximum, __shfl_xor_sync(0xffffffffu, maximum, 2));
      // Nothing seen yet: any finite number keeps -inf - -inf out.
      float shift = maximum == minusInfinity(0.0f) ? 0.0f : maximum;
      float factor = exp2f(largest[half] - shift);
      total[half] *= factor;
#pragma unroll
      for (int n = 0; n < COLUMNS / 8; n++) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; i++) {
          scores[n][i] = exp2f(scores[n][i] - shift);
          total[half] += scores[n][i];
        }
      }
#pragma unroll
      for (int n = 0; n < D / 8; n++) {
        sums[n][2 * half] *= factor;
        sums[n][2 * half + 1] *= factor;
      }
      largest[half] = maximum;
    }
    finishLoads();
    __syncthreads();
    if (start + COLUMNS < end) {
      startLoad<D, COLUMNS>(keyTile, keyStart, kStrides.position, start + COLUMNS, keys,
                            headSize);
      commitLoads();
    }
    accumulate<D, COLUMNS>(scores, valueTile, sums);
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    total[half] += __shfl_xor_sync(0xffffffffu, total[half], 1);
    total[half] += __shfl_xor_sync(0xffffffffu, total[half], 2);
    bool empty = total[half] == 0.0f;
    float factor = empty ? 0.0f : 1.0f / total[half];
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
      sums[n][2 * half] *= factor;
      sums[n][2 * half + 1] *= factor;
    }
    int row = first + threadRow() + 8 * half;
    if (threadColumn() == 0 && row < queries) {
      int64 statistic = (at.batch * problem.heads + at.head) * problem.queries + row;
      logSumExp[statistic] =
          empty ? minusInfinity(0.0f) : largest[half] * LN_2 + logf(total[half]);
    }
  }
  finishLoads();
  write<D>(sums, 1.0f, headStart(out, outStrides, at.batch, at.head), outStrides.position, first,
           queries, headSize);
}

// ---- backward

// What a query brings to its probabilities: exp2(scale2 s - logSumExp2), 0 if it sees nothing.
struct Query {
  float logSumExp2;
  float delta;
  int visible;
};

__device__ __forceinline__ Query statistics(const Problem& problem, int batch, int head, int query,
                                            const float* logSumExp, const float* delta) {
  if (query >= problem.queries) {
    return {0.0f, 0.0f, 0};
  }
  int64 at = (batch * problem.heads + head) * problem.queries + query;
  float logSum = logSumExp[at];
  int visible = logSum == minusInfinity(0.0f) ? 0 : visibleKeys(problem, query);
  return {logSum * LOG2_E, delta[at], visible};
}

template <int D, int COLUMNS>
__device__ __forceinline__ void backwardOfQueries(
    const Problem& problem, const bf16* q, const HeadStrides& qStrides, const bf16* k,
    const HeadStrides& kStrides, const bf16* v, const HeadStrides& vStrides,
    const float* logSumExp, const float* delta, const bf16* dout, const HeadStrides& doutStrides,
    float scale, bf16* dq, const HeadStrides& dqStrides) {
  __shared__ __align__(16) bf16 queryTile[ROWS * D];
  __shared__ __align__(16) bf16 gradientTile[ROWS * D];
  __shared__ __align__(16) bf16 keyTile[COLUMNS * D];
  __shared__ __align__(16) bf16 valueTile[COLUMNS * D];
  int queries = static_cast<int>(problem.queries);
  int keys = static_cast<int>(problem.keys);
  int headSize = static_cast<int>(problem.headSize);
  int tiles = (queries + ROWS - 1) / ROWS;
  Place at = place(tiles, static_cast<int>(problem.heads));
  int first = (tiles - 1 - at.tile) * ROWS;
  int keyHead = at.head / static_cast<int>(problem.group);
  const bf16* keyStart = headStart(k, kStrides, at.batch, keyHead);
  const bf16* valueStart = headStart(v, vStrides, at.batch, keyHead);
  int warpRow = threadIdx.x / 32 * 16;
  float scale2 = scale * LOG2_E;

  startLoad<D, ROWS>(queryTile, headStart(q, qStrides, at.batch, at.head), qStrides.position,
                     first, queries, headSize);
  startLoad<D, ROWS>(gradientTile, headStart(dout, doutStrides, at.batch, at.head),
                     doutStrides.position, first, queries, headSize);
  commitLoads();
  Query query[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    query[half] = statistics(problem, at.batch, at.head, first + threadRow() + 8 * half, logSumExp,
                             delta);
  }
  float sums[D / 8][4];
  clear(sums);
  int end = visibleKeys(problem, first + ROWS - 1);
#pragma unroll 1
  for (int start = 0; start < end; start += COLUMNS) {
    startLoad<D, COLUMNS>(keyTile, keyStart, kStrides.position, start, keys, headSize);
    startLoad<D, COLUMNS>(valueTile, valueStart, vStrides.position, start, keys, headSize);
    commitLoads();
    finishLoads();
    __syncthreads();
    float scores[COLUMNS / 8][4];
    float slopes[COLUMNS / 8][4];
    scoresOf<D, COLUMNS>(queryTile, warpRow, keyTile, scores);
    scoresOf<D, COLUMNS>(gradientTile, warpRow, valueTile, slopes);
#pragma unroll
    for (int n = 0; n < COLUMNS / 8; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const Query& row = query[i / 2];
        bool seen = start + 8 * n + threadColumn() + (i & 1) < row.visible;
        float p = seen ? exp2f(scale2 * scores[n][i] - row.logSumExp2) : 0.0f;
        slopes[n][i] = p * (slopes[n][i] - row.delta);
      }
    }
    accumulate<D, COLUMNS>(slopes, keyTile, sums);
    __syncthreads();
  }
  finishLoads();
  write<D>(sums, scale, headStart(dq, dqStrides, at.batch, at.head), dqStrides.position, first,
           queries, headSize);
}

template <int D, int COLUMNS>
__device__ __forceinline__ void backwardOfKeys(
    const Problem& problem, const bf16* q, const HeadStrides& qStrides, const bf16* k,
    const HeadStrides& kStrides, const bf16* v, const HeadStrides& vStrides,
    const float* logSumExp, const float* delta, const bf16* dout, const HeadStrides& doutStrides,
    float scale, bf16* dk, const HeadStrides& dkStrides, bf16* dv, const HeadStrides& dvStrides) {
  __shared__ __align__(16) bf16 keyTile[ROWS * D];
  __shared__ __align__(16) bf16 valueTile[ROWS * D];
  __shared__ __align__(16) bf16 queryTile[COLUMNS * D];
  __shared__ __align__(16) bf16 gradientTile[COLUMNS * D];
  int queries = static_cast<int>(problem.queries);
  int keys = static_cast<int>(problem.keys);
  int headSize = static_cast<int>(problem.headSize);
  int group = static_cast<int>(problem.group);
  int tiles = (keys + ROWS - 1) / ROWS;
  Place at = place(tiles, static_cast<int>(problem.heads) / group);
  int first = at.tile * ROWS;
  int warpRow = threadIdx.x / 32 * 16;
  float scale2 = scale * LOG2_E;

  startLoad<D, ROWS>(keyTile, headStart(k, kStrides, at.batch, at.head), kStrides.position, first,
                     keys, headSize);
  startLoad<D, ROWS>(valueTile, headStart(v, vStrides, at.batch, at.head), vStrides.position,
                     first, keys, headSize);
  commitLoads();
  float keySums[D / 8][4];
  float valueSums[D / 8][4];
  clear(keySums);
  clear(valueSums);
  int from = firstQuery(problem, first) / COLUMNS * COLUMNS;
#pragma unroll 1
  for (int member = 0; member < group; member++) {
    int head = at.head * group + member;
    const bf16* queryStart = headStart(q, qStrides, at.batch, head);
    const bf16* gradientStart = headStart(dout, doutStrides, at.batch, head);
#pragma unroll 1
    for (int start = from; start < queries; start += COLUMNS) {
      startLoad<D, COLUMNS>(queryTile, queryStart, qStrides.position, start, queries, headSize);
      startLoad<D, COLUMNS>(gradientTile, gradientStart, doutStrides.position, start, queries,
                            headSize);
      commitLoads();
      finishLoads();
      __syncthreads();
      float scores[COLUMNS / 8][4];
      float slopes[COLUMNS / 8][4];
      scoresOf<D, COLUMNS>(keyTile, warpRow, queryTile, scores);
      scoresOf<D, COLUMNS>(valueTile, warpRow, gradientTile, slopes);
#pragma unroll
      for (int n = 0; n < COLUMNS / 8; n++) {
#pragma unroll
        for (int column = 0; column < 2; column++) {
          Query query = statistics(problem, at.batch, head, start + 8 * n + threadColumn() + column,
                                   logSumExp, delta);
#pragma unroll
          for (int half = 0; half < 2; half++) {
            int i = 2 * half + column;
            bool seen = first + threadRow() + 8 * half < query.visible;
            float p = seen ? exp2f(scale2 * scores[n][i] - query.logSumExp2) : 0.0f;
            scores[n][i] = p;
            slopes[n][i] = p * (slopes[n][i] - query.delta);
          }
        }
      }
      accumulate<D, COLUMNS>(scores, gradientTile, valueSums);
      accumulate<D, COLUMNS>(slopes, queryTile, keySums);
      __syncthreads();
    }
  }
  finishLoads();
  write<D>(keySums, scale, headStart(dk, dkStrides, at.batch, at.head), dkStrides.position, first,
           keys, headSize);
  write<D>(valueSums, 1.0f, headStart(dv, dvStrides, at.batch, at.head), dvStrides.position, first,
           keys, headSize);
}

// ---- entries: with the parameters of those of attention.cu

#define ENTRIES(D, FORWARD_COLUMNS, BACKWARD_COLUMNS)                                             \
  ENTRY __launch_bounds__(THREADS, 2) heddle_attention_mma_forward_##D(                              \
      Problem problem, const bf16* q, HeadStrides qStrides, const bf16* k, HeadStrides kStrides,  \
      const bf16* v, HeadStrides vStrides, float scale, bf16* out, HeadStrides outStrides,        \
      float* logSumExp) {                                                                         \
    forward<D, FORWARD_COLUMNS>(problem, q, qStrides, k, kStrides, v, vStrides, scale, out,       \
                                outStrides, logSumExp);                                           \
  }                                                                                               \
  ENTRY __launch_bounds__(THREADS, 2) heddle_attention_mma_backward_queries_##D(                     \
      Problem problem, const bf16* q, HeadStrides qStrides, const bf16* k, HeadStrides kStrides,  \
      const bf16* v, HeadStrides vStrides, const float* logSumExp, const float* delta,            \
      const bf16* dout, HeadStrides doutStrides, float scale, bf16* dq, HeadStrides dqStrides) {  \
    backwardOfQueries<D, BACKWARD_COLUMNS>(problem, q, qStrides, k, kStrides, v, vStrides,        \
                                           logSumExp, delta, dout, doutStrides, scale, dq,        \
                                           dqStrides);                                            \
  }                                                                                               \
  ENTRY __launch_bounds__(THREADS, 2) heddle_attention_mma_backward_keys_##D(                        \
      Problem problem, const bf16* q, HeadStrides qStrides, const bf16* k, HeadStrides kStrides,  \
      const bf16* v, HeadStrides vStrides, const float* logSumExp, const float* delta,            \
      const bf16* dout, HeadStrides doutStrides, float scale, bf16* dk, HeadStrides dkStrides,    \
      bf16* dv, HeadStrides dvStrides) {                                                          \
    backwardOfKeys<D, BACKWARD_COLUMNS>(problem, q, qStrides, k, kStrides, v, vStrides,           \
                                        logSumExp, delta, dout, doutStrides, scale, dk,           \
                                        dkStrides, dv, dvStrides);                                \
  }

ENTRIES(32, 64, 64)
ENTRIES(64, 64, 64)
ENTRIES(128, 64, 32)
