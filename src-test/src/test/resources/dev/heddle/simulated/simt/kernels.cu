// Kernels as networks have them, for the tests of the simulated GPU: NvccKernelTest compiles this file for
// every architecture and compares with Java.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

// A row a block. Without its second barrier, a warp may write its sum where another still reads the maximum.
template <bool Sound>
__device__ void softmaxOfARow(const float* __restrict__ x, float* __restrict__ y, int n) {
  __shared__ float partial[32];
  const float* row = x + (long long)blockIdx.x * n;
  float greatest = -INFINITY;
  for (int i = threadIdx.x; i < n; i += blockDim.x) greatest = fmaxf(greatest, row[i]);
  for (int o = 16; o; o >>= 1)
    greatest = fmaxf(greatest, __shfl_xor_sync(0xffffffffu, greatest, o));
  if ((threadIdx.x & 31) == 0) partial[threadIdx.x >> 5] = greatest;
  __syncthreads();
  for (int w = 0; w < blockDim.x >> 5; w++) greatest = fmaxf(greatest, partial[w]);
  if (Sound) __syncthreads();
  float sum = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += expf(row[i] - greatest);
  for (int o = 16; o; o >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, o);
  if ((threadIdx.x & 31) == 0) partial[threadIdx.x >> 5] = sum;
  __syncthreads();
  sum = 0;
  for (int w = 0; w < blockDim.x >> 5; w++) sum += partial[w];
  for (int i = threadIdx.x; i < n; i += blockDim.x)
    y[(long long)blockIdx.x * n + i] = expf(row[i] - greatest) / sum;
}
extern "C" __global__ void softmax(const float* x, float* y, int n) { softmaxOfARow<true>(x, y, n); }
extern "C" __global__ void racing_softmax(const float* x, float* y, int n) { softmaxOfARow<false>(x, y, n); }

extern "C" __global__ void matmul(const float* a, const float* b, float* c, int n) {
  __shared__ float sa[16][17], sb[16][17];
  int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * 16 + y, column = blockIdx.x * 16 + x;
  float sum = 0;
  for (int k = 0; k < n; k += 16) {
    sa[y][x] = row < n && k + x < n ? a[row * n + k + x] : 0.f;
    sb[y][x] = k + y < n && column < n ? b[(k + y) * n + column] : 0.f;
    __syncthreads();
    for (int i = 0; i < 16; i++) sum = fmaf(sa[y][i], sb[i][x], sum);
    __syncthreads();
  }
  if (row < n && column < n) c[row * n + column] = sum;
}

extern "C" __global__ void total(const float* x, float* sum, double* exact, int* count, long long n) {
  float own = 0;
  for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n;
       i += (long long)gridDim.x * blockDim.x) own += x[i];
  __shared__ float block;
  if (threadIdx.x == 0) block = 0;
  __syncthreads();
  atomicAdd(&block, own);
  if (__syncthreads_or(own < 0)) atomicAdd(count, 1000);
  if (threadIdx.x == 0) { atomicAdd(sum, block); atomicAdd(exact, (double)block); }
  unsigned mask = __ballot_sync(0xffffffffu, own > 2.f);
  if ((threadIdx.x & 31) == 0) atomicAdd(count, __popc(mask));
}

extern "C" __global__ void single(const float* x, float* y, int f) {
  int i = threadIdx.x; float v = x[i], r = 0;
  switch (f) {
    case 0: r = expf(v); break;    case 1: r = logf(v); break;
    case 2: r = sinf(v); break;    case 3: r = tanhf(v); break;
    case 4: r = powf(v, 1.5f); break; case 5: r = erff(v); break;
    case 6: r = rsqrtf(v); break;  case 7: r = log1pf(v); break;
    case 8: r = expm1f(v); break;  case 9: r = cosf(v * 1e6f); break;
    case 10: r = fmodf(v, 0.7f); break; case 11: r = cbrtf(v); break;
    default: r = sqrtf(v) / v;
  }
  y[i] = r;
}
extern "C" __global__ void whole(const double* x, double* y, int f) {
  int i = threadIdx.x; double v = x[i], r = 0;
  switch (f) {
    case 0: r = exp(v); break;    case 1: r = log(v); break;
    case 2: r = sin(v); break;    case 3: r = tanh(v); break;
    case 4: r = pow(v, 1.5); break; case 5: r = cos(v * 1e6); break;
    case 6: r = sqrt(v) / v; break; default: r = fmod(v, 0.7);
  }
  y[i] = r;
}

