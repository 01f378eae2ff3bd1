// Fill, copy, cast and the gather of rows: for every dtype, by the size of its elements where only
// bits move.
#include "rows.cuh"

typedef unsigned char b8;
typedef unsigned short b16;
typedef unsigned b32;
typedef uint64 b64;

struct alignas(16) b128 {
  uint64 low, high;
};

template <class T>
__device__ __forceinline__ bool alignedTo16(const T* pointer) {
  return (reinterpret_cast<uint64>(pointer) & 15) == 0;
}

// ---- fill

// y = pattern, the element's bits as often as they fit.
template <class T>
__device__ __forceinline__ void fill(int64 n, uint64 pattern, T* y) {
  const int size = 16 / sizeof(T);
  int64 start = 0;
  if (alignedTo16(y)) {
    int64 packs = n / size;
    b128 pack = {pattern, pattern};
#pragma unroll 1
    for (int64 i = globalThread(); i < packs; i += globalThreads()) {
      reinterpret_cast<b128*>(y)[i] = pack;
    }
    start = packs * size;
  }
#pragma unroll 1
  for (int64 i = start + globalThread(); i < n; i += globalThreads()) {
    y[i] = static_cast<T>(pattern);
  }
}

template <class T>
__device__ __forceinline__ void fillStrided(int n, uint64 pattern, const Six& dims, T* y,
                                            const Six& strides) {
#pragma unroll 1
  for (int64 i = globalThread(); i < n; i += globalThreads()) {
    unsigned indices[6];
    unravel(static_cast<unsigned>(i), dims, indices);
    y[offset(indices, strides)] = static_cast<T>(pattern);
  }
}

// ---- copy

template <class T>
__device__ __forceinline__ void copy(int64 n, const T* x, T* y) {
  const int size = 16 / sizeof(T);
  int64 start = 0;
  if (alignedTo16(x) && alignedTo16(y)) {
    int64 packs = n / size;
#pragma unroll 1
    for (int64 i = globalThread(); i < packs; i += globalThreads()) {
      reinterpret_cast<uint4*>(y)[i] = reinterpret_cast<const uint4*>(x)[i];
    }
    start = packs * size;
  }
#pragma unroll 1
  for (int64 i = start + globalThread(); i < n; i += globalThreads()) {
    y[i] = x[i];
  }
}

template <class T>
__device__ __forceinline__ void copyStrided(int n, const Six& dims, const T* x,
                                            const Six& xStrides, T* y, const Six& yStrides) {
#pragma unroll 1
  for (int64 i = globalThread(); i < n; i += globalThreads()) {
    unsigned indices[6];
    unravel(static_cast<unsigned>(i), dims, indices);
    y[offset(indices, yStrides)] = x[offset(indices, xStrides)];
  }
}

// y[m, n] = x[m, n] where x is dense along m and y along n: by tiles through shared memory, so that
// both are read and written in runs. The grid is tiles of n by tiles of m by the other dims; a
// block has 32 by 8 threads.
template <class T>
__device__ __forceinline__ void transpose(int m, int n, const T* x, int64 xStride, T* y,
                                          int64 yStride, const Six& others, const Six& xStrides,
                                          const Six& yStrides) {
  __shared__ T tile[32][33];
  unsigned indices[6];
  unravel(blockIdx.z, others, indices);
  x += offset(indices, xStrides);
  y += offset(indices, yStrides);
  int firstM = blockIdx.y * 32;
  int firstN = blockIdx.x * 32;
  int fromM = firstM + threadIdx.x;
#pragma unroll
  for (int i = 0; i < 32; i += 8) {
    int fromN = firstN + threadIdx.y + i;
    if (fromM < m && fromN < n) {
      tile[threadIdx.y + i][threadIdx.x] = x[fromM + fromN * xStride];
    }
  }
  __syncthreads();
  int toN = firstN + threadIdx.x;
#pragma unroll
  for (int i = 0; i < 32; i += 8) {
    int toM = firstM + threadIdx.y + i;
    if (toM < m && toN < n) {
      y[toM * yStride + toN] = tile[threadIdx.x][threadIdx.y + i];
    }
  }
}

// ---- gather of rows

// y[i,:] = x[rows[i],:], zeros for a negative row and for one out of range, which is reported.
template <class T>
__device__ __forceinline__ void gather(int64 n, int64 columns, const T* x, int64 xStride,
                                       int64 rowCount, const void* rows, int wide, T* y,
                                       int64 yStride, RowFault* fault) {
  int64 step = static_cast<int64>(gridDim.x) * blockDim.y;
#pragma unroll 1
  for (int64 i = static_cast<int64>(blockIdx.x) * blockDim.y + threadIdx.y; i < n; i += step) {
    int64 row = rowAt(rows, wide, i);
    bool inside = row >= 0 && row < rowCount;
    if (row >= rowCount && threadIdx.x == 0) {
      reportRow(fault, 0, i, row, rowCount);
    }
    const T* from = x + (inside ? row : 0) * xStride;
    T* to = y + i * yStride;
#pragma unroll 1
    for (int64 j = threadIdx.x; j < columns; j += blockDim.x) {
      T value = {};
      if (inside) {
        value = from[j];
      }
      to[j] = value;
    }
  }
}

// ---- row numbers of a part

