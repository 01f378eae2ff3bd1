package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.SimulatedFault;
import dev.heddle.simulated.memory.SimulatedFault.Kind;
import dev.heddle.simulated.ptx.PtxInstruction;
import java.util.Arrays;

/**
 * 32 threads that execute together where they can.
 *
 * <p>Every lane has a place in the program. Among the lanes that can go on, those at the lowest
 * place run, as one group, until another lane's place is reached; there the two become one group
 * again. Lanes that wait, for the block's barrier or for other lanes, are left out until what they
 * wait for has happened.
 */
final class Warp {
  private static final int LANES = Step.LANES;
  private static final int DIVIDED = -1;

  /** Registers of up to 32 bits: a row of 32 lanes each, 16-bit values with zeros above. */
  final int[] narrow;

  /** Registers of 64 bits, alike. */
  final long[] wide;

  /** Predicate registers, a bit a lane. */
  final int[] predicates;

  final Block block;
  final int number;

  /** Index of lane 0's thread in the block. */
  final int firstThread;

  /** The lanes that are threads of the block. */
  final int existing;

  final GlobalSpace global;
  final SharedMemory shared;
  final ThreadMemory local;

  /** The carry flags of {@code add.cc} and the like, a bit a lane. */
  int carries;

  final WarpOrder order = new WarpOrder();
  final AsyncCopies asyncCopies;

  /** Room for a row, of whoever executes. */
  final int[] scratch = new int[LANES];

  private final float[] left = MatrixDecoder.newLeft();
  private final float[] right = MatrixDecoder.newRight();
  private final float[] sums = MatrixDecoder.newSums();
  private final DecodedKernel kernel;
  private final Step[] steps;
  private final int[] written;
  private final int[] places = new int[LANES];
  private final int[] barriers = new int[LANES];
  private int alive;
  private int atBarrier;
  private int atWarpStep;
  private Step current;
  private long quantum;
  private long clock;

  long warpInstructions;
  long threadInstructions;

  Warp(DecodedKernel kernel, Block block, int number, GlobalSpace global, SharedMemory shared) {
    this.kernel = kernel;
    this.steps = kernel.steps();
    this.block = block;
    this.number = number;
    this.global = global;
    this.shared = shared;
    this.firstThread = number * LANES;
    int lanes = Math.min(LANES, block.threads() - firstThread);
    this.existing = lanes == LANES ? -1 : (1 << lanes) - 1;
    this.narrow = new int[kernel.rows().narrowRows() * LANES];
    this.wide = new long[kernel.rows().wideRows() * LANES];
    this.predicates = new int[kernel.rows().predicates()];
    this.written = new int[kernel.tracksRegisters() ? kernel.kernel().registers().size() : 0];
    this.local = new ThreadMemory(kernel.kernel().localBytes());
    this.asyncCopies = new AsyncCopies(this);
    this.current = steps[steps.length - 1];
    kernel.rows().fillConstants(this);
  }

  /** Begins a block: all lanes at the first instruction. */
  void begin() {
    kernel.rows().fillSpecials(this);
    Arrays.fill(written, 0);
    Arrays.fill(places, 0);
    alive = existing;
    atBarrier = 0;
    atWarpStep = 0;
    local.clear();
    asyncCopies.clear();
    order.beginPhase();
  }

  boolean isDone() {
    return alive == 0;
  }

  boolean canRun() {
    return runnable() != 0;
  }

  private int runnable() {
    return alive & ~atBarrier & ~atWarpStep;
  }

  int alive() {
    return alive;
  }

  int atBarrier() {
    return atBarrier;
  }

  int atWarpStep() {
    return atWarpStep;
  }

  /** Room for the factors of a matrix product. */
  float[] left() {
    return left;
  }

  float[] right() {
    return right;
  }

  float[] sums() {
    return sums;
  }

  /** A clock that only goes forward. */
  long tick() {
    return ++clock;
  }

  /** Which step is executed. */
  int stepIndex() {
    return current.index;
  }

  Step step(int index) {
    return steps[index];
  }

