// Small kernels for the tests of the driver layer. Rebuild probe.ptx with
//   nvcc -ptx -arch=compute_75 probe.cu -o probe.ptx

// x[i] *= alpha
extern "C" __global__ void scale(float *x, long long n, float alpha) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) {
    x[i] *= alpha;
  }
}

// y[i] += x[i]
extern "C" __global__ void add(const float *x, float *y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) {
    y[i] += x[i];
  }
}

struct Dims {
  long long size[3];
};

// y[0..4] = the arguments, each widened to double.
extern "C" __global__ void arguments(int a, long long b, float c, double d, Dims dims, double *y) {
  y[0] = a;
  y[1] = (double)b;
  y[2] = c;
  y[3] = d;
  y[4] = (double)(dims.size[0] * dims.size[1] + dims.size[2]);
}

extern __shared__ float staged[];

// y[i] = x[n - 1 - i], by way of shared memory; one block.
extern "C" __global__ void reverse(const float *x, float *y, int n) {
  staged[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = staged[n - 1 - threadIdx.x];
}
