// Arrays of heads, [B,S,H,D] with any strides but a dense D, and the sizes of an attention problem.
#pragma once
#include "heddle.cuh"

// Elements from one batch, position and head to the next.
struct HeadStrides {
  int64 batch;
  int64 position;
  int64 head;
};

// Query i sees key j if j <= i + reach; without a mask reach is the number of keys. Head h of the
// queries reads head h / group of the keys.
struct Problem {
  int64 queries;
  int64 keys;
  int64 heads;
  int64 group;
  int64 headSize;
  int64 reach;
};

// How many keys query i sees: the first ones.
__device__ __forceinline__ int visibleKeys(const Problem& problem, int query) {
  int64 count = query + problem.reach + 1;
  count = count < problem.keys ? count : problem.keys;
  return static_cast<int>(count > 0 ? count : 0);
}

// The first query that sees key j.
__device__ __forceinline__ int firstQuery(const Problem& problem, int key) {
  int64 first = key - problem.reach;
  first = first < problem.queries ? first : problem.queries;
  return static_cast<int>(first > 0 ? first : 0);
}

// What a block works on: a tile of positions of one head.
struct Place {
  int tile;
  int head;
  int batch;
};

// From a flat block number: tiles of heads of batches.
__device__ __forceinline__ Place place(int tiles, int heads) {
  int block = blockIdx.x;
  int rest = block / tiles;
  return {block - rest * tiles, rest % heads, rest / heads};
}

template <class T>
__device__ __forceinline__ T* headStart(T* x, const HeadStrides& strides, int batch, int head) {
  return x + batch * strides.batch + head * strides.head;
}