  /** Where a lane is. */
  Step stepOf(int lane) {
    return steps[places[lane]];
  }

  /** Runs until no lane can go on, or for {@code instructions} instructions. */
  void run(long instructions) {
    quantum = instructions;
    while (quantum > 0) {
      int runnable = runnable();
      if (runnable == 0) {
        return;
      }
      int lowest = Integer.MAX_VALUE;
      int group = 0;
      int limit = Integer.MAX_VALUE;
      for (int rest = runnable; rest != 0; rest &= rest - 1) {
        int lane = Integer.numberOfTrailingZeros(rest);
        int place = places[lane];
        if (place < lowest) {
          limit = lowest;
          lowest = place;
          group = 1 << lane;
        } else if (place == lowest) {
          group |= 1 << lane;
        } else if (place < limit) {
          limit = place;
        }
      }
      runGroup(group, lowest, limit);
    }
  }

  private void runGroup(int group, int from, int limit) {
    int place = from;
    long left = quantum;
    int lanes = Integer.bitCount(group);
    long executed = 0;
    long threads = 0;
    Step step = steps[place];
    try {
      while (true) {
        step = steps[place];
        int mask = group;
        executed++;
        if (step.guard >= 0) {
          current = step;
          int guard = predicates[step.guard];
          if (step.guardChecked >= 0) {
            checkWritten(step.guardChecked, group);
          }
          mask &= step.guardNegated ? ~guard : guard;
          threads += Integer.bitCount(mask);
        } else {
          threads += lanes;
        }
        if (step.kind == Step.Kind.PLAIN) {
          if (mask != 0) {
            execute(step, mask);
          }
          place++;
        } else {
          if (mask == 0) {
            place++;
          } else {
            current = step;
            place = control(step, group, mask, place);
            if (place < 0) {
              return;
            }
          }
        }
        if (place >= limit || executed >= left) {
          setPlaces(group, place);
          return;
        }
      }
    } finally {
      quantum = left - executed;
      warpInstructions += executed;
      threadInstructions += threads;
    }
  }

  private void execute(Step step, int mask) {
    current = step;
    checkReads(step, mask);
    step.run(this, mask);
    noteWrites(step, mask);
  }

  private void checkWritten(int register, int mask) {
    int missing = mask & ~written[register];
    if (missing != 0) {
      throw fault(
          Kind.UNINITIALISED_READ,
          missing,
          "reads register "
              + kernel.kernel().registers().get(register).name()
              + ", which nothing was written to");
    }
  }

  /**
   * Executes a step that changes where lanes are.
   *
   * @return where the whole group goes on; {@link #DIVIDED} if it is no longer one group, all
   *     places being set
   */
  private int control(Step step, int group, int mask, int place) {
    return switch (step.kind) {
      case BRANCH -> {
        int target = ((Control.Branch) step).target();
        if (mask == group) {
          yield target;
        }
        setPlaces(mask, target);
        setPlaces(group & ~mask, place + 1);
        yield DIVIDED;
      }
      case INDEXED_BRANCH -> {
        checkReads(step, mask);
        step.run(this, mask);
        setPlaces(group & ~mask, place + 1);
        yield DIVIDED;
      }
      case EXIT -> {
        alive &= ~mask;
        setPlaces(mask, place);
        setPlaces(group & ~mask, place + 1);
        yield DIVIDED;
      }
      case BARRIER -> {
        setPlaces(mask, place);
        setPlaces(group & ~mask, place + 1);
        checkReads(step, mask);
        block.arrive(this, (Control.Barrier) step, mask, place);
        yield DIVIDED;
      }
      case WARP -> {
        setPlaces(mask, place);
        setPlaces(group & ~mask, place + 1);
        int ready = meet((WarpStep) step, mask, place);
        setPlaces(ready, place + 1);
        yield ready == group ? place + 1 : DIVIDED;
      }
      case PLAIN -> throw new IllegalStateException("not a step of control");
    };
  }

  private void checkReads(Step step, int mask) {
    for (int register : step.checkedReads) {
      checkWritten(register, mask);
    }
  }

