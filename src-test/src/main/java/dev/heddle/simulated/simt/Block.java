package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.SimulatedFault;
import dev.heddle.simulated.memory.SimulatedFault.Kind;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/** A block of threads: takes turns between its warps, and is where they meet at barriers. */
final class Block {
  private static final int BARRIERS = 16;
  private static final int NOWHERE = -1;
  private static final long LONG_TURN = 1L << 20;
  private static final int SHORT_TURN = 24;

  private final DecodedKernel kernel;
  private final Launch launch;
  private final SharedMemory shared;
  private final BlockOrder order;
  private final Warp[] warps;
  private final int threads;
  private final SplittableRandom random;

  private final int[] arrived = new int[BARRIERS];
  private final int[] wanted = new int[BARRIERS];
  private final int[] places = new int[BARRIERS];
  private final int[] votes = new int[BARRIERS];

  private int blockX;
  private int blockY;
  private int blockZ;
  private long number;
  private long phase;

  Block(
      DecodedKernel kernel,
      Launch launch,
      GlobalSpace global,
      SharedMemory shared,
      BlockOrder order,
      SplittableRandom random) {
    this.kernel = kernel;
    this.launch = launch;
    this.shared = shared;
    this.order = order;
    this.threads = launch.threads();
    this.random = random;
    this.warps = new Warp[(threads + Step.LANES - 1) / Step.LANES];
    for (int i = 0; i < warps.length; i++) {
      warps[i] = new Warp(kernel, this, i, global, shared);
    }
  }

  int threads() {
    return threads;
  }

  Launch launch() {
    return launch;
  }

  MemorySegment parameters() {
    return launch.parameters();
  }

  int blockX() {
    return blockX;
  }

  int blockY() {
    return blockY;
  }

  int blockZ() {
    return blockZ;
  }

  /** The block's index in the grid, x first. */
  long number() {
    return number;
  }

  /** Barriers that all threads have met at so far. */
  long phase() {
    return phase;
  }

  BlockOrder order() {
    return order;
  }

  int warps() {
    return warps.length;
  }

  Warp warp(int index) {
    return warps[index];
  }

  /** This block's place in the grid, for messages. */
  String coordinates() {
    return coordinatesOf(number);
  }

  /** A block's place in the grid, for messages. */
  String coordinatesOf(long block) {
    long x = block % launch.gridX();
    long y = block / launch.gridX() % launch.gridY();
    return "(%d,%d,%d)".formatted(x, y, block / launch.gridX() / launch.gridY());
  }

  /** A thread's place in the block, for messages. */
  String coordinates(int thread) {
    int x = thread % launch.blockX();
    int y = thread / launch.blockX() % launch.blockY();
    return "(%d,%d,%d)".formatted(x, y, thread / launch.blockX() / launch.blockY());
  }

  /** Runs the block with this index from its beginning to its end. */
  void run(long index) {
    number = index;
    blockX = (int) (index % launch.gridX());
    blockY = (int) (index / launch.gridX() % launch.gridY());
    blockZ = (int) (index / launch.gridX() / launch.gridY());
    phase = 1;
    Arrays.fill(arrived, 0);
    Arrays.fill(places, NOWHERE);
    shared.begin();
    for (Warp warp : warps) {
      warp.begin();
    }
    long instructions = 0;
    while (canRun()) {
      for (int i = 0; i < warps.length; i++) {
        Warp warp = warps[pick(i)];
        long before = warp.warpInstructions;
        warp.run(turn());
        instructions += warp.warpInstructions - before;
      }
      if (instructions > launch.options().instructionLimit()) {
        throw new SimulatedFault(
            Kind.DEADLOCK,
            "%s, block %s: runs on after %d warp instructions%s"
                .formatted(kernel.kernel(), coordinates(), instructions, whereTheyAre()));
      }
    }
    for (Warp warp : warps) {
      if (!warp.isDone()) {
        throw stuck();
      }
    }
  }

  private boolean canRun() {
    for (Warp warp : warps) {
      if (warp.canRun()) {
        return true;
      }
    }
    return false;
  }

  private int pick(int turn) {
    return switch (launch.options().order()) {
      case ORDINARY -> turn;
      case REVERSED -> warps.length - 1 - turn;
      case RANDOM -> random.nextInt(warps.length);
    };
  }

