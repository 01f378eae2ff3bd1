package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.SimulatedFault.Kind;
import dev.heddle.simulated.ptx.PtxInstruction;

/**
 * Who touched an allocation of global memory in this launch, for launches that look for races
 * there.
 *
 * <p>Threads of a block are ordered by its barriers and by the meetings of a warp. Threads of
 * different blocks are not ordered, but that what a block did before a fence and an atomic
 * instruction counts as handed on, to every block that has executed an atomic instruction of its
 * own: the pattern of "the last block sums up".
 */
final class GlobalRaces {
  /** The accesses of one kind that were noted for a granule: the last one, and whether others. */
  private static final class Noted {
    final long[] blocks;
    final int[] threads;
    final long[] times;
    final long[] sequence;
    final int[] steps;
    final byte[] flags;

    Noted(int granules) {
      blocks = new long[granules];
      threads = new int[granules];
      times = new long[granules];
      sequence = new long[granules];
      steps = new int[granules];
      flags = new byte[granules];
    }

    void note(Warp warp, int lane, int g, int flag) {
      blocks[g] = warp.block.number() + 1;
      threads[g] = warp.firstThread + lane;
      times[g] = warp.block.phase() << 32 | warp.order.now();
      sequence[g] = warp.block.order().now();
      steps[g] = warp.stepIndex();
      flags[g] = (byte) flag;
    }
  }

  private static final int ATOMIC = 1;
  private static final int OTHER_BLOCKS = 2;
  private static final int OTHER_THREADS = 4;

  private final int shift;
  private final Noted writes;
  private final Noted reads;

  GlobalRaces(long byteSize, int granuleBytes) {
    shift = Integer.numberOfTrailingZeros(granuleBytes);
    int granules = Math.toIntExact((byteSize >> shift) + 1);
    writes = new Noted(granules);
    reads = new Noted(granules);
  }

  private int from(long at) {
    return (int) (at >> shift);
  }

  private int to(long at, int size) {
    return (int) ((at + size + (1L << shift) - 1) >> shift);
  }

  void noteRead(Warp warp, int lane, long at, int size) {
    for (int g = from(at); g < to(at, size); g++) {
      check(warp, lane, at, g, writes, "reads", "was written");
      int flag = 0;
      if (reads.blocks[g] != 0) {
        boolean sameBlock = reads.blocks[g] == warp.block.number() + 1;
        boolean sameThread = reads.threads[g] == warp.firstThread + lane;
        boolean samePhase = reads.times[g] >>> 32 == warp.block.phase();
        flag = reads.flags[g];
        if (!sameBlock) {
          flag = OTHER_BLOCKS;
        } else if (!samePhase) {
          flag &= OTHER_BLOCKS;
        } else if (!sameThread) {
          flag |= OTHER_THREADS;
        }
      }
      reads.note(warp, lane, g, flag);
    }
  }

  void noteWrite(Warp warp, int lane, long at, int size, boolean atomic) {
    for (int g = from(at); g < to(at, size); g++) {
      if (!atomic || (writes.flags[g] & ATOMIC) == 0) {
        check(warp, lane, at, g, writes, "writes", "was written");
      }
      check(warp, lane, at, g, reads, "writes", "was read");
      writes.note(warp, lane, g, atomic ? ATOMIC : 0);
      reads.blocks[g] = 0;
    }
  }

  private void check(Warp warp, int lane, long at, int g, Noted earlier, String does, String was) {
    if (earlier.blocks[g] == 0) {
      return;
    }
    long block = warp.block.number() + 1;
    int flags = earlier.flags[g];
    boolean ordered;
    if (earlier.blocks[g] != block || (flags & OTHER_BLOCKS) != 0) {
      ordered = warp.block.order().handedOn(earlier.blocks[g] - 1, earlier.sequence[g], block - 1);
    } else if (earlier.times[g] >>> 32 != warp.block.phase()) {
      ordered = true;
    } else {
      int other = earlier.threads[g];
      boolean same = other == warp.firstThread + lane && (flags & OTHER_THREADS) == 0;
      ordered =
          same
              || (other >> 5 == warp.number
                  && warp.order.areOrdered(other & 31, (int) earlier.times[g], lane));
    }
    if (!ordered) {
      PtxInstruction source = warp.step(earlier.steps[g]).source;
      throw warp.fault(
          Kind.RACE,
          1 << lane,
          "%s global memory, byte %d of its allocation, which %s by thread %s of block %s with nothing between that orders the two%n    there: line %d: %s"
              .formatted(
                  does,
                  at,
                  was,
                  warp.block.coordinates(earlier.threads[g]),
                  warp.block.coordinatesOf(earlier.blocks[g] - 1),
                  source.line(),
                  source.text()));
    }
  }
}
