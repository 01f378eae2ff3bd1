package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.SimulatedFault;

/** Steps that change where threads are. */
final class Control {
  private Control() {}

  /** {@code bra}. */
  static final class Branch extends Step {
    private final int target;

    Branch(int target) {
      this.target = target;
      this.kind = Kind.BRANCH;
    }

    int target() {
      return target;
    }

    @Override
    void run(Warp warp, int mask) {
      warp.setPlaces(mask, target);
    }
  }

  /** {@code brx.idx}. */
  static final class IndexedBranch extends Step {
    private final int row;
    private final int[] targets;

    IndexedBranch(int row, int[] targets) {
      this.row = row;
      this.targets = targets;
      this.kind = Kind.INDEXED_BRANCH;
    }

    int[] targets() {
      return targets;
    }

    @Override
    void run(Warp warp, int mask) {
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int lane = Integer.numberOfTrailingZeros(rest);
        int which = warp.narrow[row + lane];
        if (Integer.compareUnsigned(which, targets.length) >= 0) {
          throw warp.fault(
              SimulatedFault.Kind.INVALID_OPERAND,
              1 << lane,
              "branches to target %d of %d"
                  .formatted(Integer.toUnsignedLong(which), targets.length));
        }
        warp.setPlaces(1 << lane, targets[which]);
      }
    }
  }

  /** {@code exit}, {@code ret} of a kernel, and the end of its text. */
  static final class Exit extends Step {
    Exit() {
      this.kind = Kind.EXIT;
    }

    @Override
    void run(Warp warp, int mask) {
      throw new IllegalStateException("exits are the warp's to execute");
    }
  }

  /** {@code trap}. */
  static final class Trap extends Step {
    @Override
    void run(Warp warp, int mask) {
      throw warp.fault(SimulatedFault.Kind.TRAP, mask, "executes trap");
    }
  }

  /** Nothing to do here: fences with one block at a time, prefetches. */
  static final class Nothing extends Step {
    @Override
    void run(Warp warp, int mask) {}
  }

  /** {@code membar}, {@code fence}. */
  static final class Fence extends Step {
    @Override
    void run(Warp warp, int mask) {
      warp.block.order().fence(warp.block.number());
    }
  }

  /** What {@code bar.red} makes of the threads' predicates. */
  enum Vote {
    NONE,
    POPC,
    AND,
    OR
  }

  /** {@code bar.sync}, {@code bar.arrive}, {@code bar.red}. */
  static final class Barrier extends Step {
    static final int ALL_THREADS = 0;

    private static final int BARRIERS = 16;

    private final int numberRow;
    private final int threadsRow;
    private final boolean waits;
    private final Vote vote;
    private final int predicate;
    private final boolean negated;
    private final int result;

    /**
     * A barrier.
     *
     * @param numberRow row of the barrier's number
     * @param threadsRow row of how many threads it is for, or -1 for all of the block
     * @param waits false for {@code bar.arrive}
     * @param predicate what is voted on
     * @param result row, or for AND and OR predicate, of the vote's result
     */
    Barrier(
        int numberRow,
        int threadsRow,
        boolean waits,
        Vote vote,
        int predicate,
        boolean negated,
        int result) {
      this.numberRow = numberRow;
      this.threadsRow = threadsRow;
      this.waits = waits;
      this.vote = vote;
      this.predicate = predicate;
      this.negated = negated;
      this.result = result;
      this.kind = Kind.BARRIER;
    }

    boolean waits() {
      return waits;
    }

    int number(Warp warp, int mask) {
      int number = warp.narrow[numberRow + Integer.numberOfTrailingZeros(mask)];
      if (Integer.compareUnsigned(number, BARRIERS) >= 0) {
        throw warp.fault(
            SimulatedFault.Kind.INVALID_OPERAND, mask, "barrier " + number + "; there are 16");
      }
      return number;
    }

    int threads(Warp warp, int mask) {
      if (threadsRow < 0) {
        return ALL_THREADS;
      }
      int threads = warp.narrow[threadsRow + Integer.numberOfTrailingZeros(mask)];
      if (threads <= 0 || threads % LANES != 0) {
        throw warp.fault(
            SimulatedFault.Kind.INVALID_OPERAND,
            mask,
            "a barrier for " + threads + " threads, which is no positive multiple of 32");
      }
      return threads;
    }

    int firstVote() {
      return vote == Vote.AND ? 1 : 0;
    }

    int vote(Warp warp, int mask, int before) {
      if (vote == Vote.NONE) {
        return before;
      }
      int bits = (negated ? ~warp.predicates[predicate] : warp.predicates[predicate]) & mask;
      return switch (vote) {
        case POPC -> before + Integer.bitCount(bits);
        case AND -> before & (bits == mask ? 1 : 0);
        case OR -> before | (bits != 0 ? 1 : 0);
        case NONE -> before;
      };
    }

    void setResult(Warp warp, int mask, int value) {
      switch (vote) {
        case NONE -> {}
        case POPC -> warp.narrow[result + Integer.numberOfTrailingZeros(mask)] = value;
        case AND, OR -> warp.setPredicate(result, mask, value != 0 ? -1 : 0);
      }
    }

    @Override
    void run(Warp warp, int mask) {
      throw new IllegalStateException("barriers are the block's to execute");
    }
  }
}