struct Layout { int rank; long long dim[8]; long long stride[8]; };
__noinline__ __device__ long long place(const Layout& l, long long i) {
  long long offset = 0;
  for (int d = l.rank - 1; d >= 0; d--) { offset += i % l.dim[d] * l.stride[d]; i /= l.dim[d]; }
  return offset;
}
extern "C" __global__ void gather(float* out, const float* in, Layout l, long long n) {
  long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i < n) out[i] = in[place(l, i)];
}
__constant__ float factors[4] = {1, 10, 100, 1000};
__device__ unsigned long long calls;
extern "C" __global__ void scaled(float* out, int k) {
  atomicAdd(&calls, 1ull);
  float own[8];
  for (int i = 0; i < 8; i++) own[(i * k) & 7] = factors[i & 3] * threadIdx.x;
  out[threadIdx.x] = own[threadIdx.x & 7];
}

extern "C" __global__ void scale(const __nv_bfloat16* x, __nv_bfloat16* y, float* sum, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  float v = i < n ? __bfloat162float(x[i]) : 0.f;
  if (i < n) y[i] = __float2bfloat16(v * 1.25f + 0.1f);
  for (int o = 16; o; o >>= 1) v += __shfl_down_sync(0xffffffffu, v, o);
  if ((threadIdx.x & 31) == 0) atomicAdd(sum, v);
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void pairs(const __nv_bfloat162* x, __nv_bfloat162* y, const __half2* h, __half2* g) {
  int i = threadIdx.x;
  y[i] = __hfma2(x[i], x[i], x[i]);
  g[i] = __hadd2(h[i], h[i]);
  float2 f = __bfloat1622float2(x[i]);
  if (f.x > 20.f) y[i] = __floats2bfloat162_rn(f.y, f.x);
}

// A 16 x 8 product of bf16 with k in steps of 16, the next step being fetched meanwhile. The hasty one
// does not wait for what it multiplies.
template <int Waited>
__device__ void productInSteps(const __nv_bfloat16* a, const __nv_bfloat16* b, float* c, int k) {
  __shared__ __align__(16) __nv_bfloat16 sa[2][16 * 16], sb[2][16 * 8];
  int lane = threadIdx.x;
  float d[4] = {0, 0, 0, 0};
  auto fetch = [&](int step) {
    unsigned to = __cvta_generic_to_shared(&sa[step & 1][lane * 8]);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(a + lane / 2 * k + step * 16 + lane % 2 * 8));
    if (lane < 16) {
      to = __cvta_generic_to_shared(&sb[step & 1][lane * 8]);
      asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" ::"r"(to), "l"(b + (step * 16 + lane) * 8));
    }
    asm volatile("cp.async.commit_group;");
  };
  fetch(0);
  for (int step = 0; step < k / 16; step++) {
    if (step + 1 < k / 16) { fetch(step + 1); asm volatile("cp.async.wait_group %0;" ::"n"(Waited)); }
    else asm volatile("cp.async.wait_group 0;");
    __syncthreads();
    unsigned fa[4], fb[2];
    unsigned from = __cvta_generic_to_shared(&sa[step & 1][lane % 16 * 16 + lane / 16 * 8]);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(fa[0]), "=r"(fa[1]), "=r"(fa[2]), "=r"(fa[3]) : "r"(from));
    from = __cvta_generic_to_shared(&sb[step & 1][lane % 16 * 8]);
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
        : "=r"(fb[0]), "=r"(fb[1]) : "r"(from));
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]));
    __syncthreads();
  }
  int g = lane / 4, t = lane % 4 * 2;
  c[g * 8 + t] = d[0]; c[g * 8 + t + 1] = d[1]; c[(g + 8) * 8 + t] = d[2]; c[(g + 8) * 8 + t + 1] = d[3];
}
#define PRODUCT(name, waited)                                                                             \
  extern "C" __global__ void name(const __nv_bfloat16* a, const __nv_bfloat16* b, float* c, int k) {     \
    productInSteps<waited>(a, b, c, k);                                                                   \
  }
PRODUCT(product, 1)
PRODUCT(hasty_product, 2)
#endif
