// Functions of single elements, each beside its derivative, with broadcasting for those of two
// variables.
#include "heddle.cuh"

// In the order of UnaryOperation and BinaryOperation in Java.
enum Unary { IDENTITY, NEGATE, EXP, LOG, SQRT, RECIPROCAL, SQUARE, TANH, SIGMOID, RELU, GELU, SILU };
enum Binary { ADD, SUBTRACT, MULTIPLY, DIVIDE, MAXIMUM };

#define EACH_UNARY(CASE)                                                                   \
  CASE(IDENTITY) CASE(NEGATE) CASE(EXP) CASE(LOG) CASE(SQRT) CASE(RECIPROCAL) CASE(SQUARE) \
  CASE(TANH) CASE(SIGMOID) CASE(RELU) CASE(GELU) CASE(SILU)
#define EACH_BINARY(CASE) CASE(ADD) CASE(SUBTRACT) CASE(MULTIPLY) CASE(DIVIDE) CASE(MAXIMUM)

__device__ __forceinline__ float hyperbolicTangent(float x) { return tanhf(x); }
__device__ __forceinline__ double hyperbolicTangent(double x) { return tanh(x); }
__device__ __forceinline__ float complementaryError(float x) { return erfcf(x); }
__device__ __forceinline__ double complementaryError(double x) { return erfc(x); }

// The standard normal distribution function; through erfc its lower tail keeps its digits.
__device__ __forceinline__ Sum normalDistribution(Sum x) {
  return Sum(0.5) * complementaryError(x * Sum(-0.70710678118654752440));
}

template <int OP>
__device__ __forceinline__ Sum function(Sum x) {
  switch (OP) {
    case NEGATE:
      return -x;
    case EXP:
      return exponential(x);
    case LOG:
      return logarithm(x);
    case SQRT:
      return squareRoot(x);
    case RECIPROCAL:
      return Sum(1) / x;
    case SQUARE:
      return x * x;
    case TANH:
      return hyperbolicTangent(x);
    case SIGMOID:
      return sigmoid(x);
    case RELU:
      // Not fmax: NaN must stay NaN. The sum makes -0 a 0.
      return x < Sum(0) ? Sum(0) : x + Sum(0);
    case GELU:
      return x * normalDistribution(x);
    case SILU:
      return x * sigmoid(x);
    default:
      return x;
  }
}

template <int OP>
__device__ __forceinline__ Sum derivative(Sum x) {
  switch (OP) {
    case NEGATE:
      return Sum(-1);
    case EXP:
      return exponential(x);
    case LOG:
      return Sum(1) / x;
    case SQRT:
      return Sum(0.5) / squareRoot(x);
    case RECIPROCAL:
      return Sum(-1) / (x * x);
    case SQUARE:
      return Sum(2) * x;
    case TANH: {
      Sum y = hyperbolicTangent(x);
      return Sum(1) - y * y;
    }
    case SIGMOID: {
      Sum y = sigmoid(x);
      return y * (Sum(1) - y);
    }
    case RELU:
      return x > Sum(0) ? Sum(1) : Sum(0);
    case GELU:
      return normalDistribution(x) +
             x * Sum(0.39894228040143267794) * exponential(Sum(-0.5) * x * x);
    case SILU: {
      Sum y = sigmoid(x);
      return y * (Sum(1) + x * (Sum(1) - y));
    }
    default:
      return Sum(1);
  }
}

template <int OP>
__device__ __forceinline__ Sum function(Sum a, Sum b) {
  switch (OP) {
    case SUBTRACT:
      return a - b;
    case MULTIPLY:
      return a * b;
    case DIVIDE:
      return a / b;
    case MAXIMUM:
      return a > b || a != a ? a : b;
    default:
      return a + b;
  }
}

// ---- walks over contiguous arrays

// y = f(x); y may be x.
template <class F>
__device__ __forceinline__ void map(int64 n, const Real* x, Real* y, F f) {
  int64 start = 0;
  if (packed(x) && packed(y)) {
    int64 packs = n / PACK;
#pragma unroll 1
    for (int64 i = globalThread(); i < packs; i += globalThreads()) {
      Sum values[PACK];
      loadPack(x + i * PACK, values);
#pragma unroll
      for (int j = 0; j < PACK; j++) {
        values[j] = f(values[j]);
      }
      storePack(values, y + i * PACK);
    }
    start = packs * PACK;
  }
#pragma unroll 1
  for (int64 i = start + globalThread(); i < n; i += globalThreads()) {
    y[i] = narrow(f(widen(x[i])));
  }
}

