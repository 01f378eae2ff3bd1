// What all kernels share: element types, packs of them, index arithmetic, reductions.
//
// A source that computes in floating point is compiled once a type, with -DREAL_F32, -DREAL_BF16 or
// -DREAL_F64: Real is the type of elements, Sum the one in which sums are formed (float for float
// and bf16, double for double), and KERNEL(name) the entry's name with the type behind it. So a run
// loads the code of its own type only.
//
// Rules for every kernel here:
//  - entries are extern "C" and nothing is in an anonymous namespace, so that the PTX does not
//    depend on the names of files and folders;
//  - sizes and strides are int64 (positions within strided arrays 32 bits: the host cuts larger
//    ones), strides count elements;
//  - sums have an order that depends on sizes and alignment alone: no floating-point atomics;
//  - a launch with fewer threads than elements walks on by the size of the grid;
//  - where an output may be an input, no pointer is declared __restrict__.
#pragma once

typedef long long int64;
typedef unsigned long long uint64;

// ---- element types

// The upper half of a float.
struct bf16 {
  unsigned short bits;
};

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }
__device__ __forceinline__ float widen(bf16 x) {
  return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
}

// To nearest, ties to even; NaN stays a quiet NaN with its upper bits, as DType.floatToBf16 has it.
__device__ __forceinline__ unsigned bf16Bits(float x) {
  unsigned bits = __float_as_uint(x);
  unsigned rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return nan ? (bits >> 16) | 0x40u : rounded;
}

__device__ __forceinline__ bf16 roundToBf16(float x) {
  bf16 result;
  result.bits = static_cast<unsigned short>(bf16Bits(x));
  return result;
}

#define JOIN_AGAIN(a, b) a##b
#define JOIN(a, b) JOIN_AGAIN(a, b)
#define ENTRY extern "C" __global__ void

#if defined(REAL_F32)
typedef float Real;
typedef float Sum;
#define KERNEL(name) JOIN(name, _f32)
#elif defined(REAL_BF16)
typedef bf16 Real;
typedef float Sum;
#define KERNEL(name) JOIN(name, _bf16)
#elif defined(REAL_F64)
typedef double Real;
typedef double Sum;
#define KERNEL(name) JOIN(name, _f64)
#endif

#if defined(REAL_BF16)
__device__ __forceinline__ Real narrow(Sum x) { return roundToBf16(x); }
#elif defined(REAL_F32) || defined(REAL_F64)
__device__ __forceinline__ Real narrow(Sum x) { return x; }
#endif

// ---- packs: as many elements as one load takes

#if defined(REAL_F64)
const int PACK = 2;
#else
const int PACK = 4;
#endif

__device__ __forceinline__ void loadPack(const float* from, float (&to)[4]) {
  float4 v = *reinterpret_cast<const float4*>(from);
  to[0] = v.x;
  to[1] = v.y;
  to[2] = v.z;
  to[3] = v.w;
}
__device__ __forceinline__ void storePack(const float (&from)[4], float* to) {
  *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
}

__device__ __forceinline__ void loadPack(const double* from, double (&to)[2]) {
  double2 v = *reinterpret_cast<const double2*>(from);
  to[0] = v.x;
  to[1] = v.y;
}
__device__ __forceinline__ void storePack(const double (&from)[2], double* to) {
  *reinterpret_cast<double2*>(to) = make_double2(from[0], from[1]);
}

__device__ __forceinline__ void loadPack(const bf16* from, float (&to)[4]) {
  uint2 v = *reinterpret_cast<const uint2*>(from);
  to[0] = __uint_as_float(v.x << 16);
  to[1] = __uint_as_float(v.x & 0xffff0000u);
  to[2] = __uint_as_float(v.y << 16);
  to[3] = __uint_as_float(v.y & 0xffff0000u);
}
__device__ __forceinline__ void storePack(const float (&from)[4], bf16* to) {
  *reinterpret_cast<uint2*>(to) = make_uint2(bf16Bits(from[0]) | bf16Bits(from[1]) << 16,
                                             bf16Bits(from[2]) | bf16Bits(from[3]) << 16);
}

// Whether packs can be read and written here.
template <class T>
__device__ __forceinline__ bool packed(const T* pointer) {
  return (reinterpret_cast<uint64>(pointer) & (sizeof(T) * PACK - 1)) == 0;
}

// ---- which thread this is

