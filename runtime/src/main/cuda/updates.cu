// The optimizer's step, and what is drawn at random.
#include "heddle.cuh"

// ---- AdamW

// The numbers of a step with both corrections moved out of the loop:
//   w = keep w - rate m / (sqrt(v) root + epsilon)
struct Step {
  double gradientScale;
  double beta1;
  double rest1;
  double beta2;
  double rest2;
  double root;
  double rate;
  double epsilon;
  double keep;
};

struct Numbers {
  Sum gradientScale, beta1, rest1, beta2, rest2, root, rate, epsilon, keep;
};

__device__ __forceinline__ Numbers numbers(const Step& step) {
  return {Sum(step.gradientScale), Sum(step.beta1), Sum(step.rest1),   Sum(step.beta2),
          Sum(step.rest2),         Sum(step.root),  Sum(step.rate),    Sum(step.epsilon),
          Sum(step.keep)};
}

__device__ __forceinline__ void update(const Numbers& a, Sum gradient, Sum& weight, Sum& first,
                                       Sum& second) {
  Sum g = gradient * a.gradientScale;
  first = first * a.beta1 + g * a.rest1;
  second = second * a.beta2 + g * g * a.rest2;
  weight = weight * a.keep - first * a.rate / (squareRoot(second) * a.root + a.epsilon);
}

// What stays the same from step to step.
struct Constants {
  double beta1;
  double beta2;
  double epsilon;
  double weightDecay;
};

// Four numbers of the device's memory; see StepControl in Java.
struct Update {
  double go;
  double rate;
  double step;
  double gradientScale;
};

// base^exponent by squaring: the exponent counts steps, and pow() would bring a table along.
__device__ __forceinline__ double power(double base, int64 exponent) {
  double result = 1;
#pragma unroll 1
  while (exponent > 0) {
    if (exponent & 1) {
      result *= base;
    }
    base *= base;
    exponent >>= 1;
  }
  return result;
}

__device__ __forceinline__ Step stepOf(const Constants& c, const Update& u, bool decays) {
  int64 step = static_cast<int64>(u.step);
  double correction1 = 1 - power(c.beta1, step);
  double correction2 = 1 - power(c.beta2, step);
  double decay = decays ? c.weightDecay : 0;
  return {u.gradientScale, c.beta1,   1 - c.beta1, c.beta2,
          1 - c.beta2,     1 / sqrt(correction2), u.rate / correction1, c.epsilon,
          1 - u.rate * decay};
}

// One of many tensors, of which each has blocks of its own. copy may be null.
struct Tensor {
  int64 firstBlock;
  int64 size;
  Sum* weight;
  const Real* gradient;
  Sum* firstMoment;
  Sum* secondMoment;
  Real* copy;
  int64 decays;
};

// Elements start to end of a tensor, by the threads from `thread` on, `threads` apart.
__device__ __forceinline__ void updateRange(const Numbers& a, const Tensor& t, int64 start,
                                            int64 end, int64 thread, int64 threads) {
  bool packs = packed(t.weight) && packed(t.gradient) && packed(t.firstMoment) &&
               packed(t.secondMoment) && (t.copy == nullptr || packed(t.copy));
  int64 rest = start;
  if (packs) {
    int64 count = (end - start) / PACK;
#pragma unroll 1
    for (int64 i = thread; i < count; i += threads) {
      int64 at = start + i * PACK;
      Sum g[PACK];
      Sum w[PACK];
      Sum m[PACK];
      Sum v[PACK];
      loadPack(t.gradient + at, g);
      loadPack(t.weight + at, w);
      loadPack(t.firstMoment + at, m);
      loadPack(t.secondMoment + at, v);
#pragma unroll
      for (int j = 0; j < PACK; j++) {
        update(a, g[j], w[j], m[j], v[j]);
      }
      storePack(w, t.weight + at);
      storePack(m, t.firstMoment + at);
      storePack(v, t.secondMoment + at);
      if (t.copy != nullptr) {
        storePack(w, t.copy + at);
      }
    }
    rest = start + count * PACK;
  }
#pragma unroll 1
  for (int64 i = rest + thread; i < end; i += threads) {
    Sum w = t.weight[i];
    Sum m = t.firstMoment[i];
    Sum v = t.secondMoment[i];
    update(a, widen(t.gradient[i]), w, m, v);
    t.weight[i] = w;
    t.firstMoment[i] = m;
    t.secondMoment[i] = v;
    if (t.copy != nullptr) {
      t.copy[i] = narrow(w);
    }
  }
}

// One tensor. copy receives the new weight as Real, or is null.
ENTRY KERNEL(heddle_update_adamw)(Step step, int64 n, Sum* weight, const Real* gradient,
                                  Sum* firstMoment, Sum* secondMoment, Real* copy) {
  Tensor tensor = {0, n, weight, gradient, firstMoment, secondMoment, copy, 0};
  updateRange(numbers(step), tensor, 0, n, globalThread(), globalThreads());
}

const int UPDATES_EACH = 8192;

