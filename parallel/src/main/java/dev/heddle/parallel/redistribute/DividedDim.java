package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Split;
import dev.heddle.runtime.NDArray;
import java.util.ArrayList;
import java.util.List;

/** A dim of {@code size} indices that the members of a group hold in the parts of {@link Split}. */
record DividedDim(int dim, long size, Communicator group) {
  /** The indices of this rank. */
  Interval mine() {
    return Split.part(size, group.size(), group.rank());
  }

  /** Every member's {@code part}, one after the other. */
  NDArray gathered(NDArray part) {
    NDArray whole = NDArray.empty(part.device(), part.dtype(), part.shape().with(dim, size));
    group.allGather(part, parts(whole)).await();
    return whole;
  }

  /** This rank's part of the sum of every member's {@code whole}. */
  NDArray reduced(NDArray whole) {
    NDArray part =
        NDArray.empty(whole.device(), whole.dtype(), whole.shape().with(dim, mine().size()));
    group.reduceScatter(parts(whole), part, ReduceOp.SUM).await();
    return part;
  }

  private List<NDArray> parts(NDArray whole) {
    List<NDArray> parts = new ArrayList<>(group.size());
    for (int member = 0; member < group.size(); member++) {
      Interval part = Split.part(size, group.size(), member);
      parts.add(whole.slice(dim, part.start(), part.end()));
    }
    return parts;
  }
}