__device__ __forceinline__ int64 globalThread() {
  return static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ int64 globalThreads() {
  return static_cast<int64>(gridDim.x) * blockDim.x;
}

// ---- arrays of any strides

// The sizes or strides of up to six dims, outermost first. Unused dims come first, with size 1.
struct Six {
  int64 at[6];
};

// The indices of a flat, row-major position.
__device__ __forceinline__ void unravel(unsigned position, const Six& dims,
                                        unsigned (&indices)[6]) {
#pragma unroll
  for (int i = 5; i > 0; i--) {
    unsigned size = static_cast<unsigned>(dims.at[i]);
    // Unused dims cost no division: the test is the same for all threads.
    unsigned above = size == 1 ? position : position / size;
    indices[i] = position - above * size;
    position = above;
  }
  indices[0] = position;
}

__device__ __forceinline__ int64 offset(const unsigned (&indices)[6], const Six& strides) {
  int64 sum = 0;
#pragma unroll
  for (int i = 0; i < 6; i++) {
    sum += static_cast<int64>(indices[i]) * strides.at[i];
  }
  return sum;
}

// ---- reductions in a fixed order

struct Add {
  template <class S>
  static __device__ __forceinline__ S of(S a, S b) {
    return a + b;
  }
};

// All lanes get the result.
template <class Combine, class S>
__device__ __forceinline__ S warpReduce(S value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value = Combine::of(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  return value;
}

// All threads of a block of whole warps, at most 32, get the result. The shared memory may be that
// of the reduction before.
template <class S>
__device__ __forceinline__ S blockSum(S value, S (&shared)[32]) {
  value = warpReduce<Add>(value);
  int warps = blockDim.x / 32;
  if (warps == 1) {
    return value;
  }
  int lane = threadIdx.x % 32;
  __syncthreads();
  if (lane == 0) {
    shared[threadIdx.x / 32] = value;
  }
  __syncthreads();
  value = lane < warps ? shared[lane] : S(0);
  return warpReduce<Add>(value);
}

// ---- maths in either precision

__device__ __forceinline__ float minusInfinity(float) { return __int_as_float(0xff800000); }
__device__ __forceinline__ double minusInfinity(double) {
  return __longlong_as_double(0xfff0000000000000ll);
}
__device__ __forceinline__ float exponential(float x) { return expf(x); }
__device__ __forceinline__ double exponential(double x) { return exp(x); }
__device__ __forceinline__ float logarithm(float x) { return logf(x); }
__device__ __forceinline__ double logarithm(double x) { return log(x); }
__device__ __forceinline__ float squareRoot(float x) { return sqrtf(x); }
__device__ __forceinline__ double squareRoot(double x) { return sqrt(x); }

template <class S>
__device__ __forceinline__ S sigmoid(S x) {
  return S(1) / (S(1) + exponential(-x));
}

// ---- the rows of a matrix, one block each

#if defined(KERNEL)
// Calls f(column, value) for the thread's share of a row.
template <class F>
__device__ __forceinline__ void eachOfRow(const Real* row, int64 columns, F f) {
  int64 start = 0;
  if (packed(row)) {
    int64 packs = columns / PACK;
#pragma unroll 1
    for (int64 i = threadIdx.x; i < packs; i += blockDim.x) {
      Sum values[PACK];
      loadPack(row + i * PACK, values);
#pragma unroll
      for (int j = 0; j < PACK; j++) {
        f(i * PACK + j, values[j]);
      }
    }
    start = packs * PACK;
  }
#pragma unroll 1
  for (int64 i = start + threadIdx.x; i < columns; i += blockDim.x) {
    f(i, widen(row[i]));
  }
}

// y[column] = f(column, x[column]) for the thread's share of a row; y may be x.
template <class F>
__device__ __forceinline__ void mapRow(const Real* x, int64 columns, Real* y, F f) {
  int64 start = 0;
  if (packed(x) && packed(y)) {
    int64 packs = columns / PACK;
#pragma unroll 1
    for (int64 i = threadIdx.x; i < packs; i += blockDim.x) {
      Sum values[PACK];
      loadPack(x + i * PACK, values);
#pragma unroll
      for (int j = 0; j < PACK; j++) {
        values[j] = f(i * PACK + j, values[j]);
      }
      storePack(values, y + i * PACK);
    }
    start = packs * PACK;
  }
#pragma unroll 1
  for (int64 i = start + threadIdx.x; i < columns; i += blockDim.x) {
    y[i] = narrow(f(i, widen(x[i])));
  }
}
#endif