// y = f(a, b); y may be a or b.
template <class F>
__device__ __forceinline__ void map(int64 n, const Real* a, const Real* b, Real* y, F f) {
  int64 start = 0;
  if (packed(a) && packed(b) && packed(y)) {
    int64 packs = n / PACK;
#pragma unroll 1
    for (int64 i = globalThread(); i < packs; i += globalThreads()) {
      Sum left[PACK];
      Sum right[PACK];
      loadPack(a + i * PACK, left);
      loadPack(b + i * PACK, right);
#pragma unroll
      for (int j = 0; j < PACK; j++) {
        left[j] = f(left[j], right[j]);
      }
      storePack(left, y + i * PACK);
    }
    start = packs * PACK;
  }
#pragma unroll 1
  for (int64 i = start + globalThread(); i < n; i += globalThreads()) {
    y[i] = narrow(f(widen(a[i]), widen(b[i])));
  }
}

// y = op(x). The choice of the operation is made once a thread, not once an element.
ENTRY KERNEL(heddle_elementwise_unary)(int op, int64 n, const Real* x, Real* y) {
  switch (op) {
#define CASE(OP)                                           \
  case OP:                                                 \
    map(n, x, y, [](Sum v) { return function<OP>(v); });   \
    break;
    EACH_UNARY(CASE)
#undef CASE
  }
}

// dx = op'(x) dy.
ENTRY KERNEL(heddle_elementwise_unary_backward)(int op, int64 n, const Real* x, const Real* dy,
                                                Real* dx) {
  switch (op) {
#define CASE(OP)                                                              \
  case OP:                                                                    \
    map(n, x, dy, dx, [](Sum v, Sum d) { return d * derivative<OP>(v); });    \
    break;
    EACH_UNARY(CASE)
#undef CASE
  }
}

// y = op(a, b), all of one shape.
ENTRY KERNEL(heddle_elementwise_binary)(int op, int64 n, const Real* a, const Real* b, Real* y) {
  switch (op) {
#define CASE(OP)                                                       \
  case OP:                                                             \
    map(n, a, b, y, [](Sum l, Sum r) { return function<OP>(l, r); });  \
    break;
    EACH_BINARY(CASE)
#undef CASE
  }
}

// y = op(a, b) with a and b of any strides, 0 where they are stretched; y contiguous.
ENTRY KERNEL(heddle_elementwise_binary_broadcast)(int op, int n, Six dims, const Real* a,
                                                  Six aStrides, const Real* b, Six bStrides,
                                                  Real* y) {
#pragma unroll 1
  for (int64 i = globalThread(); i < n; i += globalThreads()) {
    unsigned indices[6];
    unravel(static_cast<unsigned>(i), dims, indices);
    Sum left = widen(a[offset(indices, aStrides)]);
    Sum right = widen(b[offset(indices, bStrides)]);
    Sum result = left;
    switch (op) {
#define CASE(OP)                        \
  case OP:                              \
    result = function<OP>(left, right); \
    break;
      EACH_BINARY(CASE)
#undef CASE
    }
    y[i] = narrow(result);
  }
}

// y = alpha x.
ENTRY KERNEL(heddle_elementwise_scale)(int64 n, const Real* x, Sum alpha, Real* y) {
  map(n, x, y, [=](Sum v) { return alpha * v; });
}

// y += alpha x.
ENTRY KERNEL(heddle_elementwise_add_scaled)(int64 n, const Real* x, Sum alpha, Real* y) {
  map(n, x, y, y, [=](Sum v, Sum sum) { return sum + alpha * v; });
}

// ---- the gated unit

// y = silu(gate) up; rows of gate and up strided.
ENTRY KERNEL(heddle_elementwise_swiglu)(int64 rows, int64 columns, const Real* gate,
                                        int64 gateStride, const Real* up, int64 upStride, Real* y) {
#pragma unroll 1
  for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
    const Real* ups = up + row * upStride;
    mapRow(gate + row * gateStride, columns, y + row * columns,
           [=](int64 column, Sum g) { return widen(ups[column]) * g * sigmoid(g); });
  }
}

// The gradients of gate and up, whose rows may be strided too.
ENTRY KERNEL(heddle_elementwise_swiglu_backward)(int64 rows, int64 columns, const Real* gate,
                                                 int64 gateStride, const Real* up, int64 upStride,
                                                 const Real* dy, Real* dgate, int64 dgateStride,
                                                 Real* dup, int64 dupStride) {
#pragma unroll 1
  for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
    const Real* gates = gate + row * gateStride;
    const Real* ups = up + row * upStride;
    Real* dgates = dgate + row * dgateStride;
    Real* dups = dup + row * dupStride;
    eachOfRow(dy + row * columns, columns, [=](int64 column, Sum d) {
      Sum g = widen(gates[column]);
      Sum s = sigmoid(g);
      dgates[column] = narrow(d * widen(ups[column]) * s * (Sum(1) + g * (Sum(1) - s)));
      dups[column] = narrow(d * g * s);
    });
  }
}