  /**
   * Lanes come to a step of their warp. It is executed for every member mask all of whose lanes are
   * here; the others wait.
   *
   * @return the lanes that executed it
   */
  private int meet(WarpStep step, int mask, int place) {
    checkReads(step, mask);
    int here = mask;
    for (int rest = atWarpStep; rest != 0; rest &= rest - 1) {
      int lane = Integer.numberOfTrailingZeros(rest);
      here |= places[lane] == place ? 1 << lane : 0;
    }
    atWarpStep |= here;
    int done = 0;
    for (int rest = here; rest != 0; ) {
      int first = Integer.numberOfTrailingZeros(rest);
      int members = step.members(this, first);
      int together = 0;
      for (int lanes = rest; lanes != 0; lanes &= lanes - 1) {
        int lane = Integer.numberOfTrailingZeros(lanes);
        together |= step.members(this, lane) == members ? 1 << lane : 0;
      }
      rest &= ~together;
      checkMembers(members, together, here);
      if (together == (members & existing)) {
        atWarpStep &= ~together;
        order.meet(together, existing);
        step.run(this, together);
        noteWrites(step, together);
        done |= together;
      }
    }
    return done;
  }

  private void checkMembers(int members, int together, int here) {
    int strangers = together & ~members;
    if (strangers != 0) {
      throw fault(
          Kind.WARP_DIVERGENCE,
          strangers,
          "executes it but is not in its member mask 0x%08x (executing: 0x%08x)"
              .formatted(members, here));
    }
    int others = here & members & ~together;
    if (others != 0) {
      throw fault(
          Kind.WARP_DIVERGENCE,
          together,
          "gives member mask 0x%08x, but lanes 0x%08x of it give another"
              .formatted(members, others));
    }
    int gone = members & existing & ~alive;
    if (gone != 0) {
      throw fault(
          Kind.WARP_DIVERGENCE,
          together,
          "its member mask 0x%08x names threads that have left the kernel: lanes 0x%08x"
              .formatted(members, gone));
    }
  }

  /** Lanes wait at barrier {@code barrier}. */
  void waitAt(int barrier, int mask) {
    atBarrier |= mask;
    for (int rest = mask; rest != 0; rest &= rest - 1) {
      barriers[Integer.numberOfTrailingZeros(rest)] = barrier;
    }
  }

  /** The lanes that wait at this barrier. */
  int waitingAt(int barrier) {
    int waiting = 0;
    for (int rest = atBarrier; rest != 0; rest &= rest - 1) {
      int lane = Integer.numberOfTrailingZeros(rest);
      waiting |= barriers[lane] == barrier ? 1 << lane : 0;
    }
    return waiting;
  }

  /** Lets lanes that waited go on behind where they are. */
  void release(int mask) {
    atBarrier &= ~mask;
    for (int rest = mask; rest != 0; rest &= rest - 1) {
      places[Integer.numberOfTrailingZeros(rest)]++;
    }
  }

  void setPlaces(int mask, int place) {
    for (int rest = mask; rest != 0; rest &= rest - 1) {
      places[Integer.numberOfTrailingZeros(rest)] = place;
    }
  }

  void setPredicate(int predicate, int mask, int bits) {
    predicates[predicate] = (predicates[predicate] & ~mask) | (bits & mask);
  }

  /** Notes that registers that a barrier or the like wrote have been written. */
  void noteWrites(Step step, int mask) {
    for (int register : step.trackedWrites) {
      written[register] |= mask;
    }
  }

  /** A fault of the first of these lanes at the instruction that is executed. */
  SimulatedFault fault(Kind kind, int lanes, String message) {
    int lane = Integer.numberOfTrailingZeros(lanes);
    PtxInstruction source = current.source;
    return new SimulatedFault(
        kind,
        "%s, line %d: %s%n    block %s, thread %s (lane %d of warp %d): %s"
            .formatted(
                kernel.kernel(),
                source.line(),
                source.text(),
                block.coordinates(),
                block.coordinates(firstThread + lane),
                lane,
                number,
                message));
  }
}