// Many tensors in one launch, UPDATES_EACH elements a block.
ENTRY KERNEL(heddle_update_adamw_many)(Constants constants, const Update* given, int count,
                                       const Tensor* tensors) {
  Update now = *given;
  if (now.go == 0) {
    return;
  }
  int first = 0;
  int last = count - 1;
#pragma unroll 1
  while (first < last) {
    int middle = (first + last + 1) / 2;
    if (tensors[middle].firstBlock <= blockIdx.x) {
      first = middle;
    } else {
      last = middle - 1;
    }
  }
  Tensor tensor = tensors[first];
  int64 start = (blockIdx.x - tensor.firstBlock) * UPDATES_EACH;
  int64 end = start + UPDATES_EACH < tensor.size ? start + UPDATES_EACH : tensor.size;
  // Double precision is slow where it is not needed: once a block.
  __shared__ Numbers shared;
  if (threadIdx.x == 0) {
    shared = numbers(stepOf(constants, now, tensor.decays != 0));
  }
  __syncthreads();
  updateRange(shared, tensor, start, end, threadIdx.x, blockDim.x);
}

// ---- random: Philox 4x32 with ten rounds, by global index

struct Stream {
  uint64 seed;
  uint64 stream;
};

// The four words of the block with that counter; see Random.block in Java.
__device__ __forceinline__ void philox(const Stream& key, uint64 counter, unsigned (&words)[4]) {
  unsigned c0 = static_cast<unsigned>(counter);
  unsigned c1 = static_cast<unsigned>(counter >> 32);
  unsigned c2 = static_cast<unsigned>(key.stream);
  unsigned c3 = static_cast<unsigned>(key.stream >> 32);
  unsigned k0 = static_cast<unsigned>(key.seed);
  unsigned k1 = static_cast<unsigned>(key.seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; round++) {
    unsigned high0 = __umulhi(0xD2511F53u, c0);
    unsigned low0 = 0xD2511F53u * c0;
    unsigned high1 = __umulhi(0xCD9E8D57u, c2);
    unsigned low1 = 0xCD9E8D57u * c2;
    c0 = high1 ^ c1 ^ k0;
    c2 = high0 ^ c3 ^ k1;
    c1 = low1;
    c3 = low0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  words[0] = c0;
  words[1] = c1;
  words[2] = c2;
  words[3] = c3;
}

__device__ __forceinline__ unsigned pick(const unsigned (&words)[4], int i) {
  unsigned low = i & 1 ? words[1] : words[0];
  unsigned high = i & 1 ? words[3] : words[2];
  return i & 2 ? high : low;
}

// Elements a thread draws in turn: neighbours share a block of words.
const int DRAWS = 4;

// Calls f(position, words, word) for each element; its global index is base plus its indices times
// the strides.
template <class F>
__device__ __forceinline__ void draw(const Stream& key, int n, const Six& dims, int64 base,
                                     const Six& strides, F f) {
  unsigned words[4];
  uint64 current = ~static_cast<uint64>(0);
#pragma unroll 1
  for (int64 start = globalThread() * DRAWS; start < n; start += globalThreads() * DRAWS) {
#pragma unroll 1
    for (int i = 0; i < DRAWS && start + i < n; i++) {
      unsigned indices[6];
      unravel(static_cast<unsigned>(start + i), dims, indices);
      uint64 element = base + offset(indices, strides);
      uint64 counter = element >> 2;
      if (counter != current) {
        philox(key, counter, words);
        current = counter;
      }
      f(start + i, indices, words, static_cast<int>(element & 3));
    }
  }
}

// From double, rounded as DType.write does.
__device__ __forceinline__ Real narrowDouble(double x) { return narrow(static_cast<Sum>(x)); }

// y = low + range u, the product and sum rounded one by one as in Java.
ENTRY KERNEL(heddle_update_uniform)(Stream key, int n, Six dims, int64 base, Six globalStrides,
                                    double low, double range, Real* y, Six yStrides) {
  draw(key, n, dims, base, globalStrides,
       [&](int64, const unsigned(&indices)[6], const unsigned(&words)[4], int word) {
         double u = (pick(words, word) >> 8) * 0x1p-24;
         y[offset(indices, yStrides)] = narrowDouble(__dadd_rn(low, __dmul_rn(range, u)));
       });
}

// y = mean + deviation n, with Box-Muller in double on the words of the element's pair.
ENTRY KERNEL(heddle_update_normal)(Stream key, int n, Six dims, int64 base, Six globalStrides,
                                   double mean, double deviation, Real* y, Six yStrides) {
  draw(key, n, dims, base, globalStrides,
       [&](int64, const unsigned(&indices)[6], const unsigned(&words)[4], int word) {
         unsigned bitsOfRadius = word & 2 ? words[2] : words[0];
         unsigned bitsOfAngle = word & 2 ? words[3] : words[1];
         double u = (static_cast<double>(bitsOfRadius) + 1) * 0x1p-32;
         double radius = sqrt(-2 * log(u));
         double turns = 2 * (bitsOfAngle * 0x1p-32);
         // Sine is cosine a quarter turn back: exact, as turns has 31 bits after the point.
         double value = radius * cospi((word & 1) == 0 ? turns : turns - 0.5);
         y[offset(indices, yStrides)] = narrowDouble(mean + deviation * value);
       });
}

// y = x keep where the 24 bits of u are not below threshold, else 0. Contiguous; y may be x.
ENTRY KERNEL(heddle_update_dropout)(Stream key, int n, Six dims, int64 base, Six globalStrides,
                                    unsigned threshold, Sum keep, const Real* x, Real* y) {
  draw(key, n, dims, base, globalStrides,
       [&](int64 position, const unsigned(&)[6], const unsigned(&words)[4], int word) {
         bool kept = (pick(words, word) >> 8) >= threshold;
         y[position] = narrow(kept ? widen(x[position]) * keep : Sum(0));
       });
}
