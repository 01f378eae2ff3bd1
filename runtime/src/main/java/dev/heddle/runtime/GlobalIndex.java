package dev.heddle.runtime;

import java.util.Arrays;

/**
 * Where the elements of a (part of a) tensor stand in the whole: element (i, j, ...) has the global
 * index {@code base + i strides[0] + j strides[1] + ...}. Random values are drawn by this index, so
 * that a shard gets exactly its part of what the whole tensor would have got.
 *
 * @param base global index of the first element
 * @param strides global index step of each dim
 */
public record GlobalIndex(long base, long... strides) {
  /** The index of a tensor that is held whole. */
  public static GlobalIndex whole(Shape shape) {
    return new GlobalIndex(0, shape.contiguousStrides());
  }

  /**
   * The index of the part of a tensor of shape {@code whole} that starts at {@code start} of {@code
   * dim}.
   */
  public static GlobalIndex shard(Shape whole, int dim, long start) {
    long[] strides = whole.contiguousStrides();
    return new GlobalIndex(start * strides[whole.normalize(dim)], strides);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof GlobalIndex that
        && base == that.base
        && Arrays.equals(strides, that.strides);
  }

  @Override
  public int hashCode() {
    return 31 * Long.hashCode(base) + Arrays.hashCode(strides);
  }
}
