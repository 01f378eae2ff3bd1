package dev.heddle.runtime.conformance;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;

/** How a test argument lies in memory: a view of a packed base array that may be larger. */
public enum Placement {
  /** Gapless, from the start of its block. */
  CONTIGUOUS {
    @Override
    Placed place(Device device, DType dtype, Shape shape) {
      NDArray base = NDArray.empty(device, dtype, shape);
      return new Placed(base, base);
    }
  },
  /** Gapless, but three elements into its block, so that no vector load is aligned. */
  SHIFTED {
    @Override
    Placed place(Device device, DType dtype, Shape shape) {
      NDArray base = NDArray.empty(device, dtype, shape.size() + 5);
      return new Placed(base, base.slice(0, 3, 3 + shape.size()).reshape(shape));
    }
  },
  /** Columns contiguous, rows five elements further apart than they are long. */
  PADDED_ROWS {
    @Override
    Placed place(Device device, DType dtype, Shape shape) {
      long columns = shape.dim(-1);
      NDArray base = NDArray.empty(device, dtype, shape.with(-1, columns + 5));
      return new Placed(base, base.slice(-1, 2, 2 + columns));
    }
  },
  /** The last two dims swapped in memory. */
  TRANSPOSED {
    @Override
    Placed place(Device device, DType dtype, Shape shape) {
      Shape swapped = shape.with(-1, shape.dim(-2)).with(-2, shape.dim(-1));
      NDArray base = NDArray.empty(device, dtype, swapped);
      return new Placed(base, base.transpose(-2, -1));
    }
  },
  /** Rank 3 or 4 [X,Y,..] that lies as [Y,X,..] in memory. */
  SWAPPED_LEADING {
    @Override
    Placed place(Device device, DType dtype, Shape shape) {
      NDArray base =
          NDArray.empty(device, dtype, shape.with(0, shape.dim(1)).with(1, shape.dim(0)));
      return new Placed(base, base.transpose(0, 1));
    }
  },
  /** Rank 4 [B,S,H,D] as the middle third of packed [B,S,3H,D]: a query, key, value projection. */
  PACKED_HEADS {
    @Override
    Placed place(Device device, DType dtype, Shape shape) {
      long heads = shape.dim(2);
      NDArray base = NDArray.empty(device, dtype, shape.with(2, 3 * heads));
      return new Placed(base, base.slice(2, heads, 2 * heads));
    }
  },
  /** Rank 4 [B,S,H,D] that lies as [B,H,S,D] in memory. */
  HEADS_FIRST {
    @Override
    Placed place(Device device, DType dtype, Shape shape) {
      NDArray base =
          NDArray.empty(device, dtype, shape.with(1, shape.dim(2)).with(2, shape.dim(1)));
      return new Placed(base, base.transpose(1, 2));
    }
  },
  /** The same memory for every index of the first dim (stride 0): for inputs only. */
  BROADCAST_FIRST {
    @Override
    Placed place(Device device, DType dtype, Shape shape) {
      NDArray base = NDArray.empty(device, dtype, shape.with(0, Math.min(1, shape.dim(0))));
      return new Placed(base, base.expand(shape));
    }
  };

  /**
   * A placed array.
   *
   * @param base the packed array behind it, its padding included
   * @param view what the kernel gets
   */
  record Placed(NDArray base, NDArray view) {
    /** For each element of the view in row-major order, its position in the base. */
    int[] positions() {
      int[] positions = new int[Math.toIntExact(view.size())];
      long[] index = new long[view.rank()];
      for (int i = 0; i < positions.length; i++) {
        long position = view.offset() - base.offset();
        for (int dim = 0; dim < index.length; dim++) {
          position += index[dim] * view.stride(dim);
        }
        positions[i] = Math.toIntExact(position);
        for (int dim = index.length - 1; dim >= 0 && ++index[dim] == view.dim(dim); dim--) {
          index[dim] = 0;
        }
      }
      return positions;
    }
  }

  abstract Placed place(Device device, DType dtype, Shape shape);
}