  private long turn() {
    return launch.options().order() == Launch.Order.RANDOM
        ? 1 + random.nextInt(SHORT_TURN)
        : Math.min(LONG_TURN, launch.options().instructionLimit() + 1);
  }

  /** Lanes come to a barrier. */
  void arrive(Warp warp, Control.Barrier barrier, int mask, int place) {
    int id = barrier.number(warp, mask);
    int count = barrier.threads(warp, mask);
    boolean all = count == Control.Barrier.ALL_THREADS;
    int needed = all ? threads : count;
    if (arrived[id] > 0 && all && places[id] != place) {
      throw warp.fault(
          Kind.BARRIER_DIVERGENCE,
          mask,
          "waits here while %d other threads of the block wait at another barrier, line %d: %s"
              .formatted(
                  arrived[id],
                  warp.step(places[id]).source.line(),
                  warp.step(places[id]).source.text()));
    }
    if (arrived[id] > 0 && wanted[id] != needed) {
      throw warp.fault(
          Kind.BARRIER_DIVERGENCE,
          mask,
          "wants %d threads at barrier %d, where others want %d".formatted(needed, id, wanted[id]));
    }
    if (arrived[id] == 0) {
      votes[id] = barrier.firstVote();
    }
    wanted[id] = needed;
    places[id] = place;
    arrived[id] += Integer.bitCount(mask);
    votes[id] = barrier.vote(warp, mask, votes[id]);
    if (barrier.waits()) {
      warp.waitAt(id, mask);
    } else {
      warp.setPlaces(mask, place + 1);
    }
    if (arrived[id] > needed) {
      throw warp.fault(
          Kind.BARRIER_DIVERGENCE,
          mask,
          "is one of %d threads at barrier %d, which is for %d".formatted(arrived[id], id, needed));
    }
    if (arrived[id] == needed) {
      complete(id);
    }
  }

  private void complete(int id) {
    arrived[id] = 0;
    places[id] = NOWHERE;
    for (Warp warp : warps) {
      int waiting = warp.waitingAt(id);
      for (int rest = waiting; rest != 0; rest &= rest - 1) {
        int lane = Integer.numberOfTrailingZeros(rest);
        Step step = warp.stepOf(lane);
        ((Control.Barrier) step).setResult(warp, 1 << lane, votes[id]);
        warp.noteWrites(step, 1 << lane);
      }
      warp.release(waiting);
      warp.order.beginPhase();
    }
    shared.nextPhase();
    phase++;
  }

  private SimulatedFault stuck() {
    boolean warpStep = false;
    boolean barrier = false;
    for (Warp warp : warps) {
      warpStep |= warp.atWarpStep() != 0;
      barrier |= warp.atBarrier() != 0;
    }
    Kind kind = warpStep ? Kind.WARP_DIVERGENCE : Kind.BARRIER_DIVERGENCE;
    String what =
        warpStep
            ? "threads wait for others of the same member mask that never come"
            : "threads wait at a barrier that others of the block never come to";
    return new SimulatedFault(
        barrier || warpStep ? kind : Kind.DEADLOCK,
        "%s, block %s: %s%s".formatted(kernel.kernel(), coordinates(), what, whereTheyAre()));
  }

  private String whereTheyAre() {
    List<String> lines = new ArrayList<>();
    for (Warp warp : warps) {
      int rest = warp.existing;
      while (rest != 0) {
        int first = Integer.numberOfTrailingZeros(rest);
        boolean gone = ((warp.alive() >>> first) & 1) == 0;
        Step step = warp.stepOf(first);
        int place = step.index;
        int together = 0;
        for (int lanes = rest; lanes != 0; lanes &= lanes - 1) {
          int lane = Integer.numberOfTrailingZeros(lanes);
          boolean laneGone = ((warp.alive() >>> lane) & 1) == 0;
          if (laneGone == gone && (gone || warp.stepOf(lane).index == place)) {
            together |= 1 << lane;
          }
        }
        rest &= ~together;
        lines.add(
            "%n    warp %d, lanes 0x%08x (thread %s first): %s"
                .formatted(
                    warp.number,
                    together,
                    coordinates(warp.firstThread + first),
                    gone
                        ? "have left the kernel"
                        : "line " + step.source.line() + ": " + step.source.text()));
        if (lines.size() == 12) {
          return String.join("", lines) + "%n    ...".formatted();
        }
      }
    }
    return String.join("", lines);
  }
}