// local[i] = rows[i] - first where that is one of the part's rows, else -1; a row that no part has is
// reported.
ENTRY heddle_movement_local_rows(int64 n, const void* rows, int wide, int64 first, int64 count,
                                 int64 all, int64* local, RowFault* fault) {
#pragma unroll 1
  for (int64 i = globalThread(); i < n; i += globalThreads()) {
    int64 row = rowAt(rows, wide, i);
    if (row >= all) {
      reportRow(fault, 3, i, row, all);
    }
    int64 here = row - first;
    local[i] = here >= 0 && here < count ? here : -1;
  }
}

// ---- entries by element size

#define GATHER(T)                                                                              \
  ENTRY heddle_movement_gather_##T(int64 n, int64 columns, const T* x, int64 xStride,          \
                                   int64 rowCount, const void* rows, int wide, T* y,           \
                                   int64 yStride, RowFault* fault) {                           \
    gather(n, columns, x, xStride, rowCount, rows, wide, y, yStride, fault);                   \
  }

#define BITS(T)                                                                                \
  ENTRY heddle_movement_fill_##T(int64 n, uint64 pattern, T* y) { fill(n, pattern, y); }       \
  ENTRY heddle_movement_fill_strided_##T(int n, uint64 pattern, Six dims, T* y, Six strides) { \
    fillStrided(n, pattern, dims, y, strides);                                                 \
  }                                                                                            \
  ENTRY heddle_movement_copy_##T(int64 n, const T* x, T* y) { copy(n, x, y); }                 \
  ENTRY heddle_movement_copy_strided_##T(int n, Six dims, const T* x, Six xStrides, T* y,      \
                                         Six yStrides) {                                       \
    copyStrided(n, dims, x, xStrides, y, yStrides);                                            \
  }                                                                                            \
  ENTRY heddle_movement_transpose_##T(int m, int n, const T* x, int64 xStride, T* y,           \
                                      int64 yStride, Six others, Six xStrides, Six yStrides) { \
    transpose(m, n, x, xStride, y, yStride, others, xStrides, yStrides);                       \
  }                                                                                            \
  GATHER(T)

BITS(b8)
BITS(b16)
BITS(b32)
BITS(b64)
GATHER(b128)

// ---- cast: by way of double, as DType.read and DType.write have it

typedef float f32;
typedef double f64;
typedef int i32;
typedef int64 i64;
typedef unsigned char u8;

template <class T>
__device__ __forceinline__ double asDouble(T x) {
  return static_cast<double>(x);
}
template <>
__device__ __forceinline__ double asDouble(bf16 x) {
  return widen(x);
}

// Toward zero, saturating; NaN is 0.
__device__ __forceinline__ int toInt(double x) { return x != x ? 0 : __double2int_rz(x); }

template <class T>
struct FromDouble;
template <>
struct FromDouble<f32> {
  static __device__ __forceinline__ f32 of(double x) { return __double2float_rn(x); }
};
template <>
struct FromDouble<f64> {
  static __device__ __forceinline__ f64 of(double x) { return x; }
};
template <>
struct FromDouble<bf16> {
  static __device__ __forceinline__ bf16 of(double x) { return roundToBf16(__double2float_rn(x)); }
};
template <>
struct FromDouble<i32> {
  static __device__ __forceinline__ i32 of(double x) { return toInt(x); }
};
template <>
struct FromDouble<i64> {
  static __device__ __forceinline__ i64 of(double x) { return x != x ? 0 : __double2ll_rz(x); }
};
template <>
struct FromDouble<u8> {
  static __device__ __forceinline__ u8 of(double x) { return static_cast<u8>(toInt(x)); }
};

#define CAST(FROM, TO)                                                                      \
  ENTRY heddle_movement_cast_##FROM##_##TO(int n, Six dims, const FROM* x, Six xStrides, TO* y, \
                                           Six yStrides) {                                  \
    _Pragma("unroll 1") for (int64 i = globalThread(); i < n; i += globalThreads()) {       \
      unsigned indices[6];                                                                  \
      unravel(static_cast<unsigned>(i), dims, indices);                                     \
      double value = asDouble(x[offset(indices, xStrides)]);                                \
      y[offset(indices, yStrides)] = FromDouble<TO>::of(value);                             \
    }                                                                                       \
  }

#define CASTS(FROM, A, B, C, D, E) \
  CAST(FROM, A) CAST(FROM, B) CAST(FROM, C) CAST(FROM, D) CAST(FROM, E)

CASTS(f32, f64, bf16, i32, i64, u8)
CASTS(f64, f32, bf16, i32, i64, u8)
CASTS(bf16, f32, f64, i32, i64, u8)
CASTS(i32, f32, f64, bf16, i64, u8)
CASTS(i64, f32, f64, bf16, i32, u8)
CASTS(u8, f32, f64, bf16, i32, i64)

// The pair that training casts by the billion: contiguous, a pack at a time.
template <class From, class To>
__device__ __forceinline__ void castPacks(int64 n, const From* x, To* y) {
  int64 start = 0;
  if (packed(x) && packed(y)) {
    int64 packs = n / PACK;
#pragma unroll 1
    for (int64 i = globalThread(); i < packs; i += globalThreads()) {
      float values[PACK];
      loadPack(x + i * PACK, values);
      storePack(values, y + i * PACK);
    }
    start = packs * PACK;
  }
#pragma unroll 1
  for (int64 i = start + globalThread(); i < n; i += globalThreads()) {
    y[i] = FromDouble<To>::of(widen(x[i]));
  }
}

ENTRY heddle_movement_widen(int64 n, const bf16* x, float* y) { castPacks(n, x, y); }
ENTRY heddle_movement_narrow(int64 n, const float* x, bf16* y) { castPacks(n, x, y); }
