// Layer norm and RMS norm by rows, a block each. The gradients of weight and bias are sums over
// rows, in two stages of fixed order: by parts of the rows here, then heddle_reduction_parts.
#include "heddle.cuh"

// y = (x - mean) rstd weight + bias; the sum of squares is that of the centred values, so that a
// mean far from zero costs no digits. bias may be null.
ENTRY KERNEL(heddle_norm_layer)(int64 rows, int64 columns, const Real* x, const Real* weight,
                                const Real* bias, Sum epsilon, Real* y, Sum* mean, Sum* rstd) {
  __shared__ Sum shared[32];
#pragma unroll 1
  for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
    const Real* from = x + row * columns;
    Sum sum = 0;
    eachOfRow(from, columns, [&](int64, Sum value) { sum += value; });
    Sum center = blockSum(sum, shared) / columns;
    Sum squares = 0;
    eachOfRow(from, columns, [&](int64, Sum value) {
      Sum difference = value - center;
      squares += difference * difference;
    });
    Sum inverse = Sum(1) / squareRoot(blockSum(squares, shared) / columns + epsilon);
    mapRow(from, columns, y + row * columns, [=](int64 i, Sum value) {
      Sum shift = bias == nullptr ? Sum(0) : widen(bias[i]);
      return (value - center) * inverse * widen(weight[i]) + shift;
    });
    if (threadIdx.x == 0) {
      mean[row] = center;
      rstd[row] = inverse;
    }
  }
}

// Up to this many columns the gradient of a row is formed in double precision: of a few columns
// almost nothing is left after the means are taken away.
const int NARROW = 32;

// With n = (x - mean) rstd and g = dy weight, dx = rstd (g - mean(g) - n mean(g n)) for one row, in
// the precision of Wide; without mean(g) if the norm does not centre.
template <class Wide>
__device__ __forceinline__ void inputGradient(int64 columns, const Real* x, const Real* weight,
                                              Wide center, bool centered, Wide inverse,
                                              const Real* dy, Real* dx, Wide (&shared)[32]) {
  Wide sum = 0;
  Wide dot = 0;
  eachOfRow(dy, columns, [&](int64 i, Sum d) {
    Wide g = Wide(d) * Wide(widen(weight[i]));
    sum += g;
    dot += g * ((Wide(widen(x[i])) - center) * inverse);
  });
  sum = centered ? blockSum(sum, shared) / columns : Wide(0);
  dot = blockSum(dot, shared) / columns;
  mapRow(dy, columns, dx, [=](int64 i, Sum d) {
    Wide g = Wide(d) * Wide(widen(weight[i]));
    Wide normalized = (Wide(widen(x[i])) - center) * inverse;
    return Sum(inverse * (g - sum - normalized * dot));
  });
}

__device__ __forceinline__ void inputGradients(int64 rows, int64 columns, const Real* x,
                                               const Real* weight, const Sum* mean,
                                               const Sum* rstd, const Real* dy, Real* dx) {
  __shared__ Sum shared[32];
  __shared__ double wideShared[32];
  bool centered = mean != nullptr;
#pragma unroll 1
  for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
    int64 start = row * columns;
    Sum center = centered ? mean[row] : Sum(0);
    if (columns <= NARROW) {
      inputGradient<double>(columns, x + start, weight, center, centered, rstd[row], dy + start,
                            dx + start, wideShared);
    } else {
      inputGradient<Sum>(columns, x + start, weight, center, centered, rstd[row], dy + start,
                         dx + start, shared);
    }
  }
}

ENTRY KERNEL(heddle_norm_layer_backward)(int64 rows, int64 columns, const Real* x,
                                         const Real* weight, const Sum* mean, const Sum* rstd,
                                         const Real* dy, Real* dx) {
  inputGradients(rows, columns, x, weight, mean, rstd, dy, dx);
}

// y = x rstd weight with rstd = 1/sqrt(mean(x²) + epsilon).
ENTRY KERNEL(heddle_norm_rms)(int64 rows, int64 columns, const Real* x, const Real* weight,
                              Sum epsilon, Real* y, Sum* rstd) {
  __shared__ Sum shared[32];
#pragma unroll 1
  for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
    const Real* from = x + row * columns;
    Sum squares = 0;
    eachOfRow(from, columns, [&](int64, Sum value) { squares += value * value; });
    Sum inverse = Sum(1) / squareRoot(blockSum(squares, shared) / columns + epsilon);
    mapRow(from, columns, y + row * columns,
           [=](int64 i, Sum value) { return value * inverse * widen(weight[i]); });
    if (threadIdx.x == 0) {
      rstd[row] = inverse;
    }
  }
}

ENTRY KERNEL(heddle_norm_rms_backward)(int64 rows, int64 columns, const Real* x,
                                       const Real* weight, const Sum* rstd, const Real* dy,
                                       Real* dx) {
  inputGradients(rows, columns, x, weight, nullptr, rstd, dy, dx);
}

const int LANES = 8;

// Σ dy n and Σ dy over the rows of each part: [parts, columns] each, either null where it is not
// wanted. mean is null for the RMS norm. 32 columns by 8 lanes of rows a block; the grid is tiles
// of columns by parts.
ENTRY KERNEL(heddle_norm_parameter_parts)(int64 rows, int64 columns, int64 rowsOfPart,
                                          const Real* x, const Sum* mean, const Sum* rstd,
                                          const Real* dy, Sum* weightParts, Sum* biasParts) {
  __shared__ Sum weights[LANES][33];
  __shared__ Sum biases[LANES][33];
  int64 column = static_cast<int64>(blockIdx.x) * 32 + threadIdx.x;
  int64 part = blockIdx.y;
  int64 start = part * rowsOfPart;
  int64 end = start + rowsOfPart < rows ? start + rowsOfPart : rows;
  Sum weightSum = 0;
  Sum biasSum = 0;
  if (column < columns) {
#pragma unroll 1
    for (int64 row = start + threadIdx.y; row < end; row += LANES) {
      int64 at = row * columns + column;
      Sum d = widen(dy[at]);
      biasSum += d;
      if (weightParts != nullptr) {
        Sum center = mean == nullptr ? Sum(0) : mean[row];
        weightSum += d * ((widen(x[at]) - center) * rstd[row]);
      }
    }
  }
  weights[threadIdx.y][threadIdx.x] = weightSum;
  biases[threadIdx.y][threadIdx.x] = biasSum;
  __syncthreads();
  if (threadIdx.y == 0 && column < columns) {
#pragma unroll
    for (int i = 1; i < LANES; i++) {
      weightSum += weights[i][threadIdx.x];
      biasSum += biases[i][threadIdx.x];
    }
    if (weightParts != nullptr) {
      weightParts[part * columns + column] = weightSum;
    }
    if (biasParts != nullptr) {
      biasParts[part * columns + column] = biasSum;
    }
  }
}
