// What the backward of attention needs of each query beside its log-sum-exp.
#include "heads.cuh"

// delta[b,h,i] = Σ dout out over the head's elements, one thread each, in the order in which
// attention.cu sums scores: a query that sees one key, whose out is that key's value, has a slope of exactly 0.
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
